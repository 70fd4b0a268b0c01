"""Apply a network to a whole volume."""

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

# Voxels beyond the brain that the network is given: what it sees of the edge of its input should
# not depend on how the volume was cut.
_MARGIN_VOX = 8


class Cut(NamedTuple):
    """A box of a volume, and the zeros to add behind it so that a network takes it."""

    box: tuple[slice, slice, slice]
    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def plan_cut(brain_mask: NDArray[np.bool_], multiple: int) -> Cut:
    """Find the box around the brain, and how far it must be padded.

    Parameters
    ----------
    brain_mask : (X, Y, Z) bool
        Not empty.
    multiple : int
        What each padded size must be divisible by.

    """
    box, padding = [], []
    for axis, size in enumerate(brain_mask.shape):
        (inside,) = np.nonzero(brain_mask.any(axis=tuple(a for a in range(3) if a != axis)))
        start = max(int(inside[0]) - _MARGIN_VOX, 0)
        stop = min(int(inside[-1]) + 1 + _MARGIN_VOX, size)
        box.append(slice(start, stop))
        padding.append((0, -(stop - start) % multiple))
    return Cut((box[0], box[1], box[2]), (padding[0], padding[1], padding[2]))


def inpaint(
    network: keras.Model,
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    *,
    multiple: int,
    flip_averaging: bool = False,
) -> NDArray[np.float32]:
    """Predict the lesion-free volume.

    Parameters
    ----------
    network : keras.Model
        As made by `bids_inpaint.network.unet.build_unet`.
    t1w : (X, Y, Z) float32
        Template grid, in units of the mean of the brain.
    brain_mask : (X, Y, Z) bool
        Voxels outside it are zero for the network, and keep their value.
    multiple : int
        What each size of the network's input must be divisible by.
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
    cut = plan_cut(brain_mask, multiple)
    inside = brain_mask[cut.box]
    example = np.pad(np.where(inside, t1w[cut.box], np.float32(0)), cut.padding)
    predicted = _predict(network, example)
    if flip_averaging:
        predicted = np.float32(0.5) * (predicted + _predict(network, example[::-1])[::-1])
    predicted = predicted[tuple(slice(n) for n in inside.shape)]
    if not np.isfinite(predicted).all():
        number = int((~np.isfinite(predicted)).sum())
        msg = f'{network.name} predicted {number} voxels that are not finite numbers'
        raise ValueError(msg)
    out = t1w.astype(np.float32, copy=True)
    out[cut.box] = np.where(inside, predicted, out[cut.box])
    return out


def _predict(network: keras.Model, example: NDArray[np.float32]) -> NDArray[np.float32]:
    """One volume (X, Y, Z) through the network."""
    # A copy in memory order: some backends refuse the negative strides of a mirrored view.
    batch = np.ascontiguousarray(example)[None, ..., None]
    predicted = network.predict_on_batch(batch)['reconstructed']
    return np.asarray(predicted, dtype=np.float32)[0, ..., 0]
