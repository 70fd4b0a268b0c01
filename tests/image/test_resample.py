import numpy as np
import pytest
from head_phantoms import ORIENTATIONS, known_xfm, native_grid
from scipy import ndimage

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume

TARGET = Grid((20, 22, 24), np.diag([3.0, 3, 3, 1.0]))


def plane(points):
    """A function of space that linear interpolation reproduces exactly."""
    return points @ [1.0, -2.0, 0.5] + 100


def points_of(grid):
    indices = np.indices(grid.shape).reshape(3, -1)
    return (grid.affine[:3, :3] @ indices).T + grid.affine[:3, 3]


@pytest.mark.parametrize('orientation', ORIENTATIONS)
@pytest.mark.parametrize('order', [1, 3])
def test_a_plane_in_space_stays_one(orientation, order):
    xfm = known_xfm()
    grid = native_grid(orientation, xfm, zooms_mm=(4, 5, 6), field_mm=(240, 250, 240))
    moving = Volume(plane(points_of(grid)).reshape(grid.shape).astype(np.float32), grid.affine)
    affine = TARGET.affine.copy()
    affine[:3, 3] = [-30, -50, -25]  # around the middle of the native grid
    target = Grid(TARGET.shape, affine)
    inverse = np.linalg.inv(xfm)
    expected = plane(points_of(target) @ inverse[:3, :3].T + inverse[:3, 3])
    found = resample(moving, target, xfm, order=order)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), expected, atol=0.05)


def test_nearest_neighbour_makes_no_new_values():
    labels = np.random.default_rng(0).choice([0, 3, 7], (9, 9, 9)).astype(np.float32)
    xfm = known_xfm(shift_mm=(0, 0, 0))
    found = resample(Volume(labels, np.diag([6.0, 6, 6, 1])), TARGET, xfm, order=0)
    assert set(np.unique(found)) == {0, 3, 7}


@pytest.mark.parametrize('order', [0, 1, 3])
def test_outside_is_zero(order):
    far = np.eye(4)
    far[:3, 3] = 1000
    moving = Volume(np.ones((8, 8, 8), np.float32), np.eye(4))
    assert not resample(moving, TARGET, far, order=order).any()


def test_the_same_grid_gives_the_same_voxels():
    data = np.random.default_rng(0).random(TARGET.shape, dtype=np.float32)
    found = resample(Volume(data, TARGET.affine), TARGET, np.eye(4))
    np.testing.assert_allclose(found, data, atol=1e-6)


def test_only_what_is_reached_is_computed(monkeypatch):
    asked = []
    transform = ndimage.affine_transform

    def note(data, *rest, output_shape, **more):
        asked.append(output_shape)
        return transform(data, *rest, output_shape=output_shape, **more)

    rng = np.random.default_rng(0)
    data = np.zeros((30, 28, 26), np.float32)
    data[8:12, 9:14, 10:15] = rng.random((4, 5, 5)) + 0.1
    moving, xfm = Volume(data, np.diag([2.0, 2, 2, 1])), known_xfm(shift_mm=(3, -2, 1))
    onto = Grid((70, 66, 60), np.diag([1.0, 1, 1, 1]))
    voxels = np.linalg.inv(moving.affine) @ np.linalg.inv(xfm) @ onto.affine
    monkeypatch.setattr(ndimage, 'affine_transform', note)
    for order, part in ((0, 0.1), (1, 0.1), (3, 0.99)):
        whole = transform(
            data, voxels[:3, :3], offset=voxels[:3, 3], output_shape=onto.shape, order=order,
            mode='constant' if order == 0 else 'grid-constant',
        )  # fmt: skip
        found = resample(moving, onto, xfm, order=order)
        assert found.any()
        np.testing.assert_allclose(found, whole, atol=1e-6)
        assert np.prod(asked[-1]) < part * np.prod(onto.shape)


def test_a_box_is_computed_and_the_rest_is_zero():
    data = np.random.default_rng(0).random(TARGET.shape, dtype=np.float32)
    moving, box = Volume(data, TARGET.affine), np.s_[3:9, 2:5, 7:20]
    whole = resample(moving, TARGET, known_xfm(shift_mm=(1, 2, 3)), order=3)
    found = resample(moving, TARGET, known_xfm(shift_mm=(1, 2, 3)), order=3, within=box)
    np.testing.assert_allclose(found[box], whole[box], atol=1e-6)
    found[box] = 0
    assert not found.any()


def test_nothing_gives_nothing():
    empty = Volume(np.zeros((5, 5, 5), np.float32), np.eye(4))
    assert not resample(empty, TARGET, np.eye(4)).any()
