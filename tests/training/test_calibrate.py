import numpy as np
import pytest

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import inpaint
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import __main__ as command
from bids_inpaint.training.pipeline import Brain

TINY = UNetConfig(filters=2, levels=1, reconstruction_filters=2, window_vox=16)
BRAIN = np.random.default_rng(0).uniform(0.5, 1.5, (20, 20, 20)).astype(np.float32)


def test_a_network_that_adds_a_constant_no_longer_does(tmp_path, monkeypatch):
    network = build_unet(TINY)
    network.get_layer('full_resolution').bias.assign([0.02])
    save_weights(network, tmp_path, {'name': 'blind', 'architecture': TINY, 'metrics': {'a': 1}})
    asked = []

    def brains(folders, side):
        asked.append((folders, side))
        return [Brain('ds', '01', BRAIN.astype(np.float16), 1.4, 1.1)]

    monkeypatch.setattr(command, 'load_brains', brains)
    arguments = ['calibrate', '--brains', 'derivatives', '--out', str(tmp_path)]
    assert command.main(arguments) == 0
    ((folders, side),) = asked
    assert [str(folder) for folder in folders] == ['derivatives']
    assert side == 'validation'
    calibrated, card = load_weights(tmp_path)
    assert card.training['offset_removed'] == pytest.approx(0.02, abs=1e-4)
    assert card.metrics == {}
    given = BRAIN.astype(np.float16).astype(np.float32)
    found = inpaint(calibrated, given, given > 0, window_vox=16)
    np.testing.assert_allclose(found, given, atol=1e-4)
    assert command.main(arguments) == 0  # once more takes nothing off
    _, again = load_weights(tmp_path)
    assert again.training['offset_removed'] == pytest.approx(0.02, abs=1e-4)
