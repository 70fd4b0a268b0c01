"""Single lesions of a library: where the patient had them, or mirrored, or a little away."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_inpaint.training.examples.lesions import LesionConfig, draw_shapes
from bids_inpaint.training.examples.shapes import load_shapes

SHAPE = (40, 44, 48)
CONFIG = LesionConfig(shapes_per_image=(1, 4), shape_shift_vox=0.0)


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """One lesion of 12 voxels, and one of 144 that is not symmetric."""
    folder = tmp_path_factory.mktemp('library')
    small, large = np.ones((2, 2, 3), bool), np.ones((5, 6, 7), bool)
    large[:, :, 0] = False
    large[0, 0] = False
    large[0, 1] = False
    packed = [np.packbits(lesion) for lesion in (small, large)]
    np.savez(
        folder / 'ms_lesion_shapes.npz',
        corner=np.array([[3, 4, 5], [25, 20, 30]], np.int16),
        shape=np.array([small.shape, large.shape], np.int16),
        offset=np.cumsum([0, *(p.size for p in packed)]).astype(np.int32),
        bits=np.concatenate(packed),
        voxels=np.array([small.sum(), large.sum()], np.int32),
    )
    return load_shapes(folder)


def test_lesions_are_read_as_they_were_drawn(library):
    lesion, corner = library.lesion(1)
    assert lesion.shape == (5, 6, 7)
    assert lesion.sum() == library.sizes_vox[1]
    assert not lesion[:, :, 0].any()
    np.testing.assert_array_equal(corner, [25, 20, 30])


def test_classes_are_by_size(library):
    assert [members.tolist() for members in library.classes] == [[0], [1], [], [], []]


def _mirrored(volume):
    """About the plane of 0 mm, which on the template grid is voxel 90 of 182."""
    return np.roll(volume[::-1], -1, axis=0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999))
def test_a_lesion_lies_where_the_patient_had_it_or_on_the_other_side(library, seed):
    drawn = draw_shapes(library, SHAPE, np.random.default_rng(seed), CONFIG)
    assert drawn.dtype == bool
    assert drawn.shape == SHAPE
    allowed = np.zeros(SHAPE, bool)
    for number in range(2):
        lesion, corner = library.lesion(number)
        box = tuple(slice(c, c + n) for c, n in zip(corner, lesion.shape, strict=True))
        allowed[box] = True
    assert not (drawn & ~(allowed | _mirrored(allowed))).any()
    np.testing.assert_array_equal(
        drawn, draw_shapes(library, SHAPE, np.random.default_rng(seed), CONFIG)
    )


def test_both_sides_and_both_classes_are_drawn(library):
    drawn = [draw_shapes(library, SHAPE, np.random.default_rng(s), CONFIG) for s in range(40)]
    places = [(3, 4, 6), (35, 4, 6), (27, 23, 33), (11, 23, 33)]
    assert all(any(d[x - 1 : x + 3, y - 1 : y + 3, z].any() for d in drawn) for x, y, z in places)


def test_a_class_that_is_not_asked_for_is_not_drawn(library):
    config = replace(CONFIG, class_shares=(0.0, 1.0, 0.0, 0.0, 0.0))
    for seed in range(10):
        drawn = draw_shapes(library, SHAPE, np.random.default_rng(seed), config)
        assert not drawn[:, :8].any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_shifted_lesions_stay_whole_within_the_volume(library, seed):
    config = replace(CONFIG, shape_shift_vox=60.0, shapes_per_image=(1, 1))
    drawn = draw_shapes(library, SHAPE, np.random.default_rng(seed), config)
    assert drawn.sum() in library.sizes_vox


def test_none_may_be_drawn(library):
    config = replace(CONFIG, shapes_per_image=(0, 0))
    assert not draw_shapes(library, SHAPE, np.random.default_rng(0), config).any()


def test_a_library_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'ms_lesion_shapes\.npz'):
        load_shapes(tmp_path)
