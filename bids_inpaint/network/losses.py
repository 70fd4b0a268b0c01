"""Losses: functions of (target, predicted), each to a scalar."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Added to both sums of the soft Dice, in voxels: it has little meaning without lesions.
_DICE_SMOOTHING_VOX = 100.0


def lesion_weighted_loss(
    lesion_weight: float, huber_delta: float | None = None
) -> Callable[[Any, Any], Any]:
    """Make a mean error with a weight for lesions.

    Parameters
    ----------
    lesion_weight : float
        Weight of a voxel of pure lesion, relative to one without; 1 is the mean squared error of
        the paper.
    huber_delta : float, optional
        Above it, in units of the mean of the brain, errors count linearly instead of squared.
        Least squares give the mean of the possible intensities: half a filling where lesion is as
        likely as not. Least absolute errors give the median: no filling where lesion is less
        likely, the whole where it is more.

    Returns
    -------
    callable
        Of a target (B, X, Y, Z, 2), whose channels are the lesion-free T1w and the share of
        lesion in each voxel in [0, 1], and a prediction (B, X, Y, Z, 1).

    References
    ----------
    Huber P.J., "Robust estimation of a location parameter", Ann. Math. Statist. 1964,
    35(1):73-101.

    """

    def loss(target: Any, predicted: Any) -> Any:
        t1w, lesion = target[..., :1], target[..., 1]
        if huber_delta is None:
            error = keras.losses.mean_squared_error(t1w, predicted)
        else:  # twice, so that small errors count as they do squared
            error = 2 * keras.losses.huber(t1w, predicted, delta=huber_delta)
        return ops.mean((1 + (lesion_weight - 1) * lesion) * error)

    return loss


def lesion_logit_loss(dice_weight: float) -> Callable[[Any, Any], Any]:
    """Make cross-entropy and soft Dice of the probability of lesion.

    Parameters
    ----------
    dice_weight : float
        Of the soft Dice, relative to cross-entropy. Cross-entropy alone is calibrated, but mostly
        of voxels far from lesions; Dice weighs small lesion loads as much as large ones.

    Returns
    -------
    callable
        Of the share of lesion (B, X, Y, Z, 1) in [0, 1], and the logit predicted for it.

    References
    ----------
    Milletari F. et al., "V-Net: fully convolutional neural networks for volumetric medical image
    segmentation", 3DV 2016, 565-571: squares in the denominator, which leave the optimum of a
    share where it is.

    """

    def loss(share: Any, logit: Any) -> Any:
        probability = ops.sigmoid(logit)
        entropy = ops.mean(ops.binary_crossentropy(share, logit, from_logits=True))
        common = 2 * ops.sum(share * probability) + _DICE_SMOOTHING_VOX
        total = ops.sum(share**2) + ops.sum(probability**2) + _DICE_SMOOTHING_VOX
        return entropy + dice_weight * (1 - common / total)

    return loss
