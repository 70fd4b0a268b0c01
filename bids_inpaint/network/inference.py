"""Apply a network to a whole volume, window by window."""

from collections.abc import Iterator, Sequence
from itertools import product

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.card import ProbabilityCurve
from bids_inpaint.network.config import WHITE_MATTER

# Minimum overlap of neighbouring windows, as a share. Half takes 50 % longer for the same lesion
# error (docs/benchmarks.md).
_OVERLAP = 0.4
# Weight of the outermost voxels of a window: small, since they have the least context.
_LEAST_WEIGHT = 1e-3
# No probability is nearer to 0 or 1 than this: its logit would be infinite.
_SURE = 1e-6
# Marks hidden voxels for the non-blind network; no tissue is below 0.
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
        Cubes that together cover the brain.

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
    probability_curve: ProbabilityCurve = (),
) -> Prediction:
    """Predict the lesion-free volume, and the probability of lesion if the network gives it.

    The normalisation of the network depends on mean and variance of its input, so windows have the
    size of the training. They overlap; predictions are averaged, weighted by the distance
    of a voxel to the border of the window.

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
    probability_curve : tuple of (float, float)
        Of `follow_curve`; found on validation data, in the card.

    Returns
    -------
    Prediction
        The same grid and units.

    Raises
    ------
    ValueError
        If the prediction is not finite.

    """
    padding = [(0, max(window_vox - size, 0)) for size in t1w.shape]
    inside = np.pad(brain_mask, padding)
    brain = np.where(inside, np.pad(t1w, padding), np.float32(0))
    said = _predict_windows(network, brain, inside, window_vox)
    if flip_averaging:
        mirrored = _predict_windows(network, brain[::-1], inside[::-1], window_vox)
        said = np.float32(0.5) * (said + mirrored[:, ::-1])
    said = said[(slice(None), *(slice(size) for size in t1w.shape))]
    if not np.isfinite(said).all():
        number = int((~np.isfinite(said)).any(axis=0).sum())
        msg = f'{network.name} predicted {number} voxels that are not finite'
        raise ValueError(msg)
    inpainted = np.where(brain_mask, t1w + said[0], t1w).astype(np.float32)
    if len(said) == 1:
        return Prediction(inpainted)
    probability = np.where(brain_mask, follow_curve(said[1], probability_curve), np.float32(0))
    return Prediction(inpainted, probability)


def follow_curve(probability: NDArray[np.float32], curve: ProbabilityCurve) -> NDArray[np.float32]:
    """Replace a probability by what it is worth, linearly between the points of a curve.

    Examples
    --------
    >>> curve = ((0.0, 0.0), (0.2, 0.5), (1.0, 1.0))
    >>> follow_curve(np.array([0.1, 0.2, 0.6], dtype='float32'), curve).round(2).tolist()
    [0.25, 0.5, 0.75]

    """
    if not curve:
        return probability
    said, true = np.transpose(curve)
    return np.asarray(np.interp(probability, said, true), dtype=np.float32)


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
    """Predict the voxels of a mask from all others, with the non-blind network.

    White matter is scaled to the same intensity in every brain, and hidden voxels are -1: the
    normalisation of the network removes the overall brightness, but lesions must become as bright
    as their surroundings.

    Parameters
    ----------
    network, t1w, brain_mask, window_vox, flip_averaging
        See `inpaint`.
    fill_mask : (X, Y, Z) bool
        Hidden from the network; voxels outside the brain mask keep their value.
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
    ).inpainted
    return np.where(wanted, predicted * unit, t1w).astype(np.float32)


def _predict_windows(
    network: keras.Model,
    brain: NDArray[np.float32],
    inside: NDArray[np.bool_],
    window_vox: int,
) -> NDArray[np.float32]:
    """Weighted mean of the predictions of all windows: (1 or 2, X, Y, Z).

    First the change; then, if the network gives it, the probability of lesion.
    """
    weight = _window_weight(window_vox)
    outputs = 2 if 'lesion_logit' in network.output else 1
    said, total = np.zeros((outputs, *brain.shape), np.float32), np.zeros_like(brain)
    for window in plan_windows(inside, window_vox):
        # A copy in memory order: some backends refuse the negative strides of a mirrored view.
        batch = np.ascontiguousarray(brain[window])[None, ..., None]
        predicted = network.predict_on_batch(batch)
        filled = np.asarray(predicted['reconstructed'], np.float32)[0, ..., 0]
        said[0][window] += weight * (filled - brain[window])
        if outputs == 2:
            logit_of = np.asarray(predicted['lesion_logit'], np.float32)[0, ..., 0]
            said[1][window] += weight * expit(logit_of)
        total[window] += weight
    return np.divide(said, total, out=said, where=total > 0)


def _window_weight(window_vox: int) -> NDArray[np.float32]:
    """Weight of each voxel of a window: a raised cosine along each axis."""
    along = np.hanning(window_vox + 2)[1:-1].astype(np.float32) + np.float32(_LEAST_WEIGHT)
    axes: Sequence[NDArray[np.float32]] = np.ix_(along, along, along)
    return np.asarray(axes[0] * axes[1] * axes[2])
