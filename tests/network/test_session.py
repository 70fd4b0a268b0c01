"""A network of a folder applied to a brain on the template grid."""

import numpy as np
import pytest

from bids_inpaint.image.template import load_template
from bids_inpaint.interfaces.inpaint import Inpaint
from bids_inpaint.network import session
from bids_inpaint.network.config import WHITE_MATTER, UNetConfig
from bids_inpaint.network.session import inpaint_on_device
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import save_weights


@pytest.mark.slow
def test_the_probability_follows_the_curve_of_the_card(tmp_path):
    architecture = UNetConfig(
        filters=1, levels=2, reconstruction_filters=1, window_vox=16, lesion_output=True
    )
    network = build_unet(architecture)
    logit = np.log(0.2 / 0.8)
    network.get_layer('lesion_subvolumes').bias.assign(np.full(8, logit, np.float32))
    t1w = np.ones((16, 16, 16), np.float32)
    for curve, expected in (((), 0.2), (((0.0, 0.0), (0.1, 0.3), (1.0, 1.0)), 0.3 + 0.7 / 9)):
        card = {'name': 'blind', 'architecture': architecture, 'probability_curve': curve}
        save_weights(network, tmp_path, card)
        said, facts = inpaint_on_device(
            t1w, t1w > 0, model=tmp_path, device='cpu', num_threads=1, flip_averaging=False
        )
        np.testing.assert_array_equal(said.inpainted, t1w)
        np.testing.assert_allclose(said.probability, expected, atol=1e-3)
        assert facts['probability_curve'] == curve


@pytest.mark.slow
@pytest.mark.parametrize('white', [1.2, 1.4])
def test_a_mask_is_filled_as_brightly_as_the_white_matter_outside_it(tmp_path, white):
    architecture = UNetConfig(
        filters=1, levels=2, reconstruction_filters=1, hidden_base=WHITE_MATTER
    )
    save_weights(
        build_unet(architecture), tmp_path, {'name': 'nonblind', 'architecture': architecture}
    )
    template = load_template()
    brain = template.brain_mask
    t1w = np.where(template.white_matter > 0.5, white, 0.9).astype(np.float32) * brain
    lesions = np.zeros(brain.shape, bool)
    lesions[60:70, 90:100, 90:100] = True
    lesions &= template.white_matter > 0.9
    lesioned = np.where(lesions, np.float32(0.5), t1w)
    said, facts = inpaint_on_device(
        lesioned,
        brain,
        model=tmp_path,
        device='cpu',
        num_threads=1,
        flip_averaging=False,
        fill_mask=lesions,
    )
    assert facts['model'] == 'nonblind'
    assert 'probability_curve' not in facts
    assert said.probability is None
    filled = said.inpainted
    assert lesions.sum() > 100
    np.testing.assert_array_equal(filled[~lesions], t1w[~lesions])
    # New weights change nothing: what is left is what hidden voxels start from.
    np.testing.assert_allclose(filled[lesions], white, atol=1e-3)


@pytest.mark.slow
def test_a_network_that_was_loaded_ahead_is_not_loaded_again(tmp_path, monkeypatch):
    architecture = UNetConfig(filters=1, levels=2, reconstruction_filters=1, window_vox=16)
    card = {'name': 'blind', 'architecture': architecture}
    save_weights(build_unet(architecture), tmp_path, card)
    Inpaint(model=str(tmp_path), sha256='any', device='cpu', num_threads=1).load_ahead()
    monkeypatch.setattr(session, 'load_weights', None)
    t1w = np.ones((16, 16, 16), np.float32)
    said, facts = inpaint_on_device(
        t1w, t1w > 0, model=tmp_path, device='cpu', num_threads=1, flip_averaging=False
    )
    np.testing.assert_array_equal(said.inpainted, t1w)
    assert facts['model'] == 'blind'
