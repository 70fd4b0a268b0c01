import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.training.examples.deform import DeformConfig
from bids_inpaint.training.examples.lesions import (
    LesionConfig,
    add_lesions,
    draw_caps,
    draw_dots,
    place_mask,
)

CONFIG = LesionConfig()
STILL = LesionConfig(
    deform=DeformConfig(rotation_deg=0, scale=(1, 1), mirror=0.5, shift_vox=0, warp_vox=0)
)


def _blob(shape=(24, 20, 28)):
    mask = np.zeros(shape, bool)
    mask[8:13, 9:14, 10:18] = True
    return mask


@given(seed=st.integers(0, 999))
def test_lesions_are_dark_and_only_where_their_share_is(seed):
    t1w = np.full((24, 20, 28), 1.4, np.float32)
    rng = np.random.default_rng(seed)
    lesioned, share = add_lesions(t1w, _blob(), 1.4, rng, CONFIG)
    assert lesioned.dtype == share.dtype == np.float32
    assert share.min() >= 0
    assert share.max() <= 1 + 1e-6
    np.testing.assert_array_equal(lesioned[share == 0], t1w[share == 0])
    assert (lesioned <= t1w + 1e-6).all()
    assert share[_blob()].mean() > 0.5


def test_nothing_is_brightened():
    t1w = np.full((24, 20, 28), 0.2, np.float32)
    lesioned, _ = add_lesions(t1w, _blob(), 1.4, np.random.default_rng(0), CONFIG)
    np.testing.assert_array_equal(lesioned, t1w)


def test_no_mask_changes_nothing():
    t1w = np.ones((5, 6, 7), np.float32)
    lesioned, share = add_lesions(t1w, t1w < 0, 1.4, np.random.default_rng(0), CONFIG)
    np.testing.assert_array_equal(lesioned, t1w)
    assert not share.any()


def test_each_lesion_has_an_intensity_of_its_own():
    mask = np.zeros((30, 20, 20), bool)
    mask[3:9, 5:15, 5:15] = mask[20:26, 5:15, 5:15] = True
    t1w = np.full(mask.shape, 1.4, np.float32)
    config = LesionConfig(texture=(0, 0))
    lesioned, _ = add_lesions(t1w, mask, 1.4, np.random.default_rng(3), config)
    first, second = lesioned[6, 10, 10], lesioned[23, 10, 10]
    assert abs(first - second) > 0.05
    assert lesioned[5, 9, 9] == pytest.approx(first, abs=0.02)


@given(seed=st.integers(0, 99))
def test_a_core_is_darker_than_the_border(seed):
    mask = np.zeros((30, 30, 30), bool)
    mask[8:22, 8:22, 8:22] = True
    t1w = np.full(mask.shape, 1.4, np.float32)
    config = LesionConfig(
        core_probability=1, texture=(0, 0), intensity=(0.4, 0.6), rim_sigma_vox=(0.1, 0.1)
    )
    lesioned, share = add_lesions(t1w, mask, 1.4, np.random.default_rng(seed), config)
    along = lesioned[15, 15, 8:16]  # from the border to the centre
    assert (np.diff(along) <= 1e-4).all()
    assert along[-1] < along[0] - 0.1
    assert (lesioned <= t1w + 1e-6).all()
    np.testing.assert_array_equal(lesioned[share == 0], t1w[share == 0])


@given(seed=st.integers(0, 99))
def test_a_mask_without_deformation_is_cut_or_mirrored(seed):
    mask = _blob()
    corner, shape = (4, 0, 6), (16, 20, 20)
    placed = place_mask(mask, corner, shape, np.random.default_rng(seed), STILL)
    wanted = mask[4:20, :, 6:26], mask[::-1][4:20, :, 6:26]
    assert any(np.array_equal(placed, cut) for cut in wanted)


def test_deformed_masks_differ_and_are_reproducible():
    def draw(seed):
        rng = np.random.default_rng(seed)
        return place_mask(_blob(), (0, 0, 0), (24, 20, 28), rng, CONFIG)

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


@given(seed=st.integers(0, 99))
def test_dots_have_their_centres_where_allowed(seed):
    allowed = np.zeros((20, 20, 20), bool)
    allowed[10:] = True
    config = LesionConfig(dots_per_image=(3, 3), dot_radius_vox=(1, 2))
    dots = draw_dots(allowed, np.random.default_rng(seed), config)
    assert dots.any()
    assert not dots[:7].any()  # farther than the largest radius (2 x 1.4) from what is allowed


def test_no_dots_where_nothing_is_allowed():
    allowed = np.zeros((5, 6, 7), bool)
    assert not draw_dots(allowed, np.random.default_rng(0), CONFIG).any()


@given(seed=st.integers(0, 99))
def test_caps_lie_around_ventricles_and_not_in_them(seed):
    ventricles = _blob((40, 40, 40))
    config = LesionConfig(cap_width_vox=(2.0, 5.0))
    distance = ndimage.distance_transform_edt(~ventricles)
    caps = draw_caps(distance, np.random.default_rng(seed), config)
    rim = ndimage.binary_dilation(ventricles) & ~ventricles
    assert not (caps & ventricles).any()
    assert caps[rim].all()
    assert distance[caps].max() < 5


def test_caps_of_a_width_below_zero_are_none():
    config = LesionConfig(cap_width_vox=(-3.0, -1.0))
    assert not draw_caps(
        ndimage.distance_transform_edt(~_blob()), np.random.default_rng(0), config
    ).any()


def test_no_ventricles_no_caps():
    nowhere = np.full((20, 20, 20), np.inf)
    assert not draw_caps(nowhere, np.random.default_rng(0), CONFIG).any()
