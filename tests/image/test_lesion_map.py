import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.image.lesion_map import count_lesions, map_lesions, white_matter_of

SHAPE = (9, 10, 11)
EVERYWHERE = np.ones(SHAPE, bool)


def mapped(difference, white=EVERYWHERE, threshold=0.2, min_size_vox=1.0):
    return map_lesions(
        difference.astype(np.float32), white, threshold=threshold, min_size_vox=min_size_vox
    )


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


def tissue_case():
    """Brightness 0.7 in grey and 1.3 in white matter, with a template that is sure of half."""
    white = np.zeros(SHAPE, bool)
    white[:, :5] = True
    inpainted = np.where(white, 1.3, 0.7).astype(np.float32)
    sure = np.zeros(SHAPE, np.float32)
    sure[:, ::2] = 1
    return inpainted, white, np.where(white, 0, sure), np.where(white, sure, 0)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.2, 5), seed=st.integers(0, 99))
def test_white_matter_is_what_is_nearer_to_white_than_to_grey(gain, seed):
    inpainted, white, grey_probability, white_probability = tissue_case()
    noise = np.random.default_rng(seed).normal(0, 0.05, SHAPE).astype(np.float32)
    brain = EVERYWHERE.copy()
    brain[0] = False
    found = white_matter_of(
        (gain * (inpainted + noise)).astype(np.float32), brain, grey_probability, white_probability
    )
    np.testing.assert_array_equal(found, white & brain)


def test_half_way_between_the_medians():
    inpainted, _, grey_probability, white_probability = tissue_case()
    inpainted[4, 1, 1], inpainted[4, 1, 2] = 0.99, 1.01
    found = white_matter_of(inpainted, EVERYWHERE, grey_probability, white_probability)
    assert not found[4, 1, 1]
    assert found[4, 1, 2]


def test_a_brain_mask_without_tissue_is_an_error():
    nothing = np.zeros(SHAPE, np.float32)
    with pytest.raises(ValueError, match='no voxel of sure tissue in a brain mask of 990'):
        white_matter_of(np.ones(SHAPE, np.float32), EVERYWHERE, nothing, nothing)
