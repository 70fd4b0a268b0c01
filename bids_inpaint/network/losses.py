"""Losses: functions of (target, predicted), each to a scalar."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def lesion_weighted_loss(
    lesion_weight: float, huber_delta: float | None = None
) -> Callable[[Any, Any], Any]:
    """Make a mean error in which lesions count more.

    Parameters
    ----------
    lesion_weight : float
        A voxel that is wholly lesion counts as many times as much as one without; 1 is the plain
        mean squared error of the paper.
    huber_delta : float, optional
        Beyond it, in units of the mean of the brain, errors count in proportion instead of
        squared. The least squares are at the mean of what may have been there: half a filling
        where it is as likely lesion as not. The least absolute errors are at the median: nothing
        where lesion is less likely, and the whole where it is more.

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
