"""Losses: functions of (target, predicted), each to a scalar."""

from collections.abc import Callable
from typing import Any

from keras import ops


def lesion_weighted_mse(lesion_weight: float) -> Callable[[Any, Any], Any]:
    """Make a mean squared error in which lesions count more.

    Parameters
    ----------
    lesion_weight : float
        A voxel that is wholly lesion counts as many times as much as one without; 1 is the plain
        mean squared error of the paper.

    Returns
    -------
    callable
        Of a target (B, X, Y, Z, 2), whose channels are the lesion-free T1w and the share of
        lesion in each voxel in [0, 1], and a prediction (B, X, Y, Z, 1).

    """

    def loss(target: Any, predicted: Any) -> Any:
        t1w, lesion = target[..., :1], target[..., 1:]
        weight = 1 + (lesion_weight - 1) * lesion
        return ops.mean(weight * ops.square(predicted - t1w))

    return loss
