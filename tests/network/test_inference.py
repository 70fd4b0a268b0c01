import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import inpaint, plan_cut
from bids_inpaint.network.unet import build_unet

TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2)
DIRECT = UNetConfig(filters=2, levels=2, reconstruction_filters=2, head='direct')
_PREDICT = """
import json, sys
import keras, numpy as np
from bids_inpaint.network.card import models_folder
from bids_inpaint.network.weights import load_weights
network, _ = load_weights(models_folder() / 'blind')
network.compile(jit_compile=False)
t1w = np.random.default_rng(0).uniform(0.5, 1.6, (1, 32, 16, 48, 1)).astype('float32')
out = np.asarray(network.predict_on_batch(t1w)['reconstructed'])
json.dump([keras.backend.backend(), (out - t1w).ravel().tolist()], sys.stdout)
"""


def _brain(shape, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    low = [int(rng.integers(0, n // 2)) for n in shape]
    high = [int(rng.integers(a + 1, n + 1)) for a, n in zip(low, shape, strict=True)]
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


@given(
    shape=st.tuples(*[st.integers(2, 40)] * 3),
    multiple=st.sampled_from([1, 4, 16]),
    seed=st.integers(0, 99),
)
def test_cut_holds_the_brain_and_fits_the_network(shape, multiple, seed):
    mask = _brain(shape, seed)
    cut = plan_cut(mask, multiple)
    assert mask[cut.box].sum() == mask.sum()
    for size, (before, after) in zip(mask[cut.box].shape, cut.padding, strict=True):
        assert before == 0
        assert (size + after) % multiple == 0


@settings(max_examples=5, deadline=None)
@given(shape=st.tuples(*[st.integers(5, 21)] * 3), flip=st.booleans())
def test_a_network_that_changes_nothing_gives_the_volume_back(shape, flip):
    t1w = np.random.default_rng(1).random(shape, dtype=np.float32)
    out = inpaint(build_unet(TINY), t1w, _brain(shape), multiple=4, flip_averaging=flip)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, t1w)


def test_nothing_outside_the_brain_changes_or_matters():
    network = build_unet(DIRECT)
    t1w = np.random.default_rng(1).random((12, 14, 16), dtype=np.float32)
    mask = np.zeros(t1w.shape, bool)
    mask[3:9, 4:10, 5:12] = True
    out = inpaint(network, t1w, mask, multiple=4)
    np.testing.assert_array_equal(out[~mask], t1w[~mask])
    assert np.abs(out - t1w)[mask].max() > 0.01
    other = np.where(mask, t1w, 7).astype(np.float32)
    np.testing.assert_array_equal(inpaint(network, other, mask, multiple=4)[mask], out[mask])


def test_a_prediction_that_is_not_finite_is_an_error():
    network = build_unet(DIRECT)
    network.get_layer('full_resolution').bias.assign([np.nan])
    t1w = np.ones((8, 8, 8), np.float32)
    with pytest.raises(ValueError, match='512 voxels that are not finite'):
        inpaint(network, t1w, t1w > 0, multiple=4)


def test_flip_averaging_knows_no_left_and_right():
    network = build_unet(DIRECT)
    t1w = np.random.default_rng(1).random((16, 12, 20), dtype=np.float32)
    mask = np.ones(t1w.shape, bool)
    out = inpaint(network, t1w, mask, multiple=4, flip_averaging=True)
    mirrored = inpaint(network, t1w[::-1], mask, multiple=4, flip_averaging=True)[::-1]
    np.testing.assert_allclose(mirrored, out, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['jax', 'torch'])
def test_backends_agree(backend):
    if find_spec(backend) is None:
        pytest.skip(f'{backend} is not installed; the shipped backend is tensorflow')
    found = {}
    for name in ('tensorflow', backend):
        environment = {**os.environ, 'KERAS_BACKEND': name}
        run = subprocess.run(
            [sys.executable, '-c', _PREDICT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        used, found[name] = json.loads(run.stdout)
        assert used == name
    assert np.std(found['tensorflow']) > 0.01
    np.testing.assert_allclose(found[backend], found['tensorflow'], atol=1e-3)
