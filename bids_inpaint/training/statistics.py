"""Batch normalisation for whole volumes, after training on cubes."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.network.inference import plan_cut


def estimate_statistics(
    network: keras.Model, volumes: Sequence[NDArray[np.float32]], *, multiple: int
) -> None:
    """Replace the stored statistics of batch normalisation by those of whole volumes.

    A batch of one cube has statistics far from those of a volume, and the running mean of many
    such batches is that of neither: with it, a network that had learnt to fill lesions did worse
    than nothing (docs/training.md). What is trained does not depend on the stored statistics.

    Parameters
    ----------
    network : keras.Model
        Changed in place: mean and variance of each normalisation become the mean over the
        volumes.
    volumes : sequence of (X, Y, Z) float32
        As the network is to be used on: in units of the mean of the brain, zero outside it.
    multiple : int
        What each size of the network's input must be divisible by.

    """
    layers = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    sums = [(np.zeros(layer.moving_mean.shape),) * 2 for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # what is stored is that of the last batch alone
    for volume in volumes:
        cut = plan_cut(volume > 0, multiple)
        network(np.pad(volume[cut.box], cut.padding)[None, ..., None], training=True)
        sums = [
            (mean + _numpy(layer.moving_mean), variance + _numpy(layer.moving_variance))
            for layer, (mean, variance) in zip(layers, sums, strict=True)
        ]
    for layer, momentum, (mean, variance) in zip(layers, momenta, sums, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(mean / len(volumes))
        layer.moving_variance.assign(variance / len(volumes))


def _numpy(variable: keras.Variable) -> NDArray[np.float64]:
    """Values of a variable."""
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype=np.float64)
