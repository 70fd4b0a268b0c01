from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.training.examples.augment import (
    AugmentConfig,
    add_bias,
    add_noise,
    augment,
    blur,
    change_contrast,
    give_contrast_agent,
    lower_contrast,
    sharpen,
    thicken_slices,
)

CONFIG = AugmentConfig(
    blur_probability=1,
    low_contrast_probability=1,
    thick_slice_probability=1,
    sharpen_probability=1,
    contrast_agent_probability=1,
)
NOTHING = AugmentConfig(
    gain=0,
    gamma=(1, 1),
    low_contrast_probability=0,
    bias=0,
    patches=0,
    noise_sd=0,
    blur_probability=0,
    thick_slice_probability=0,
    sharpen_probability=0,
    contrast_agent_probability=0,
)
CHANGES = [
    change_contrast,
    lower_contrast,
    give_contrast_agent,
    add_bias,
    add_noise,
    blur,
    sharpen,
    thicken_slices,
    augment,
]
EVEN_SLICES = replace(CONFIG, slice_gain_sd=0)


def _pair():
    target = np.random.default_rng(0).uniform(0.5, 1.5, (10, 12, 14)).astype(np.float32)
    target[:2] = 0
    lesioned = target.copy()
    lesioned[5, 5, 5:8] *= 0.5
    return lesioned, target


@pytest.mark.parametrize('change', CHANGES)
@given(seed=st.integers(0, 99))
def test_equal_volumes_stay_equal_and_the_outside_stays_zero(change, seed):
    _, target = _pair()
    first, second = change((target, target), np.random.default_rng(seed), CONFIG)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert not first[:2].any()


@pytest.mark.parametrize('change', [change_contrast, add_bias, add_noise])
@given(seed=st.integers(0, 99))
def test_only_lesion_voxels_differ_after_a_change(change, seed):
    pair = _pair()
    before = pair[0] != pair[1]
    first, second = change(pair, np.random.default_rng(seed), CONFIG)
    np.testing.assert_array_equal(first != second, before)


@pytest.mark.parametrize('change', CHANGES)
def test_a_range_of_nothing_changes_nothing(change):
    pair = _pair()
    changed = change(pair, np.random.default_rng(0), NOTHING)
    np.testing.assert_allclose(changed[0], pair[0], rtol=1e-5)
    np.testing.assert_allclose(changed[1], pair[1], rtol=1e-5)


def test_contrast_keeps_white_matter_but_for_the_gain():
    white = np.full((3, 3, 3), 1.4, np.float32)
    config = AugmentConfig(gain=0)
    changed, _ = change_contrast((white, white), np.random.default_rng(0), config)
    np.testing.assert_allclose(changed, white, rtol=1e-5)


def test_noise_is_the_same_in_both():
    pair = _pair()
    first, second = add_noise(pair, np.random.default_rng(0), CONFIG)
    np.testing.assert_allclose(first - pair[0], second - pair[1], atol=1e-6)


@given(seed=st.integers(0, 99))
def test_thick_slices_keep_a_constant_brain_up_to_its_border(seed):
    white = np.full((10, 12, 14), 1.4, np.float32)
    white[:2] = 0
    changed, _ = thicken_slices((white, white), np.random.default_rng(seed), EVEN_SLICES)
    np.testing.assert_allclose(changed, white, rtol=1e-5)


def test_thick_slices_blur_one_axis_alone():
    volume = np.full((9, 9, 9), 1.0, np.float32)
    volume[4, 4, 4] = 0.2
    changed, _ = thicken_slices((volume, volume), np.random.default_rng(3), EVEN_SLICES)
    spread = [len(set(np.nonzero(changed < 1 - 1e-6)[axis])) for axis in range(3)]
    assert sorted(spread)[:2] == [1, 1]
    assert max(spread) >= 3


def test_slices_are_not_all_alike():
    white = np.full((9, 9, 9), 1.4, np.float32)
    changed, _ = thicken_slices((white, white), np.random.default_rng(0), CONFIG)
    assert 0.001 < changed.std() / changed.mean() < 0.05


@given(seed=st.integers(0, 99))
def test_low_contrast_keeps_the_order_of_intensities_and_their_mean(seed):
    ramp = np.linspace(0, 2.5, 100, dtype=np.float32)[:, None, None]
    ramp[38], ramp[56] = 0.95, 1.4  # grey and white matter
    changed, _ = lower_contrast((ramp, ramp), np.random.default_rng(seed), CONFIG)
    order = np.argsort(ramp.ravel())
    assert (np.diff(changed.ravel()[order]) >= 0).all()
    assert changed[0] == 0
    low, high = CONFIG.white_to_grey
    assert low - 1e-3 <= changed[56, 0, 0] / changed[38, 0, 0] <= high + 1e-3
    assert 1.05 < (changed[56, 0, 0] + changed[38, 0, 0]) / 2 < 1.2


def test_contrast_agent_brightens_fluid_and_no_white_matter():
    target = np.full((30, 30, 30), 1.4, np.float32)
    target[15:] = 0.5
    changed, _ = give_contrast_agent((target, target), np.random.default_rng(0), CONFIG)
    np.testing.assert_array_equal(changed[:15], target[:15])
    bright = changed[15:] > 0.5
    assert 0.01 < bright.mean() < 0.5
    assert changed[15:][~bright] == pytest.approx(0.5)
    assert changed.max() == pytest.approx(changed.max().clip(1.4, 3))


def test_sharpening_strengthens_an_edge_and_keeps_what_is_even():
    step = np.full((20, 8, 8), 1.4, np.float32)
    step[10:] = 1.0
    changed, _ = sharpen((step, step), np.random.default_rng(1), CONFIG)
    assert changed[9].min() > 1.41
    assert changed[10].max() < 0.99
    np.testing.assert_allclose(changed[[0, -1]], step[[0, -1]], atol=1e-4)
