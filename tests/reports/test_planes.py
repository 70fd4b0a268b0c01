"""Planes show what changed most, and lie where they say."""

import numpy as np
import pytest
from image_grids import GRIDS, grid_of
from nibabel.affines import from_matvec

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume
from bids_inpaint.reports.planes import (
    Cut,
    box_around,
    choose_cuts,
    position_mm,
    resample_planes,
    take,
)

SHAPE = (20, 24, 28)


@pytest.fixture
def brain():
    mask = np.zeros(SHAPE, bool)
    mask[4:16, 5:20, 6:24] = True
    return mask


def test_planes_go_through_the_largest_changes(brain):
    weight = np.zeros(SHAPE, np.float32)
    weight[7, 9, 20] = 5
    weight[14, 18, 8] = 3
    rows = choose_cuts(weight, brain, count=2)
    assert rows == [
        [Cut(0, 7), Cut(0, 14)],
        [Cut(1, 9), Cut(1, 18)],
        [Cut(2, 8), Cut(2, 20)],
    ]


def test_planes_are_apart(brain):
    weight = np.zeros(SHAPE, np.float32)
    weight[:, :, 10:13] = [3, 5, 4]
    axial = [cut.voxel for cut in choose_cuts(weight, brain, count=3)[2]]
    assert 11 in axial
    assert 10 not in axial
    assert 12 not in axial


def test_without_change_planes_are_spread_over_the_brain(brain):
    for axis, row in enumerate(choose_cuts(np.zeros(SHAPE, np.float32), brain, count=3)):
        assert len({cut.voxel for cut in row}) == 3
        inside = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        assert inside[0] < row[0].voxel < row[-1].voxel < inside[-1]


def test_plane_rises_to_the_top_and_right():
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    box = box_around(np.zeros(SHAPE, bool), np.eye(4))
    assert take(data, Cut(2, 3), box)[5, 7] == data[7, 5, 3]
    assert take(data, Cut(1, 3), box)[5, 7] == data[7, 3, 5]
    assert take(data, Cut(0, 3), box)[5, 7] == data[3, 7, 5]


def test_box_holds_the_mask_with_a_margin_in_mm(brain):
    box = box_around(brain, np.diag([2.0, 8, 4, 1]))
    assert box == (slice(0, 20), slice(4, 21), slice(4, 26))


@pytest.mark.parametrize('name', GRIDS)
def test_position_is_that_of_the_middle_of_the_plane(name):
    shape, affine = grid_of(name)
    for axis in range(3):
        middle = (np.array(shape) - 1) / 2
        middle[axis] = 1
        expected = (affine @ [*middle, 1])[axis]
        assert position_mm(affine, Cut(axis, 1), shape) == pytest.approx(expected)


def test_planes_alone_are_resampled_to_what_the_volume_would_be():
    rng = np.random.default_rng(0)
    moving = Volume(rng.random((12, 14, 10), np.float32), np.diag([2.0, 2, 3, 1]))
    onto = Grid((20, 22, 18), from_matvec(np.diag([1.2, 1.1, 1.4]), [1, 2, -1]))
    xfm = from_matvec(np.linalg.qr(rng.normal(size=(3, 3)))[0], [3, 1, 8])
    rows = [[Cut(0, 9), Cut(0, 12)], [Cut(1, 10)], [Cut(2, 4), Cut(2, 17)]]
    moved = resample_planes(moving, onto, xfm, rows)
    whole = resample(moving, onto, xfm)
    drawn = np.zeros(onto.shape, bool)
    for cut in (cut for row in rows for cut in row):
        drawn[(slice(None),) * cut.axis + (cut.voxel,)] = True
    np.testing.assert_allclose(moved[drawn], whole[drawn], atol=1e-5)
    assert whole[drawn].any()
    assert not moved[~drawn].any()
