"""From the grid of a scan to the template's millimetres: pose, size and individual shape."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from demo.heads.grid import Floats, Grid, positions_mm, smooth_field

HEAD_CENTRE_MM = np.array([0.0, -15.0, 0.0])  # what the head turns about, in template space

# Knot spacing and bound of the coefficients. A cubic B-spline displacement is one-to-one while
# its coefficients stay below 0.403 of the spacing (Choi and Lee 2000); the bound is on the
# gradient, so that the shares of the two scales add up: 0.30 + 0.09.
SHAPE_SCALES_MM = ((42.0, 12.6), (13.0, 1.2))

VENTRICLE_CENTRES_MM = ((-15.0, -12.0, 14.0), (15.0, -12.0, 14.0))
VENTRICLE_REACH_MM = (14.0, 30.0, 16.0)


def pose(
    rotation_deg: tuple[float, float, float],
    scale: tuple[float, float, float],
    shift_mm: tuple[float, float, float],
) -> NDArray[np.float64]:
    """(4, 4) matrix that takes template millimetres to scanner millimetres.

    The head is scaled along its own axes, turned around x, then y, then z, and shifted.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', rotation_deg, degrees=True).as_matrix()
    matrix[:3, :3] *= scale
    matrix[:3, 3] = shift_mm - matrix[:3, :3] @ HEAD_CENTRE_MM
    return matrix


def shape_displacement(
    grid: Grid, head_pose: NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """Individual shape: a smooth, one-to-one displacement.

    Parameters
    ----------
    grid : Grid
        Voxels of the scan.
    head_pose : (4, 4) float64
        Template to scanner millimetres.
    rng : numpy.random.Generator
        Source of the shape.

    Returns
    -------
    displacement_mm : (3, X, Y, Z) float32
        Added to a template position; the knots are so many template millimetres apart.

    """
    shrink = np.cbrt(np.linalg.det(head_pose[:3, :3]))
    total = np.zeros((3, *grid.shape), np.float32)
    for spacing, bound in SHAPE_SCALES_MM:
        for axis in range(3):
            total[axis] += bound * smooth_field(grid, spacing * shrink, rng)
    return total


def enlarge_ventricles(points_mm: Floats, strength: float) -> Floats:
    """Pull positions near the lateral ventricles towards their centres.

    A map sampled there shows ventricles that are larger by up to ``1 / (1 - strength)``; a
    negative strength makes them smaller. One-to-one for strengths in (-0.8, 1).

    Parameters
    ----------
    points_mm : (3, ...) float32
        Template millimetres.
    strength : float
        Share of the way to the centre, at the centre.

    Returns
    -------
    points_mm : (3, ...) float32

    """
    moved = points_mm.copy()
    column = (3, *[1] * (points_mm.ndim - 1))
    reach = np.reshape(np.array(VENTRICLE_REACH_MM, np.float32), column)
    for centre in VENTRICLE_CENTRES_MM:
        offset = moved - np.reshape(np.array(centre, np.float32), column)
        near = np.exp(-np.sum((offset / reach) ** 2, axis=0) / 2)
        moved -= np.float32(strength) * near * offset
    return moved


def template_positions(
    grid: Grid,
    head_pose: NDArray[np.float64],
    ventricles: float,
    rng: np.random.Generator,
) -> Floats:
    """Where in template space each voxel of a scan finds its tissue, (3, X, Y, Z) in mm."""
    points = positions_mm(grid.shape, np.linalg.inv(head_pose) @ grid.affine)
    points += shape_displacement(grid, head_pose, rng)
    return enlarge_ventricles(points, ventricles)
