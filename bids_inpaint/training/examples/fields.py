"""Smooth fields and blur, as products with matrices along each axis.

`scipy.ndimage.zoom` and `gaussian_filter` took more than half of the time of an example.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Beyond so many standard deviations a Gaussian is cut off, as scipy.ndimage does.
_TRUNCATE = 4.0


def along(
    matrix: NDArray[np.float32], volume: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Multiply every line of a volume (X, Y, Z) along an axis by a matrix (new, old)."""
    if axis == 0:
        lines = matrix @ volume.reshape(volume.shape[0], -1)
        return lines.reshape(-1, *volume.shape[1:])
    product = np.matmul(matrix, volume) if axis == 1 else np.matmul(volume, matrix.T)
    return np.asarray(product, dtype=np.float32)


def smooth_field(coarse: NDArray[np.floating], shape: Sequence[int]) -> NDArray[np.float32]:
    """Interpolate a coarse grid linearly to a volume.

    The same as `scipy.ndimage.zoom` with `order=1, grid_mode=True, mode='nearest'`.

    Parameters
    ----------
    coarse : (x, y, z) float
        Values at the centres of x * y * z equal boxes.
    shape : (3,) int
        Voxels of the volume.

    Returns
    -------
    (X, Y, Z) float32
        Constant beyond the outermost centres.

    """
    field = coarse.astype(np.float32)
    for axis in (2, 1, 0):  # the last axis first: it is the dearest, and the field is small yet
        field = along(_interpolation_matrix(coarse.shape[axis], shape[axis]), field, axis)
    return field


def field_in_box(
    coarse: NDArray[np.floating], shape: Sequence[int], box: tuple[slice, slice, slice]
) -> NDArray[np.float32]:
    """Interpolate a coarse grid over a whole volume to a box of it; as `smooth_field` does."""
    field = coarse.astype(np.float32)
    for axis in (2, 1, 0):
        matrix = _interpolation_matrix(coarse.shape[axis], shape[axis])[box[axis]]
        field = along(matrix, field, axis)
    return field


def gaussian_blur(
    volume: NDArray[np.float32], sigma_vox: float | Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Blur by a Gaussian of a width for all axes or one for each; (X, Y, Z) float32.

    What lies beyond the volume does not count, so that a constant stays as it is.
    """
    widths = np.broadcast_to(np.asarray(sigma_vox, dtype=float), 3)
    for axis, sigma in enumerate(widths):
        if sigma > 0:
            volume = along(_blur_matrix(volume.shape[axis], float(sigma)), volume, axis)
    return volume


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


@lru_cache(maxsize=64)
def _interpolation_matrix(coarse: int, fine: int) -> NDArray[np.float32]:
    """Weights (fine, coarse) of linear interpolation between the centres of boxes."""
    centres = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    distance = np.abs(centres[:, None] - np.arange(coarse))
    return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)


def _blur_matrix(size: int, sigma: float) -> NDArray[np.float32]:
    """Weights (size, size) of a Gaussian; each row sums to 1."""
    voxels = np.arange(size, dtype=np.float32)
    distance = np.abs(voxels[:, None] - voxels)
    weights = np.exp(-((distance / np.float32(sigma)) ** 2) / 2)
    weights *= distance <= int(_TRUNCATE * sigma + 0.5)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
