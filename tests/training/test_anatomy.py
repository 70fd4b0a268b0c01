"""Pale rims and perivascular spaces: of healthy older brains, in image and truth alike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.training.examples.anatomy import AgeConfig, Anatomy, grow_old
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.examples.simulate import simulate

WHITE, GREY, FLUID = 1.4, 1.0, 0.4
RIMS = AgeConfig(rim_probability=1, rim_width_vox=(2, 2), rim_depth=(0.5, 0.5))
SPACES = AgeConfig(space_probability=1, spaces_per_box=(6, 6))


def _anatomy():
    t1w = np.zeros((32, 32, 32), np.float32)
    t1w[2:30, 2:30, 2:30] = GREY
    white = np.zeros(t1w.shape, bool)
    white[5:27, 5:27, 5:27] = True
    fluid = np.zeros(t1w.shape, bool)
    fluid[14:18, 12:20, 14:18] = True
    white &= ~fluid
    t1w[white], t1w[fluid] = WHITE, FLUID
    return Anatomy(t1w, white, ndimage.distance_transform_edt(~fluid), WHITE, GREY)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_only_white_matter_grows_darker(seed):
    before = _anatomy()
    config = replace(RIMS, space_probability=1)
    after = grow_old(before, np.random.default_rng(seed), config)
    assert (after.t1w <= before.t1w).all()
    np.testing.assert_array_equal(
        after.t1w[~before.white_matter], before.t1w[~before.white_matter]
    )
    assert (after.t1w[before.white_matter] >= FLUID).all()
    np.testing.assert_array_equal(after.white_matter, before.white_matter)
    again = grow_old(before, np.random.default_rng(seed), config)
    np.testing.assert_array_equal(after.t1w, again.t1w)


def test_rims_are_palest_along_the_ventricle():
    before = _anatomy()
    pale = before.t1w - grow_old(before, np.random.default_rng(0), RIMS).t1w
    near = before.white_matter & (before.ventricle_vox < 2)
    far = before.white_matter & (before.ventricle_vox > 8)
    assert pale[near].mean() > 10 * pale[far].mean()
    assert pale.max() <= 0.5 * (WHITE - GREY)


def test_wide_rims_are_less_dark():
    before = _anatomy()
    wide = replace(RIMS, rim_width_vox=(4, 4))
    pale = [before.t1w - grow_old(before, np.random.default_rng(0), c).t1w for c in (RIMS, wide)]
    assert pale[1].max() < 0.65 * pale[0].max()


def test_spaces_are_thin_lines():
    before = _anatomy()
    opened = grow_old(before, np.random.default_rng(0), SPACES).t1w < before.t1w
    assert opened.any()
    assert not ndimage.binary_erosion(opened).any()
    labels, number = ndimage.label(opened, np.ones((3, 3, 3)))
    assert 1 <= number <= 6
    assert np.bincount(labels.ravel())[1:].max() <= 6 * 21


def test_where_there_is_no_white_matter_no_space_opens():
    nowhere = _anatomy()._replace(white_matter=np.zeros((32, 32, 32), bool))
    found = grow_old(nowhere, np.random.default_rng(0), SPACES)
    np.testing.assert_array_equal(found.t1w, nowhere.t1w)


def test_young_brains_draw_nothing():
    rng = np.random.default_rng(0)
    before = _anatomy()
    assert grow_old(before, rng, AgeConfig()) is not None
    np.testing.assert_array_equal(grow_old(before, rng, AgeConfig()).t1w, before.t1w)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize('seed', range(4))
def test_what_is_pale_around_lesions_is_pale_in_the_truth(seed):
    before = _anatomy()
    box = (slice(0, 32),) * 3
    config = LesionConfig(
        healthy_share=0,
        masks_per_image=(0, 0),
        dots_per_image=(6, 6),
        halo_probability=1,
        halo_depth=(0.2, 0.2),
        texture=(0, 0),
    )
    example = simulate(before, [], box, np.random.default_rng(seed), config)
    pale = before.t1w - example.target
    assert pale[before.white_matter].max() > 0.02
    np.testing.assert_array_equal(pale[~before.white_matter], 0)
    assert pale.max() <= 0.2 * WHITE + 1e-6
    # Where no lesion is, image and truth agree: a halo is not to be filled.
    none = example.share == 0
    np.testing.assert_array_equal(example.lesioned[none], example.target[none])
    assert (example.lesioned[example.share > 0.5] < example.target[example.share > 0.5]).any()
