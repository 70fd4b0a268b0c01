import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.image.thresholds import change_weights, composite

EDGE, CORE = 0.1, 0.3
SHAPE = (11, 12, 13)
FACES = ndimage.generate_binary_structure(3, 1)


def weights_of(difference, brain=None):
    brain = np.ones(difference.shape, bool) if brain is None else brain
    return change_weights(
        difference.astype(np.float32), brain, edge_threshold=EDGE, core_threshold=CORE
    )


def random_case(seed):
    """Difference and brain: smooth blobs, so that some reach the core's threshold."""
    rng = np.random.default_rng(seed)
    difference = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2)
    brain = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) > 0
    return (0.4 * difference / np.abs(difference).max()).astype(np.float32), brain


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sign=st.sampled_from([1, -1]))
def test_weights_are_in_bounds_full_at_the_core_and_zero_outside_the_brain(seed, sign):
    difference, brain = random_case(seed)
    weights = weights_of(sign * difference, brain)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert not weights[~brain].any()
    assert (weights[brain & (np.abs(difference) > CORE)] == 1).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_is_changed_further_than_two_voxels_from_a_large_difference(seed):
    difference, brain = random_case(seed)
    weights = weights_of(difference, brain)
    large = brain & (np.abs(difference) > EDGE)
    assert not weights[~ndimage.binary_dilation(large, FACES, 2)].any()
    assert not (weights[~large] == 1).any()


def test_a_difference_counts_only_where_it_is_connected_to_a_core():
    difference = np.zeros(SHAPE)
    difference[2:5, 2:5, 2:5] = 0.2
    difference[8:10, 8:10, 8:10] = 0.2
    difference[4, 4, 4] = 0.4
    weights = weights_of(difference)
    assert (weights[2:5, 2:5, 2:5] == 1).all()
    assert not weights[8:10, 8:10, 8:10].any()


def test_corners_connect():
    difference = np.zeros(SHAPE)
    difference[4, 4, 4], difference[5, 5, 5] = 0.4, 0.2
    assert weights_of(difference)[5, 5, 5] == 1


def test_no_core_outside_the_brain_and_no_way_around_it():
    difference = np.full(SHAPE, 0.2)
    difference[0, 0, 0] = 0.4
    brain = np.ones(SHAPE, bool)
    brain[0, 0, 0] = False
    assert not weights_of(difference, brain).any()
    brain[0, 0, 0], brain[6] = True, False
    weights = weights_of(difference, brain)
    assert (weights[:6] == 1).all()
    assert not weights[6:].any()


def test_the_taper_is_one_voxel_wide():
    difference = np.zeros(SHAPE)
    difference[5, 6, 6] = 0.4
    line = weights_of(difference)[5, 6]
    np.testing.assert_allclose(line[4:10], [0, 0.5, 1, 0.5, 0, 0], rtol=1e-6)


def test_no_difference_no_change():
    assert not weights_of(np.zeros(SHAPE)).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_composite_takes_a_share_and_keeps_the_rest_bit_by_bit(seed):
    rng = np.random.default_rng(seed)
    t1w, inpainted = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    weights = rng.choice([0, 0, 1 / 3, 1], SHAPE).astype(np.float32)
    inpainted[weights == 0] = rng.choice([np.nan, np.inf, 1.0])
    with np.errstate(invalid='ignore'):
        out = composite(t1w, inpainted, weights)
    assert out.dtype == np.float32
    assert out[weights == 0].tobytes() == t1w[weights == 0].tobytes()
    inside = weights > 0
    expected = (1.0 - weights[inside]) * t1w[inside] + weights[inside] * inpainted[inside]
    np.testing.assert_allclose(out[inside], expected, atol=1e-5)


@pytest.mark.parametrize('axis', range(3))
def test_weights_know_no_direction(axis):
    difference, brain = random_case(1)
    turned = weights_of(np.flip(difference, axis), np.flip(brain, axis))
    np.testing.assert_array_equal(np.flip(turned, axis), weights_of(difference, brain))
