import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.image.template import load_template
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import HIDDEN, fill, inpaint, plan_windows
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
    shape=st.tuples(*[st.integers(16, 60)] * 3),
    window=st.sampled_from([4, 8, 16]),
    seed=st.integers(0, 99),
)
def test_windows_hold_all_of_the_brain_and_overlap(shape, window, seed):
    mask = _brain(shape, seed)
    seen = np.zeros(shape, int)
    starts = [set(), set(), set()]
    for box in plan_windows(mask, window):
        assert mask[box].any()
        assert mask[box].shape == (window,) * 3
        seen[box] += 1
        for found, part in zip(starts, box, strict=True):
            found.add(part.start)
    assert seen[mask].all()
    for found in starts:
        assert (np.diff(sorted(found)) <= 0.6 * window + 1).all()


def test_a_brain_of_the_template_takes_18_windows():
    mask = load_template().brain_mask
    assert len(list(plan_windows(mask, UNetConfig().window_vox))) == 18


def test_windows_without_brain_are_left_out():
    mask = np.zeros((40, 8, 8), bool)
    mask[:4] = mask[36:] = True
    assert [box[0].start for box in plan_windows(mask, 8)] == [0, 32]


@settings(max_examples=5, deadline=None)
@given(shape=st.tuples(*[st.integers(5, 21)] * 3), flip=st.booleans())
def test_a_network_that_changes_nothing_gives_the_volume_back(shape, flip):
    t1w = np.random.default_rng(1).random(shape, dtype=np.float32)
    out = inpaint(
        build_unet(TINY), t1w, _brain(shape), window_vox=8, flip_averaging=flip
    ).inpainted
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, t1w)


def test_what_all_windows_agree_on_is_taken():
    network = build_unet(TINY)
    network.get_layer('full_resolution').bias.assign([0.25])
    t1w = np.random.default_rng(1).random((21, 10, 17), dtype=np.float32)
    mask = _brain(t1w.shape)
    out = inpaint(network, t1w, mask, window_vox=8).inpainted
    np.testing.assert_allclose(out, np.where(mask, t1w + 0.25, t1w), atol=1e-6)


def test_nothing_outside_the_brain_changes_or_matters():
    network = build_unet(DIRECT)
    t1w = np.random.default_rng(1).random((12, 14, 16), dtype=np.float32)
    mask = np.zeros(t1w.shape, bool)
    mask[3:9, 4:10, 5:12] = True
    out = inpaint(network, t1w, mask, window_vox=8).inpainted
    np.testing.assert_array_equal(out[~mask], t1w[~mask])
    assert np.abs(out - t1w)[mask].max() > 0.01
    other = np.where(mask, t1w, 7).astype(np.float32)
    again = inpaint(network, other, mask, window_vox=8).inpainted
    np.testing.assert_array_equal(again[mask], out[mask])


def test_a_prediction_that_is_not_finite_is_an_error():
    network = build_unet(DIRECT)
    network.get_layer('full_resolution').bias.assign([np.nan])
    t1w = np.ones((8, 8, 8), np.float32)
    with pytest.raises(ValueError, match='512 voxels that are not finite'):
        inpaint(network, t1w, t1w > 0, window_vox=8)


def test_flip_averaging_knows_no_left_and_right():
    network = build_unet(DIRECT)
    t1w = np.random.default_rng(1).random((16, 12, 20), dtype=np.float32)
    mask = np.ones(t1w.shape, bool)
    out = inpaint(network, t1w, mask, window_vox=8, flip_averaging=True).inpainted
    mirrored = inpaint(network, t1w[::-1], mask, window_vox=8, flip_averaging=True)
    mirrored = mirrored.inpainted[::-1]
    np.testing.assert_allclose(mirrored, out, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), flip=st.booleans())
def test_only_the_mask_is_filled_and_what_it_hides_is_not_seen(seed, flip):
    network = build_unet(DIRECT)
    rng = np.random.default_rng(seed)
    t1w = rng.random((15, 17, 13), dtype=np.float32)
    brain, mask = _brain(t1w.shape, seed), rng.random(t1w.shape) > 0.9
    options = {'white_matter_median': 1.4, 'window_vox': 8, 'flip_averaging': flip}
    out = fill(network, t1w, brain, mask, **options)
    assert out.dtype == np.float32
    filled = mask & brain
    np.testing.assert_array_equal(out[~filled], t1w[~filled])
    hidden = np.where(mask, 99, t1w).astype(np.float32)
    other = fill(network, hidden, brain, mask, **options)
    np.testing.assert_array_equal(other[filled], out[filled])


def test_the_network_is_shown_minus_one_in_place_of_a_lesion():
    t1w = np.random.default_rng(1).random((12, 9, 10), dtype=np.float32)
    mask = t1w > 0.8
    # A new residual network gives back what it is shown.
    brain, options = np.ones(t1w.shape, bool), {'white_matter_median': 1.4, 'window_vox': 8}
    out = fill(build_unet(TINY), t1w, brain, mask, **options)
    assert HIDDEN == -1
    np.testing.assert_array_equal(out, np.where(mask, -1, t1w))
    # Unless it has a base for it.
    network = build_unet(replace(TINY, hidden_base=1.3))
    out = fill(network, t1w, brain, mask, **options)
    np.testing.assert_allclose(out, np.where(mask, 1.3, t1w), atol=1e-6)


def test_a_filling_is_as_bright_as_the_brain_around_it():
    network = build_unet(DIRECT)
    t1w = np.random.default_rng(1).random((12, 9, 10), dtype=np.float32)
    brain, mask = np.ones(t1w.shape, bool), t1w > 0.8
    out = fill(network, t1w, brain, mask, white_matter_median=1.0, window_vox=8)
    twice = fill(network, 2 * t1w, brain, mask, white_matter_median=2.0, window_vox=8)
    np.testing.assert_allclose(twice, 2 * out, atol=1e-5)


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
