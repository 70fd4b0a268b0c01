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


def _interpolation_matrix(coarse: int, fine: int) -> NDArray[np.float32]:
    """Weights (fine, coarse) of linear interpolation between the centres of boxes."""
    centres = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    distance = np.abs(centres[:, None] - np.arange(coarse))
    return np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)
