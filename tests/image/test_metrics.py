import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.image.metrics import correlation, dice, lesion_error, psnr


def _volume(seed):
    return np.random.default_rng(seed).random((5, 6, 7), dtype=np.float32)


@given(level=st.floats(1e-3, 0.5))
def test_psnr_of_a_constant_error_is_known(level):
    truth = np.ones((5, 6, 7), np.float32)
    assert psnr(truth, truth - np.float32(level)) == pytest.approx(
        -20 * np.log10(np.float32(1) - np.float32(1 - np.float32(level))), abs=0.01
    )


def test_psnr_of_the_truth_is_infinite_and_ignores_gain():
    assert psnr(_volume(0), _volume(0)) == np.inf
    assert psnr(3 * _volume(0), 3 * _volume(1)) == pytest.approx(
        psnr(_volume(0), _volume(1)), abs=1e-3
    )


def test_one_bright_voxel_does_not_move_the_peak():
    truth = np.ones((20, 20, 20), np.float32)
    truth[0, 0, 0] = 100
    assert psnr(truth, truth - np.float32(0.1)) == pytest.approx(20, abs=0.1)


@given(gain=st.floats(0.1, 10), offset=st.floats(-1, 1))
def test_correlation_ignores_gain_and_offset(gain, offset):
    truth = _volume(0)
    assert correlation(truth, (gain * truth + offset).astype(np.float32)) == pytest.approx(1)


def test_lesion_error_is_a_share_of_doing_nothing():
    truth = np.ones((3, 4, 5), np.float32)
    mask = np.zeros(truth.shape, bool)
    mask[1, 1:3, 2] = True
    lesioned = np.where(mask, np.float32(0.5), truth)
    assert lesion_error(truth, lesioned, lesioned, mask) == 1
    assert lesion_error(truth, truth, lesioned, mask) == 0
    half = np.where(mask, np.float32(0.75), truth)
    assert lesion_error(truth, half, lesioned, mask) == pytest.approx(0.5)
    overshoot = np.where(mask, np.float32(1.25), truth)
    assert lesion_error(truth, overshoot, lesioned, mask) == pytest.approx(0.5)


def test_lesion_error_without_lesions_has_no_meaning():
    truth = _volume(0)
    with pytest.raises(ValueError, match='no difference to the truth in the 210 voxels'):
        lesion_error(truth, truth, truth, np.ones(truth.shape, bool))


def test_dice():
    first = np.array([True, True, False, False])
    assert dice(first, np.array([True, False, True, False])) == 0.5
    assert dice(first, first) == 1
    assert dice(first, ~first) == 0
    assert dice(first & False, first & False) == 1
