"""Resample a volume through an affine map."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.volume import Volume, box_around

# How far a voxel reaches, by order of the spline: cubic ones have no end, but 12 voxels away
# a millionth is left.
_REACH_VOX = {0: 1, 1: 1, 3: 12}
# A grid of fewer than an eighth of the voxels of the volume is not worth searching it.
_WORTH_SEARCHING = 8


class Grid(NamedTuple):
    """A grid: `shape` (X, Y, Z), and `affine` (4, 4) from voxels to RAS+ millimetres."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]


def inverse(xfm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse (4, 4) of `xfm`."""
    return np.asarray(np.linalg.inv(xfm), dtype=np.float64)


def resample(
    moving: Volume,
    onto: Grid,
    xfm: NDArray[np.float64],
    *,
    order: int = 1,
    within: Sequence[slice] | None = None,
) -> NDArray[np.float32]:
    """Resample a volume to another grid.

    Only the box of the result that voxels other than zero reach is computed.

    Parameters
    ----------
    moving : Volume
        The volume.
    onto : Grid
        The grid of the result.
    xfm : (4, 4) float64
        Maps RAS+ millimetres of `moving` to RAS+ millimetres of `onto`.
    order : int
        Of the spline: 0 nearest neighbour, 1 linear, 3 cubic.
    within : three slices, optional
        Box of the result that is needed; the rest is zero.

    Returns
    -------
    (X, Y, Z) float32
        In the units of `moving`; zero where `moving` has no voxel.

    """
    voxels = np.linalg.inv(moving.affine) @ np.linalg.inv(xfm) @ onto.affine
    data = moving.data.astype(np.float32, copy=False)
    moved = np.zeros(onto.shape, np.float32)
    box = _reached(data, voxels, onto.shape, _REACH_VOX[order], within)
    if box is not None:
        # Linear splines: a border of zeros gives what 'grid-constant' does, which is slower.
        border = int(order == 1)
        start = [one.start for one in box]
        moved[box] = ndimage.affine_transform(
            np.pad(data, border) if border else data,
            voxels[:3, :3],
            offset=voxels[:3, :3] @ start + voxels[:3, 3] + border,
            output_shape=moved[box].shape,
            output=np.float32,
            order=order,
            mode='grid-constant' if order == 3 else 'constant',
        )
    return moved


def _reached(
    data: NDArray[np.float32],
    voxels: NDArray[np.float64],
    shape: Sequence[int],
    reach_vox: int,
    within: Sequence[slice] | None,
) -> tuple[slice, ...] | None:
    """Box of a grid that voxels other than zero reach; None if they reach no voxel.

    `voxels` (4, 4) maps indices of the grid to those of `data`. A grid that is much smaller than
    `data` is computed whole: to search `data` would take longer.
    """
    most = tuple(within or (slice(0, size) for size in shape))
    if np.prod(shape) * _WORTH_SEARCHING < data.size:
        return most
    signal = data != 0
    if not signal.any():
        return None
    ends = [(one.start - reach_vox, one.stop - 1 + reach_vox) for one in box_around(signal)]
    corners = nb.affines.apply_affine(np.linalg.inv(voxels), list(product(*ends)))
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) + 1
    box = tuple(
        slice(max(int(first), one.start), min(int(last), one.stop))
        for first, last, one in zip(low, high, most, strict=True)
    )
    return box if all(one.start < one.stop for one in box) else None
