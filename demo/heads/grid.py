"""Maps, voxel grids, sampling, and smooth random fields."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float32]

AXES = {'R': (0, 1), 'L': (0, -1), 'A': (1, 1), 'P': (1, -1), 'S': (2, 1), 'I': (2, -1)}


class Map(NamedTuple):
    """Voxels and where they lie.

    `data` is (X, Y, Z); `affine` is (4, 4) and takes voxel indices to RAS+ millimetres.
    """

    data: Floats
    affine: NDArray[np.float64]


class Grid(NamedTuple):
    """Voxels without values: a shape, and the affine from voxel indices to RAS+ millimetres."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def zooms_mm(self) -> NDArray[np.float64]:
        """Edge lengths of a voxel, (3,)."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return lengths


def oriented_grid(
    shape: tuple[int, int, int],
    zooms_mm: tuple[float, float, float],
    axcodes: str,
    centre_mm: tuple[float, float, float] = (0, 0, 0),
    oblique_deg: tuple[float, float, float] = (0, 0, 0),
) -> Grid:
    """Grid whose axes point to `axcodes`, turned about its centre by `oblique_deg` around x, y, z.

    Examples
    --------
    >>> oriented_grid((3, 5, 7), (1, 1, 2), 'LAS').affine.tolist()[0]
    [-1.0, 0.0, 0.0, 1.0]

    """
    linear = np.zeros((3, 3))
    for column, (code, zoom) in enumerate(zip(axcodes, zooms_mm, strict=True)):
        row, sign = AXES[code]
        linear[row, column] = sign * zoom
    linear = Rotation.from_euler('xyz', oblique_deg, degrees=True).as_matrix() @ linear
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.asarray(centre_mm) - linear @ (np.asarray(shape) - 1) / 2
    return Grid(shape, affine)


def finer(grid: Grid, factor: int) -> Grid:
    """Cut each voxel into `factor` slices along the last axis, over the same space."""
    affine = grid.affine.copy()
    affine[:3, 2] /= factor
    affine[:3, 3] -= affine[:3, 2] * (factor - 1) / 2
    return Grid((*grid.shape[:2], grid.shape[2] * factor), affine)


def average_slices(volume: Floats, factor: int) -> Floats:
    """Mean of each `factor` neighbours along the last axis: (X, Y, factor Z) to (X, Y, Z)."""
    slices = volume.reshape(*volume.shape[:2], -1, factor)
    mean: Floats = slices.mean(-1, dtype=np.float32)
    return mean


def positions_mm(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> Floats:
    """Where `affine` puts each voxel, (3, X, Y, Z) in millimetres."""
    i, j, k = (np.arange(n, dtype=np.float64) for n in shape)
    return np.stack(
        [
            ((row[0] * i + row[3])[:, None, None] + (row[1] * j)[:, None] + row[2] * k).astype(
                np.float32
            )
            for row in affine[:3]
        ]
    )


def sample(source: Map, points_mm: Floats, *, outside: float | None = None) -> Floats:
    """Linear interpolation of a map at points.

    Parameters
    ----------
    source : Map
        What is sampled.
    points_mm : (3, ...) float32
        In the millimetres of `source`.
    outside : float, optional
        Value beyond the map; the nearest voxel's if left out.

    Returns
    -------
    values : (...) float32

    """
    voxel_from_mm = np.linalg.inv(source.affine).astype(np.float32)
    voxels = np.tensordot(voxel_from_mm[:3, :3], points_mm, 1)
    voxels += voxel_from_mm[:3, 3].reshape(3, *[1] * (points_mm.ndim - 1))
    mode = 'nearest' if outside is None else 'constant'
    values: Floats = ndimage.map_coordinates(
        source.data, voxels, order=1, mode=mode, cval=outside or 0
    )
    return values


def spline_basis(length: int, spacing: float) -> Floats:
    """Cubic B-splines with knots `spacing` voxels apart, at each voxel: (length, knots)."""
    place = np.arange(length) / spacing
    knot = place.astype(int)
    t = place - knot
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    basis = np.zeros((length, knot[-1] + 4), np.float32)
    for offset, weight in enumerate(weights / 6):
        basis[np.arange(length), knot + offset] = weight
    return basis


def smooth_field(grid: Grid, spacing_mm: float, rng: np.random.Generator) -> Floats:
    """Smooth noise: cubic B-splines with coefficients drawn from [-1, 1].

    Parameters
    ----------
    grid : Grid
        Where the noise is wanted.
    spacing_mm : float
        Distance of the knots; structures are about twice as large.
    rng : numpy.random.Generator
        Source of the coefficients.

    Returns
    -------
    field : (X, Y, Z) float32
        Between -1 and 1, as B-splines are positive and sum to one.

    """
    bases = [
        spline_basis(n, spacing_mm / zoom)
        for n, zoom in zip(grid.shape, grid.zooms_mm, strict=True)
    ]
    field = rng.uniform(-1, 1, [basis.shape[1] for basis in bases]).astype(np.float32)
    for basis in reversed(bases):  # each turn moves one finished axis to the front
        field = np.tensordot(basis, field, (1, 2))
    return np.ascontiguousarray(field)


def ramp(x: Floats, width: float) -> Floats:
    """0 below -width/2, 1 above +width/2, smooth (cubic) between.

    Examples
    --------
    >>> ramp(np.array([-1, 0, 1], dtype='float32'), 2).tolist()
    [0.0, 0.5, 1.0]

    """
    t = np.clip(x / np.float32(width) + np.float32(0.5), 0, 1)
    smooth: Floats = t * t * (3 - 2 * t)
    return smooth
