"""Where a change is, in places of the template that are known."""

import nibabel as nb
import numpy as np
import pytest

from bids_inpaint.image.change_places import locate_change
from bids_inpaint.image.template import AFFINE, SHAPE, Template
from bids_inpaint.image.thresholds import Applied

BRAIN = np.ones(SHAPE, bool)


def voxels(*points_mm):
    """Mask of the voxels at points of the template."""
    mask = np.zeros(SHAPE, bool)
    for point in points_mm:
        mask[tuple(nb.affines.apply_affine(np.linalg.inv(AFFINE), point).astype(int))] = True
    return mask


@pytest.fixture(scope='module')
def maps():
    """White matter everywhere, but right of 40 mm."""
    white = np.ones(SHAPE, np.float32)
    white[130:] = 0
    return Template(white, 1 - white, white, BRAIN)


@pytest.fixture
def locate(maps):
    def found(changed, *, lesions=None, ventricles=None, probability=None):
        none = np.zeros(SHAPE, bool)
        may_change = BRAIN & ~(none if ventricles is None else ventricles)
        lesion_mask = none if lesions is None else lesions
        weights = changed.astype(np.float32)
        applied = Applied(weights, weights, lesion_mask, may_change)
        return locate_change(applied, probability, BRAIN, maps)

    return found


@pytest.mark.parametrize(
    ('point', 'place'),
    [
        ((16, 32, 30), 'change_callosum_std_mm3'),
        ((-16, -45, 2), 'change_callosum_std_mm3'),
        ((0, -30, -40), 'change_brainstem_std_mm3'),
        ((44, 0, 60), 'change_far_std_mm3'),
        ((-30, 20, 40), None),  # white matter of a lobe
        ((17, 32, 30), None),
        ((41, 0, 60), None),  # 2 mm beyond white matter
    ],
)
def test_a_change_is_told_by_its_place(locate, point, place):
    found = locate(voxels(point))._asdict()
    expected = {name: float(name == place) for name in found if name != 'change_probability'}
    assert found == {'change_probability': None, **expected}


def test_a_change_next_to_the_ventricles_is_told(locate):
    ventricle = voxels((-30, 20, 40))
    assert locate(voxels((-30, 20, 43)), ventricles=ventricle).change_rim_std_mm3 == 1
    assert locate(voxels((-30, 20, 44)), ventricles=ventricle).change_rim_std_mm3 == 0


def test_lesions_that_are_left_and_the_probability_of_the_change(locate):
    points = (-30, 20, 40), (-30, 21, 40), (-30, 22, 40)
    probability = np.where(voxels(points[0]), np.float32(0.9), np.float32(0.3))
    found = locate(voxels(*points[:2]), lesions=voxels(*points[1:]), probability=probability)
    assert found.change_probability == pytest.approx(0.6)
    assert found.unchanged_lesion_std_mm3 == 1
    assert locate(voxels(), probability=probability).change_probability is None
