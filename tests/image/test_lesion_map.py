import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.image.lesion_map import count_lesions, drop_specks

SHAPE = (9, 10, 11)
EVERYWHERE = np.ones(SHAPE, bool)


def mapped(difference, white=EVERYWHERE, threshold=0.2, min_size_vox=1.0):
    return drop_specks((np.abs(difference) > threshold) & white, min_size_vox)


def two_lesions():
    """One of 8 voxels, and one of 3 that touch by corners only."""
    difference = np.zeros(SHAPE)
    difference[1:3, 1:3, 1:3] = 0.3
    for i in (5, 6, 7):
        difference[i, i, i] = -0.3
    return difference


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0, 2))
def test_lesions_are_above_the_threshold_and_in_white_matter(seed, threshold):
    rng = np.random.default_rng(seed)
    difference, white = rng.normal(size=SHAPE).astype(np.float32), rng.random(SHAPE) > 0.5
    lesions = mapped(difference, white, threshold)
    np.testing.assert_array_equal(lesions, (np.abs(difference) > threshold) & white)
    assert lesions.dtype == bool


@pytest.mark.parametrize(
    ('least', 'count', 'voxels'), [(0, 2, 11), (3, 2, 11), (3.01, 1, 8), (8, 1, 8), (8.01, 0, 0)]
)
def test_small_lesions_are_left_out(least, count, voxels):
    lesions = mapped(two_lesions(), min_size_vox=least)
    assert (count_lesions(lesions), lesions.sum()) == (count, voxels)


def test_a_lesion_is_measured_within_white_matter():
    white = EVERYWHERE.copy()
    white[2] = False
    assert not mapped(two_lesions(), white, min_size_vox=5).any()


def test_no_lesion():
    none = mapped(np.zeros(SHAPE), min_size_vox=0)
    assert not none.any()
    assert count_lesions(none) == 0
