"""Decide where a network's change is meant, and keep it there."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Share of a change in the voxels next to it, where it is smaller than the threshold of its edge.
_TAPER = 0.5


def change_weights(
    difference: NDArray[np.float32],
    may_change: NDArray[np.bool_],
    *,
    edge_threshold: float,
    core_threshold: float,
) -> NDArray[np.float32]:
    """Weigh each voxel's change: 1 in a lesion, 0 outside, 0.5 in the voxels between.

    Parameters
    ----------
    difference : (X, Y, Z) float32
        Inpainted minus given volume, in units of the mean of the brain.
    may_change : (X, Y, Z) bool
        Nothing outside it changes (see `bids_inpaint.image.fluid.brain_without_ventricles`).
    edge_threshold : float
        Voxels whose absolute difference exceeds it are changed ...
    core_threshold : float
        ... where they are connected to one that exceeds this.

    Returns
    -------
    (X, Y, Z) float32
        In [0, 1]; not 0 is the change mask.

    """
    size = np.abs(difference)
    core = (size > core_threshold) & may_change
    edge = (size > edge_threshold) & may_change
    changed = ndimage.binary_propagation(
        core, structure=ndimage.generate_binary_structure(3, 3), mask=edge
    )
    weights = np.asarray(changed, dtype=np.float32)
    weights[ndimage.binary_dilation(changed) & may_change & ~changed] = _TAPER
    return weights


def composite(
    t1w: NDArray[np.float32], inpainted: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Take a share of the inpainted volume in each voxel; exactly the given one where it is 0."""
    mixed = t1w + weights * (inpainted - t1w)
    return np.asarray(np.where(weights > 0, mixed, t1w), dtype=np.float32)
