import nibabel as nb
import numpy as np
import pytest
from source_images import ORIENTATIONS, make_affine, rotation

from bids_inpaint.image import template
from bids_inpaint.image.control import control_correlation, correlation_within, there_and_back
from bids_inpaint.image.native import conform


def test_correlation_ignores_gain_and_offset_and_what_is_outside():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(5, 6, 7)).astype(np.float32)
    mask = first > -0.5
    second = np.where(mask, 3 * first + 100, rng.normal(size=first.shape)).astype(np.float32)
    assert correlation_within(first, second, mask) == pytest.approx(1, abs=1e-6)
    assert correlation_within(first, -second, mask) == pytest.approx(-1, abs=1e-6)
    assert correlation_within(first, second, ~mask) < 0.9


@pytest.mark.parametrize('voxels', [0, 1, 20])
def test_correlation_of_a_constant_or_of_nothing_is_nan(voxels):
    mask = np.zeros(210, bool)
    mask[:voxels] = True
    mask = mask.reshape(5, 6, 7)
    assert np.isnan(correlation_within(np.ones(mask.shape, 'f4'), np.ones(mask.shape, 'f4'), mask))


@pytest.fixture
def coarse_template(monkeypatch):
    """The template grid with voxels of 4 mm, so that a test is quick."""
    monkeypatch.setattr(template, 'SHAPE', (46, 55, 46))
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = template.AFFINE[:3, 3]
    monkeypatch.setattr(template, 'AFFINE', affine)


@pytest.mark.usefixtures('coarse_template')
@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_there_and_back_blurs_and_does_not_move(orientation):
    shape = (26, 24, 22)
    affine = make_affine(orientation, shape, (4.0, 5.0, 5.0))
    places = nb.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    blob = np.exp(-(((places - (8, -12, 20)) / 14) ** 2).sum(-1)).astype(np.float32)
    t1w = conform(nb.Nifti1Image(blob, affine))
    xfm = np.eye(4)
    xfm[:3, :3] = rotation(9, 4, -7) * 1.1
    xfm[:3, 3] = 3, -4, 2
    back = there_and_back(t1w, xfm, np.ones(t1w.data.shape, bool))
    thin = t1w.data[::2, ::2, ::2]
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, thin, atol=0.02)
    assert not np.array_equal(back, thin)
    assert 0.99 < control_correlation(t1w, xfm, t1w.data > 0.1) < 1
    assert np.isnan(control_correlation(t1w, xfm, np.zeros(t1w.data.shape, bool)))
