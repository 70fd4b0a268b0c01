"""Grids, sampling and smooth fields of made-up heads."""

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.heads.grid import (
    Grid,
    Map,
    average_slices,
    finer,
    oriented_grid,
    positions_mm,
    sample,
    smooth_field,
    spline_basis,
)

OBLIQUE_DEG = [(0, 0, 0), (16, -7, 5)]


@pytest.mark.parametrize('axcodes', ['RAS', 'LAS', 'LPS', 'PSR'])
@pytest.mark.parametrize('oblique_deg', OBLIQUE_DEG)
def test_grid_has_the_axes_zooms_and_centre_asked_for(axcodes, oblique_deg):
    grid = oriented_grid((5, 6, 7), (1, 1.5, 2), axcodes, (3, -4, 5), oblique_deg)
    assert ''.join(nb.aff2axcodes(grid.affine)) == axcodes
    np.testing.assert_allclose(grid.zooms_mm, (1, 1.5, 2))
    np.testing.assert_allclose(nb.affines.apply_affine(grid.affine, [2, 2.5, 3]), (3, -4, 5))


@pytest.mark.parametrize('oblique_deg', OBLIQUE_DEG)
def test_positions_are_those_of_nibabel(oblique_deg):
    grid = oriented_grid((5, 6, 7), (1, 1.5, 2), 'PSR', (3, -4, 5), oblique_deg)
    expected = nb.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))
    positions = positions_mm(grid.shape, grid.affine)
    assert positions.dtype == np.float32
    np.testing.assert_allclose(np.moveaxis(positions, 0, -1), expected, atol=1e-4)


@pytest.mark.parametrize('factor', [1, 2, 3])
def test_slices_of_a_finer_grid_average_to_the_coarse_one(factor):
    grid = oriented_grid((5, 6, 7), (1, 1, 2), 'LAS', (0, 0, 0), (10, 5, 0))
    fine = finer(grid, factor)
    for axis in range(3):
        averaged = average_slices(positions_mm(fine.shape, fine.affine)[axis], factor)
        np.testing.assert_allclose(averaged, positions_mm(*grid)[axis], atol=1e-4)


def test_sample_returns_a_linear_function_in_any_orientation():
    grid = oriented_grid((9, 10, 11), (1, 1.5, 2), 'PSR', (3, -4, 5), (16, -7, 5))
    x, y, z = positions_mm(*grid)
    points = np.array([[3.2, 2.1], [-4.7, -3.3], [5.9, 4.4]], np.float32)
    values = sample(Map(2 * x - y + 0.5 * z, grid.affine), points)
    np.testing.assert_allclose(values, 2 * points[0] - points[1] + 0.5 * points[2], atol=1e-3)


def test_sample_gives_the_value_outside():
    source = Map(np.ones((3, 3, 3), np.float32), np.eye(4))
    far = np.full((3, 1), 50, np.float32)
    assert sample(source, far, outside=0) == 0
    assert sample(source, far) == 1


@given(length=st.integers(2, 40), spacing=st.floats(1.5, 30))
def test_splines_are_positive_and_sum_to_one(length, spacing):
    basis = spline_basis(length, spacing)
    assert basis.min() >= 0
    np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-5)


def test_smooth_field_is_bounded_smooth_and_the_same_for_the_same_seed():
    grid = Grid((20, 21, 22), np.diag([1.0, 1.0, 2.0, 1.0]))
    field = smooth_field(grid, 8, np.random.default_rng(1))
    assert field.shape == grid.shape
    assert field.dtype == np.float32
    assert 0.2 < np.abs(field).max() <= 1
    # A spline's slope is at most twice its largest coefficient, over the spacing of the knots.
    assert np.abs(np.diff(field, axis=0)).max() <= 2 / 8
    assert np.abs(np.diff(field, axis=2)).max() <= 2 * 2 / 8
    np.testing.assert_array_equal(field, smooth_field(grid, 8, np.random.default_rng(1)))
