import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.training.examples.fields import slice_matrices, smooth_field

SIZES = st.tuples(*[st.integers(2, 5)] * 3)


@settings(deadline=None)
@given(coarse=SIZES, factor=st.integers(2, 6), seed=st.integers(0, 99))
def test_smooth_field_is_scipys_zoom(coarse, factor, seed):
    values = np.random.default_rng(seed).random(coarse)
    shape = tuple(factor * n for n in coarse)
    wanted = ndimage.zoom(values, factor, order=1, grid_mode=True, mode='nearest')
    field = smooth_field(values, shape)
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, wanted, atol=1e-5)


def test_a_single_value_is_a_constant():
    np.testing.assert_array_equal(smooth_field(np.full((1, 1, 1), 3.0), (4, 5, 6)), 3)


@given(size=st.integers(1, 40), thickness=st.floats(1, 8), start=st.floats(0, 1, exclude_max=True))
def test_thick_slices_average_and_keep_constants(size, thickness, start):
    average, interpolate = slice_matrices(size, thickness, start)
    assert average.shape == interpolate.shape[::-1] == (len(average), size)
    assert len(average) <= size / thickness + 2
    for matrix in (average, interpolate):
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


def test_slices_as_thick_as_a_voxel_change_nothing():
    for matrix in slice_matrices(7, 1.0, 0.0):
        np.testing.assert_allclose(matrix, np.eye(7), atol=1e-6)
