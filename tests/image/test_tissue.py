import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.image.tissue import (
    certain_tissues,
    joint_variation,
    tissue_contrast,
    white_matter_of,
)

SHAPE = (9, 10, 11)
EVERYWHERE = np.ones(SHAPE, bool)


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
    with pytest.raises(ValueError, match='990'):
        white_matter_of(np.ones(SHAPE, np.float32), EVERYWHERE, nothing, nothing)


def test_joint_variation_is_the_spread_of_both_tissues_by_their_difference():
    inpainted, _, *maps = tissue_case()
    sure = certain_tissues(inpainted, EVERYWHERE, *maps)
    assert tissue_contrast(*sure) == pytest.approx(0.6)
    assert joint_variation(*sure) == 0
    noise = np.random.default_rng(0).normal(0, 0.1, SHAPE).astype(np.float32)
    noisy = certain_tissues(inpainted + noise, EVERYWHERE, *maps)
    assert joint_variation(*noisy) == pytest.approx(2 * 0.1 / 0.6, rel=0.15)
    assert joint_variation(np.ones(9, np.float32), np.ones(9, np.float32)) == np.inf
