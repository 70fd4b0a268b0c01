"""A network of a folder applied to a brain on the template grid."""

import numpy as np
import pytest

from bids_inpaint.image.template import load_template
from bids_inpaint.network.config import WHITE_MATTER, UNetConfig
from bids_inpaint.network.session import inpaint_on_device
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import save_weights


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
    filled, facts = inpaint_on_device(
        lesioned,
        brain,
        model=tmp_path,
        device='cpu',
        num_threads=1,
        flip_averaging=False,
        fill_mask=lesions,
    )
    assert facts['model'] == 'nonblind'
    assert lesions.sum() > 100
    np.testing.assert_array_equal(filled[~lesions], t1w[~lesions])
    # New weights change nothing: what is left is what hidden voxels start from.
    np.testing.assert_allclose(filled[lesions], white, atol=1e-3)
