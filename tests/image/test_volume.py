import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from source_images import ORIENTATIONS, make_affine

from bids_inpaint.image.volume import Volume, box_around, dilate, load, save, volume_mm3


@pytest.mark.parametrize('orientation', ORIENTATIONS)
@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
def test_what_is_saved_is_loaded(tmp_path, orientation, extension):
    shape = (5, 6, 7)
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    affine = make_affine(orientation, shape, (1.0, 0.5, 3.0))
    path = tmp_path / f'image{extension}'
    assert save(Volume(data, affine), path) == path
    found = load(path)
    assert found.data.dtype == np.float32
    np.testing.assert_array_equal(found.data, data)
    # The affine is stored in single precision.
    np.testing.assert_allclose(found.affine, affine, atol=1e-5)


def test_a_mask_is_loaded_as_numbers(tmp_path):
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.5
    found = load(save(Volume(mask.astype(np.uint8), np.eye(4)), tmp_path / 'mask.nii'))
    assert found.data.dtype == np.float32
    np.testing.assert_array_equal(found.data, mask)


def test_box_is_the_smallest_with_its_margin_within_the_volume():
    mask = np.zeros((10, 12, 14), bool)
    mask[1, 5, 7] = mask[4, 6, 12] = True
    assert box_around(mask, margin=2) == (slice(0, 7), slice(3, 9), slice(5, 14))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    share=st.floats(0, 1),
    voxels=st.integers(1, 3),
    corners=st.booleans(),
)
def test_a_mask_is_dilated_as_scipy_does_it(seed, shape, share, voxels, corners):
    mask = np.random.default_rng(seed).random(shape) < share
    before = mask.copy()
    touching = ndimage.generate_binary_structure(3, 3 if corners else 1)
    found = dilate(mask, voxels, corners=corners)
    expected = ndimage.binary_dilation(mask, touching, iterations=voxels)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mask, before)


@given(voxels=st.integers(0, 4), seed=st.integers(0, 20))
def test_dilation_reaches_as_far_as_it_says(voxels, seed):
    mask = np.random.default_rng(seed).random((9, 10, 11)) > 0.98
    distance = ndimage.distance_transform_cdt(~mask, metric='taxicab') if mask.any() else None
    expected = mask if distance is None else distance <= voxels
    np.testing.assert_array_equal(dilate(mask, voxels), expected)


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_volume_is_in_mm3(orientation):
    mask = np.zeros((5, 6, 7), bool)
    mask[1:3, 2:5, 3:7] = True
    affine = make_affine(orientation, mask.shape, (1.0, 2.0, 3.0))
    assert volume_mm3(mask, affine) == pytest.approx(144)
