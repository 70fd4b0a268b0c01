"""Smooth random fields, from a few values at random."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def smooth_field(coarse: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float32]:
    """Interpolate a coarse grid linearly to a volume.

    The same as `scipy.ndimage.zoom` with `order=1, grid_mode=True, mode='nearest'`, which took
    half of the time of making a training example: here each axis is one matrix product.

    Parameters
    ----------
    coarse : (x, y, z) float64
        Values at the centres of x * y * z equal boxes.
    shape : (3,) int
        Voxels of the volume.

    Returns
    -------
    (X, Y, Z) float32
        Constant beyond the outermost centres.

    """
    field = coarse.astype(np.float32)
    for axis, size in enumerate(shape):
        matrix = _interpolation_matrix(coarse.shape[axis], size)
        field = np.moveaxis(np.tensordot(matrix, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def slice_matrices(
    size: int, thickness: float, start: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make of a line of voxels what thick slices do: averages, interpolated linearly.

    Parameters
    ----------
    size : int
        Voxels of the line.
    thickness : float
        Of a slice, in voxels; slices lie side by side.
    start : float
        Where the first begins, as a share of a slice, in [0, 1).

    Returns
    -------
    average : (slices, size) float32
        From voxels to slices.
    interpolate : (size, slices) float32
        From slices to voxels. Rows of both sum to 1, so that a constant line stays as it is.

    """
    edges = np.arange(-start, size / thickness + 1) * thickness
    voxels = np.arange(size)
    # How much of each voxel lies in each slice.
    upper = np.minimum(voxels + 1, edges[1:, None])
    shares = np.maximum(upper - np.maximum(voxels, edges[:-1, None]), 0)
    shares = shares[shares.sum(axis=1) > 0]
    weights = shares / shares.sum(axis=1, keepdims=True)
    centres = weights @ (voxels + 0.5)
    taken = [np.interp(voxels + 0.5, centres, row) for row in np.eye(len(centres))]
    return weights.astype(np.float32), np.stack(taken, axis=1).astype(np.float32)


def _interpolation_matrix(coarse: int, fine: int) -> NDArray[np.float32]:
    """Weights (fine, coarse) of linear interpolation between the centres of boxes."""
    centres = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    distance = np.abs(centres[:, None] - np.arange(coarse))
    return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)
