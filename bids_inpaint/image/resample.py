"""Resample a volume through an affine map."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.volume import Volume


class Grid(NamedTuple):
    """Where voxels lie: `shape` (X, Y, Z), and `affine` (4, 4), voxels to RAS+ millimetres."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


def inverse(xfm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the map (4, 4) that undoes `xfm`."""
    return np.asarray(np.linalg.inv(xfm), dtype=np.float64)


def resample(
    moving: Volume, onto: Grid, xfm: NDArray[np.float64], *, order: int = 1
) -> NDArray[np.float32]:
    """Take a volume onto another grid.

    Parameters
    ----------
    moving : Volume
        The volume to take from.
    onto : Grid
        The grid of the result.
    xfm : (4, 4) float64
        Maps RAS+ millimetres of `moving` to RAS+ millimetres of `onto`.
    order : int
        Of the spline: 0 nearest neighbour, 1 linear, 3 cubic.

    Returns
    -------
    (X, Y, Z) float32
        In the units of `moving`; zero where `moving` has no voxel.

    """
    voxels = np.linalg.inv(moving.affine) @ np.linalg.inv(xfm) @ onto.affine
    moved = ndimage.affine_transform(
        moving.data.astype(np.float32, copy=False),
        voxels[:3, :3],
        offset=voxels[:3, 3],
        output_shape=onto.shape,
        output=np.float32,
        order=order,
        mode='constant' if order == 0 else 'grid-constant',
    )
    return np.asarray(moved, dtype=np.float32)
