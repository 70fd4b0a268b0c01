import numpy as np
import pytest

from bids_inpaint.image.bias import estimate_bias_field
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import Volume


@pytest.fixture(scope='module')
def biased():
    """The template at 2 mm with a known field: data, affine, mask, field."""
    template = load_template()
    half = (slice(None, None, 2),) * 3
    t1w, mask = template.t1w[half], template.brain_mask[half]
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in t1w.shape)
    field = np.exp(0.35 * x[:, None, None] - 0.4 * y[:, None] ** 2 + 0.3 * z)
    return t1w * field, AFFINE @ np.diag([2.0, 2, 2, 1]), mask, field


def test_a_known_field_is_recovered(biased):
    data, affine, mask, field = biased
    found = estimate_bias_field(Volume(data, affine), mask)
    error = np.log(found / field)[mask]
    assert error.std() < 0.35 * np.log(field[mask]).std()
    assert found.dtype == np.float32


def test_field_has_mean_one_and_is_positive(biased):
    data, affine, mask, _ = biased
    found = estimate_bias_field(Volume(data, affine), mask)
    assert found[mask].mean(dtype=np.float64) == pytest.approx(1, abs=1e-4)
    assert found.min() > 0


def test_negative_voxels_do_no_harm(biased):
    data, affine, mask, _ = biased
    rough = data.copy()
    rough[::7, ::5, ::3] = -1  # cubic interpolation makes such voxels
    found = estimate_bias_field(Volume(rough, affine), mask)
    expected = estimate_bias_field(Volume(np.maximum(rough, 0), affine), mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert rough.min() == -1
