"""The second output: the logit of the probability of lesion, and what is made of it."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from bids_inpaint.network.card import CARD_FILE, read_card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import follow_curve, inpaint
from bids_inpaint.network.losses import lesion_logit_loss
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights, save_weights

PLAIN = UNetConfig(filters=2, levels=2, reconstruction_filters=2)
TINY = replace(PLAIN, lesion_output=True)


def _network(scale=1.0):
    """A network whose logit varies from voxel to voxel."""
    network = build_unet(TINY)
    layer = network.get_layer('lesion_subvolumes')
    rng = np.random.default_rng(0)
    layer.kernel.assign(scale * rng.standard_normal(layer.kernel.shape))
    return network


def _volume(size=16):
    t1w = np.random.default_rng(1).uniform(0.5, 1.5, (size,) * 3).astype(np.float32)
    t1w[:3] = 0
    return t1w, t1w > 0


def test_it_begins_sure_of_no_lesion_and_leaves_the_filling_as_it_is():
    t1w = np.random.default_rng(0).random((1, 8, 12, 16, 1), dtype=np.float32)
    outputs = build_unet(TINY).predict_on_batch(t1w)
    assert set(outputs) == {'reconstructed', 'subvolumes', 'lesion_logit'}
    np.testing.assert_array_equal(outputs['reconstructed'], t1w)
    np.testing.assert_array_equal(outputs['lesion_logit'], np.full(t1w.shape, -4, np.float32))


def test_each_of_eight_channels_is_one_of_eight_voxels():
    network = build_unet(TINY)
    bias = np.arange(8, dtype=np.float32)
    network.get_layer('lesion_subvolumes').bias.assign(bias)
    logit = network.predict_on_batch(np.zeros((1, 8, 8, 8, 1), np.float32))['lesion_logit']
    for number in range(8):
        i, j, k = number // 4, number // 2 % 2, number % 2
        np.testing.assert_array_equal(logit[0, i::2, j::2, k::2, 0], bias[number])


def test_only_one_layer_is_more():
    more = {v.path for v in build_unet(TINY).variables}
    less = {v.path for v in build_unet(PLAIN).variables}
    assert more - less == {'lesion_subvolumes/kernel', 'lesion_subvolumes/bias'}


def test_the_probability_is_that_of_the_windows_and_zero_outside_the_brain():
    network = _network()
    t1w, brain = _volume()
    said = inpaint(network, t1w, brain, window_vox=16)
    logit = network.predict_on_batch(np.where(brain, t1w, 0)[None, ..., None])['lesion_logit']
    np.testing.assert_allclose(said.probability[brain], expit(logit[0, ..., 0])[brain], atol=1e-5)
    np.testing.assert_array_equal(said.probability[~brain], 0)
    assert said.probability.dtype == np.float32
    assert np.ptp(said.probability[brain]) > 0.01


def test_a_network_without_it_tells_none():
    t1w, brain = _volume()
    assert inpaint(build_unet(PLAIN), t1w, brain, window_vox=16).probability is None


def test_flip_averaging_knows_no_left_and_right():
    network = _network()
    t1w, brain = _volume()
    brain[:3] = False
    first = inpaint(network, t1w, brain, window_vox=8, flip_averaging=True)
    second = inpaint(network, t1w[::-1], brain[::-1], window_vox=8, flip_averaging=True)
    np.testing.assert_allclose(first.probability, second.probability[::-1], atol=1e-5)


@given(points=st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0, 1)), max_size=5))
def test_a_probability_that_follows_a_curve_keeps_its_order(points):
    said, true = (sorted(values) for values in zip(*points, strict=True)) if points else ((), ())
    curve = ((0.0, 0.0), *zip(said, true, strict=True), (1.0, 1.0))
    probability = np.linspace(0, 1, 50, dtype=np.float32)
    followed = follow_curve(probability, curve)
    assert followed.dtype == np.float32
    assert (np.diff(followed) >= 0).all()
    assert (followed[0], followed[-1]) == (0, 1)


def test_without_a_curve_nothing_changes():
    probability = np.array([0.0, 1e-9, 0.3], np.float32)
    assert follow_curve(probability, ()) is probability


def test_the_curve_is_applied():
    network = _network()
    t1w, brain = _volume()
    curve = ((0.0, 0.0), (0.3, 0.6), (1.0, 1.0))
    plain, followed = (
        inpaint(network, t1w, brain, window_vox=16, probability_curve=c).probability
        for c in ((), curve)
    )
    np.testing.assert_allclose(followed[brain], follow_curve(plain, curve)[brain], atol=1e-6)


def test_what_is_not_finite_is_refused():
    network = _network()
    network.get_layer('lesion_subvolumes').bias.assign(np.full(8, np.nan, np.float32))
    t1w, brain = _volume()
    with pytest.raises(ValueError, match='not finite'):
        inpaint(network, t1w, brain, window_vox=16)


def test_old_cards_load_and_tell_no_probability(tmp_path):
    save_weights(build_unet(PLAIN), tmp_path, {'name': 'old', 'architecture': PLAIN})
    card = json.loads((tmp_path / CARD_FILE).read_text())
    del card['architecture']['lesion_output'], card['probability_curve']
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    network, found = load_weights(tmp_path)
    assert not found.architecture.lesion_output
    assert found.probability_curve == ()
    assert found.thresholds.lesion_from == 'difference'
    assert 'lesion_logit' not in network.output


def test_cards_keep_the_second_output(tmp_path):
    curve = ((0.0, 0.0), (0.2, 0.5), (1.0, 1.0))
    fields = {'name': 'new', 'architecture': TINY, 'lesion_threshold': 0.4}
    fields['probability_curve'] = curve
    network = _network()
    save_weights(network, tmp_path, fields)
    t1w = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    loaded, _ = load_weights(tmp_path)
    np.testing.assert_allclose(
        loaded.predict_on_batch(t1w)['lesion_logit'],
        network.predict_on_batch(t1w)['lesion_logit'],
        atol=0.02,
    )
    card = read_card(tmp_path)
    assert card.probability_curve == curve
    assert (card.thresholds.lesion, card.thresholds.lesion_from) == (0.4, 'probability')


def _loss(share, logit, dice_weight=0.0):
    arrays = (np.asarray(a, np.float32).reshape(1, -1, 1, 1, 1) for a in (share, logit))
    return float(lesion_logit_loss(dice_weight)(*arrays))


def test_cross_entropy_is_least_at_the_share():
    share = 0.3
    logits = np.log([0.2 / 0.8, 0.3 / 0.7, 0.4 / 0.6])
    losses = [_loss([share], [logit]) for logit in logits]
    assert losses[1] == min(losses)
    assert losses[1] == pytest.approx(-0.3 * np.log(0.3) - 0.7 * np.log(0.7), abs=1e-5)


def test_soft_dice_is_least_where_the_probability_is_the_share():
    share = np.full(4000, 0.3)
    losses = [_loss(share, np.full(4000, np.log(p / (1 - p))), 1e6) for p in (0.2, 0.3, 0.4)]
    assert losses[1] == min(losses)


def test_soft_dice_says_little_without_lesions():
    nothing = np.zeros(50)
    dice = _loss(nothing, np.full(50, -4.0), 1.0) - _loss(nothing, np.full(50, -4.0), 0.0)
    assert 0 <= dice < 1e-3


def test_large_logits_have_finite_losses_and_gradients():
    logit = keras.ops.convert_to_tensor(np.full((1, 2, 2, 2, 1), 80, np.float32))
    assert np.isfinite(_loss(np.zeros(8), np.full(8, 80.0), 0.1))
    assert np.isfinite(np.asarray(lesion_logit_loss(0.1)(0 * logit, -logit)))
