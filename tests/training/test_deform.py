import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.training.data import Brain
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.deform import DeformConfig, draw_points, nearest, sample
from bids_inpaint.training.examples.simulate import draw_deformed

SHAPE = (24, 20, 28)
STILL = DeformConfig(rotation_deg=0, scale=(1, 1), shift_vox=0, warp_vox=0)
SOME = DeformConfig(rotation_deg=10, scale=(0.9, 1.1), mirror=0.5, shift_vox=3, warp_vox=2)


def _ramp(axis):
    ramp = np.arange(SHAPE[axis], dtype=np.float32)
    return np.broadcast_to(np.expand_dims(ramp, [i for i in range(3) if i != axis]), SHAPE)


def test_without_deformation_points_are_those_of_the_box():
    points = draw_points(SHAPE, (3, 1, 5), (6, 7, 8), np.random.default_rng(0), STILL)
    assert points.dtype == np.float32
    wanted = np.stack(np.meshgrid(range(3, 9), range(1, 8), range(5, 13), indexing='ij'))
    np.testing.assert_allclose(points, wanted, atol=1e-5)


@given(seed=st.integers(0, 999))
def test_a_box_is_the_same_part_of_a_deformation(seed):
    config = DeformConfig(rotation_deg=10, scale=(0.9, 1.1), mirror=0.5, shift_vox=3, warp_vox=0)
    whole = draw_points(SHAPE, (0, 0, 0), SHAPE, np.random.default_rng(seed), config)
    part = draw_points(SHAPE, (3, 1, 5), (6, 7, 8), np.random.default_rng(seed), config)
    np.testing.assert_allclose(part, whole[:, 3:9, 1:8, 5:13], atol=1e-4)


@given(seed=st.integers(0, 999))
def test_points_move_by_no_more_than_the_ranges_say(seed):
    points = draw_points(SHAPE, (0, 0, 0), SHAPE, np.random.default_rng(seed), SOME)
    centre = (np.asarray(SHAPE) - 1)[:, None, None, None] / 2
    # Lengths from the centre change by scale, shift and displacement alone.
    radius = np.linalg.norm(np.stack(np.indices(SHAPE)) - centre, axis=0)
    moved = np.linalg.norm(points - centre, axis=0)
    assert (np.abs(moved - radius) <= radius * 0.12 + np.sqrt(3) * (3 / 0.9 + 2) + 1e-3).all()


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_sampling_a_ramp_gives_the_places_themselves(axis):
    config = DeformConfig(rotation_deg=5, scale=(1, 1.05), shift_vox=1, warp_vox=1)
    corner, shape = (6, 6, 8), (8, 7, 9)  # far enough inside
    points = draw_points(SHAPE, corner, shape, np.random.default_rng(1), config)
    np.testing.assert_allclose(sample(_ramp(axis), points, order=1), points[axis], atol=1e-3)


def test_nothing_lies_beyond_the_volume():
    points = np.full((3, 2, 2, 2), 100, np.float32)
    np.testing.assert_array_equal(sample(np.ones(SHAPE, np.float32), points, order=1), 0)
    points = np.full((3, 2, 2, 2), -5, np.float32)
    np.testing.assert_array_equal(sample(np.ones(SHAPE, bool), points, order=0), 0)


@given(seed=st.integers(0, 99))
def test_the_nearest_voxel_is_that_of_scipy(seed):
    volume = np.random.default_rng(seed).random(SHAPE) > 0.5
    points = draw_points(SHAPE, (2, 2, 2), (9, 8, 7), np.random.default_rng(seed), SOME)
    inside = (points > 0).all(axis=0) & (np.array(SHAPE) - 1 > points.T).T.all(axis=0)
    wanted = sample(volume, points, order=0) > 0
    np.testing.assert_array_equal(nearest(volume, points)[inside], wanted[inside])


@given(seed=st.integers(0, 99))
def test_a_brain_is_cut_out_as_it_is_or_deformed(seed):
    t1w = np.asarray(_ramp(0), np.float16)
    box = slice(4, 12), slice(2, 12), slice(0, 28)
    never, always = (AugmentConfig(deform_probability=p, widen_probability=0) for p in (0.0, 1.0))
    brain = Brain('made', '01', t1w, 20.0, 10.0)
    vars(brain)['ventricle_vox'] = np.ones(SHAPE, np.float16)
    as_it_is = draw_deformed(brain, box, np.random.default_rng(seed), never).t1w
    np.testing.assert_array_equal(as_it_is, t1w[box])
    deformed = draw_deformed(brain, box, np.random.default_rng(seed), always).t1w
    assert deformed.shape == as_it_is.shape
    assert deformed.dtype == as_it_is.dtype == np.float32
    assert not np.array_equal(deformed, as_it_is)
