from dataclasses import replace

import numpy as np
import pytest

from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import inpaint
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import __main__ as command
from bids_inpaint.training import tasks
from bids_inpaint.training.calibrate import Calibration, choose
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.thresholds import Predicted

TINY = UNetConfig(filters=2, levels=1, reconstruction_filters=2, window_vox=16)
SHAPE = (20, 20, 20)
TRUTH = np.random.default_rng(0).uniform(0.5, 1.5, SHAPE).astype(np.float32)
BRAIN = np.ones(SHAPE, bool)
SHARE = np.zeros(SHAPE, np.float32)
SHARE[5:9, 5:9, 5:9] = 1
LESIONED = (TRUTH - np.float32(0.4) * SHARE).astype(np.float16).astype(np.float32)


def _predictions(filled, added, noise=0.0):
    """A network that fills a part of a lesion, and adds a constant and noise to all."""
    everywhere = added + noise * np.random.default_rng(1).standard_normal(SHAPE)
    found = (LESIONED + filled * (TRUTH - LESIONED) + everywhere).astype(np.float32)
    left = (TRUTH + everywhere).astype(np.float32)
    lesioned = Predicted(Example(LESIONED, TRUTH, SHARE), Prediction(found), BRAIN)
    return [lesioned], [Predicted(Example(TRUTH, TRUTH, 0 * SHARE), Prediction(left), BRAIN)]


def test_what_is_filled_by_too_little_is_filled_and_a_constant_taken_off():
    lesioned, unlesioned = _predictions(filled=0.8, added=0.02)
    chosen = choose(lesioned, unlesioned)
    assert chosen == pytest.approx((1.25, 0.02), abs=1e-5)
    np.testing.assert_allclose(chosen.apply(lesioned[0]).inpainted, TRUTH, atol=1e-3)


@pytest.mark.parametrize(('noise', 'gain'), [(0.0, 1.3), (0.0038, 1.15), (0.02, 1.0)])
def test_healthy_brains_come_first(noise, gain):
    # The whole lesion would need 1.43; noise grows with it, and 0.0044 under 1.5 is 50.5 dB.
    chosen = choose(*_predictions(filled=0.7, added=0.0, noise=noise))
    assert chosen.gain == gain


def test_outside_the_brain_nothing_is_added():
    (prediction,), _ = _predictions(filled=1, added=0.02)
    half = BRAIN & (np.indices(SHAPE)[0] < 10)
    calibrated = Calibration(2.0, 0.01).apply(replace(prediction, brain_mask=half))
    np.testing.assert_array_equal(calibrated.inpainted[~half], LESIONED[~half])


def test_the_network_then_predicts_so(tmp_path, monkeypatch):
    network = build_unet(TINY)
    last = network.get_layer('full_resolution')
    last.bias.assign([0.03])
    last.kernel.assign(np.full(last.kernel.shape, 0.01))
    fields = {'name': 'blind', 'architecture': TINY, 'metrics': {'a': 1}}
    before_card = save_weights(network, tmp_path, fields)
    example = Example(LESIONED, TRUTH, SHARE)
    asked = []

    def brains(_, side):
        asked.append(side)
        return [Brain('ds', '01', TRUTH.astype(np.float16), 1.4, 1.1)]

    monkeypatch.setattr(tasks, 'load_brains', brains)
    monkeypatch.setattr(tasks, 'load_masks', lambda _, side, **_w: asked.append(side))
    monkeypatch.setattr(tasks, 'validation_examples', lambda *_: [example])
    before, _ = load_weights(tmp_path)
    own = Predicted(example, inpaint(before, LESIONED, BRAIN, window_vox=16), BRAIN)
    arguments = ['calibrate', '--brains', 'd', '--masks', 'm', '--out', str(tmp_path)]
    assert command.main(arguments) == 0
    assert asked == ['validation', 'validation']
    calibrated, card = load_weights(tmp_path)
    (made,) = card.training['calibrated']
    assert made['sha256'] == before_card.sha256 != card.sha256
    assert card.metrics == {}
    wanted = Calibration(made['gain'], made['offset']).apply(own).inpainted
    found = inpaint(calibrated, LESIONED, BRAIN, window_vox=16).inpainted
    assert np.abs(wanted - own.inpainted).max() > 0.01
    np.testing.assert_allclose(found, wanted, atol=2e-4)  # weights are of half precision
