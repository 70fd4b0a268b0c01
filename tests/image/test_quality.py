import nibabel as nb
import numpy as np
import pytest
from source_images import ORIENTATIONS, make_affine, rotation

from bids_inpaint.image import quality, template
from bids_inpaint.image.quality import (
    change_problems,
    correlation_within,
    there_and_back,
    volume_mm3,
)
from bids_inpaint.image.source import conform

GOOD = {'outside_correlation': 1.0, 'control_correlation': 0.99, 'change_volume_mm3': 5000.0}


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_volume_is_in_mm3(orientation):
    mask = np.zeros((5, 6, 7), bool)
    mask[1:3, 2:5, 3:7] = True
    affine = make_affine(orientation, mask.shape, (1.0, 2.0, 3.0))
    assert volume_mm3(mask, affine) == pytest.approx(144)


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
    back = there_and_back(t1w, xfm)
    assert back.shape == t1w.data.shape
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, t1w.data, atol=0.02)
    assert not np.array_equal(back, t1w.data)


def test_good_numbers_have_no_problem():
    assert change_problems(GOOD) == []
    mask = {'lesion_mask_volume_mm3': 101.0, 'lesion_mask_unfilled_mm3': 10.0}
    assert change_problems({**GOOD, **mask}) == []
    empty = {'lesion_mask_volume_mm3': 0.0, 'lesion_mask_unfilled_mm3': 0.0}
    assert change_problems({**GOOD, **empty}) == []


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ({'outside_correlation': 0.994, 'control_correlation': 0.99}, 'less than 0.995'),
        ({'outside_correlation': float('nan')}, 'less than 0.995'),
        ({'outside_correlation': 0.9955, 'control_correlation': 1.01}, '0.0145 below that'),
        ({'control_correlation': float('nan')}, 'resampling alone'),
        (
            {'lesion_mask_volume_mm3': 99.0, 'lesion_mask_unfilled_mm3': 10.0},
            '10 mm3 of the lesion mask lie outside the brain',
        ),
        ({'change_volume_mm3': quality.MAX_CHANGE_MM3 + 1}, '150001 mm3 were changed'),
    ],
)
def test_each_limit_is_named_with_what_was_found(changed, said):
    problems = change_problems({**GOOD, **changed})
    assert any(said in problem for problem in problems)
    assert len(problems) == (2 if np.isnan(changed.get('outside_correlation', 0)) else 1)
