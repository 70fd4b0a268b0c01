"""Apply a network to a whole volume, window by window."""

from collections.abc import Iterator, Sequence
from itertools import product

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.network.config import WHITE_MATTER

# Share of a window that it has in common with the next one, at least.
_OVERLAP = 0.5
# Weight of the outermost voxels of a window: small, since they see least of what is around them.
_LEAST_WEIGHT = 1e-3
# What the non-blind network is shown in place of a lesion; no tissue is below 0.
HIDDEN = np.float32(-1)


def plan_windows(
    brain_mask: NDArray[np.bool_], window_vox: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Place windows evenly over the brain.

    Parameters
    ----------
    brain_mask : (X, Y, Z) bool
        Not empty, and no axis shorter than a window.
    window_vox : int
        Side of a window.

    Yields
    ------
    three slices
        A cube that holds a part of the brain; all together hold all of it.

    """
    starts = []
    for axis, size in enumerate(brain_mask.shape):
        (inside,) = np.nonzero(brain_mask.any(axis=tuple(a for a in range(3) if a != axis)))
        first = min(int(inside[0]), size - window_vox)
        last = max(int(inside[-1]) + 1 - window_vox, first)
        number = 1 + int(np.ceil((last - first) / (window_vox * (1 - _OVERLAP))))
        starts.append(np.linspace(first, last, number).round().astype(int))
    for corner in product(*starts):
        x, y, z = (slice(int(c), int(c) + window_vox) for c in corner)
        if brain_mask[x, y, z].any():
            yield x, y, z


def inpaint(
    network: keras.Model,
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    *,
    window_vox: int,
    flip_averaging: bool = False,
) -> NDArray[np.float32]:
    """Predict the lesion-free volume.

    The normalisation of the network takes mean and variance of what it is given, so it is given
    windows of the size that it was trained on. They overlap by half, and what they say of a voxel
    is averaged, the more the nearer the voxel is to the centre of the window.

    Parameters
    ----------
    network : keras.Model
        As made by `bids_inpaint.network.unet.build_unet`.
    t1w : (X, Y, Z) float32
        Template grid, in units of the mean of the brain.
    brain_mask : (X, Y, Z) bool
        Voxels outside it are zero for the network, and keep their value.
    window_vox : int
        Side of the windows.
    flip_averaging : bool
        Average with the prediction of the volume mirrored left to right; takes twice the time.

    Returns
    -------
    (X, Y, Z) float32
        The same grid and units.

    Raises
    ------
    ValueError
        If what the network predicts is not finite: it must not reach an image.

    """
    padding = [(0, max(window_vox - size, 0)) for size in t1w.shape]
    inside = np.pad(brain_mask, padding)
    brain = np.where(inside, np.pad(t1w, padding), np.float32(0))
    change = _predict_change(network, brain, inside, window_vox)
    if flip_averaging:
        mirrored = _predict_change(network, brain[::-1], inside[::-1], window_vox)
        change = np.float32(0.5) * (change + mirrored[::-1])
    change = change[tuple(slice(size) for size in t1w.shape)]
    if not np.isfinite(change).all():
        number = int((~np.isfinite(change)).sum())
        msg = f'{network.name} predicted {number} voxels that are not finite numbers'
        raise ValueError(msg)
    return np.where(brain_mask, t1w + change, t1w).astype(np.float32)


def fill(
    network: keras.Model,
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    fill_mask: NDArray[np.bool_],
    *,
    white_matter_median: float,
    window_vox: int,
    flip_averaging: bool = False,
) -> NDArray[np.float32]:
    """Predict the voxels of a mask from all others, with a network that was trained for that.

    The network is shown every brain with its white matter equally bright, and the lesions at -1:
    normalisation within the network takes away how bright a brain is as a whole, and the lesions
    are to be as bright as what is around them.

    Parameters
    ----------
    network, t1w, brain_mask, window_vox, flip_averaging
        See `inpaint`.
    fill_mask : (X, Y, Z) bool
        Hidden from the network; what of it is outside the brain mask keeps its value.
    white_matter_median : float
        Of the white matter outside the mask, in the units of `t1w`.

    Returns
    -------
    (X, Y, Z) float32
        `t1w`, but for the voxels of the mask.

    """
    wanted = fill_mask & brain_mask
    unit = np.float32(white_matter_median / WHITE_MATTER)
    predicted = inpaint(
        network,
        np.where(wanted, HIDDEN, t1w / unit),
        brain_mask,
        window_vox=window_vox,
        flip_averaging=flip_averaging,
    )
    return np.where(wanted, predicted * unit, t1w).astype(np.float32)


def _predict_change(
    network: keras.Model,
    brain: NDArray[np.float32],
    inside: NDArray[np.bool_],
    window_vox: int,
) -> NDArray[np.float32]:
    """Weighted mean of what all windows say that is to be added to each voxel."""
    weight = _window_weight(window_vox)
    change, total = np.zeros_like(brain), np.zeros_like(brain)
    for window in plan_windows(inside, window_vox):
        # A copy in memory order: some backends refuse the negative strides of a mirrored view.
        batch = np.ascontiguousarray(brain[window])[None, ..., None]
        predicted = np.asarray(network.predict_on_batch(batch)['reconstructed'], np.float32)
        change[window] += weight * (predicted[0, ..., 0] - brain[window])
        total[window] += weight
    return np.divide(change, total, out=change, where=total > 0)


def _window_weight(window_vox: int) -> NDArray[np.float32]:
    """Weight of each voxel of a window: a raised cosine along each axis."""
    along = np.hanning(window_vox + 2)[1:-1].astype(np.float32) + np.float32(_LEAST_WEIGHT)
    axes: Sequence[NDArray[np.float32]] = np.ix_(along, along, along)
    return np.asarray(axes[0] * axes[1] * axes[2])
