import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.evaluation.masking import draw_mask_to_psnr, mask_to_psnr
from bids_inpaint.image.metrics import psnr
from bids_inpaint.network.inference import HIDDEN
from bids_inpaint.training.examples.simulate import conceal

SHAPE = (30, 32, 34)
T1W = np.random.default_rng(0).uniform(0.9, 1.5, SHAPE).astype(np.float32)


def _boxes():
    candidates = np.zeros(SHAPE, bool)
    for corner in np.argwhere(np.ones((5, 5, 5), bool)) * 6:
        candidates[tuple(slice(c, c + 2 + c % 3) for c in corner)] = True
    return candidates


@settings(max_examples=20)
@given(wanted=st.floats(18, 26), seed=st.integers(0, 5))
def test_what_is_left_has_the_wanted_psnr(wanted, seed):
    mask = mask_to_psnr(T1W, _boxes(), wanted, np.random.default_rng(seed))
    assert not (mask & ~_boxes()).any()
    # A voxel is the finest step: at 26 dB that is about 0.1 dB.
    assert psnr(T1W, conceal(T1W, mask)) == pytest.approx(wanted, abs=0.2)


def test_too_few_lesions_are_all_taken():
    few = np.zeros(SHAPE, bool)
    few[3:5, 3:5, 3:5] = few[20:22, 3, 3] = True
    mask = mask_to_psnr(T1W, few, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(mask, few)


def test_a_single_large_lesion_is_cut():
    large = np.zeros(SHAPE, bool)
    large[5:25, 5:25, 5:25] = True
    mask = mask_to_psnr(T1W, large, 20, np.random.default_rng(0))
    assert 0 < mask.sum() < large.sum()
    assert psnr(T1W, conceal(T1W, mask)) == pytest.approx(20, abs=0.1)


def test_masks_are_drawn_where_lesions_may_lie_the_same_each_time():
    allowed = np.zeros(SHAPE, bool)
    allowed[6:24, 6:26, 6:28] = True
    source = np.zeros(SHAPE, bool)
    source[10:16, 10:16, 10:16] = True
    drawn = [
        draw_mask_to_psnr(T1W, allowed, [source], 20, np.random.default_rng(3)) for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)
    assert not (drawn[0] & ~allowed).any()
    assert psnr(T1W, conceal(T1W, drawn[0])) == pytest.approx(20, abs=0.2)


def test_masks_that_hide_too_little_are_an_error():
    nowhere = np.zeros(SHAPE, bool)
    with pytest.raises(ValueError, match=r'20 lesion masks hide too little .* 0 voxels'):
        draw_mask_to_psnr(T1W, nowhere, [nowhere], 20, np.random.default_rng(0))


def test_hidden_voxels_have_the_value_that_tells():
    mask = T1W > 1.2
    hidden = conceal(T1W, mask)
    assert (hidden[mask] == HIDDEN).all()
    np.testing.assert_array_equal(hidden[~mask], T1W[~mask])
