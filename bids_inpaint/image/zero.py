"""The value that stands for no signal: 0, unless an image was shifted or z-scored.

Every step takes 0 for no signal: the brain is found, and its bias field and mean are measured, by
ratios. Where air has another value, that is subtracted for processing.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Shares of the range of values. Splines undershoot 0, and air has noise: within this, 0 is 0. It
# is small, because an image that is too dark by 0.1 of its mean has ten times as much changed.
_TOLERANCE = 0.02
# Splines undershoot the edge of an extracted brain more.
_UNDERSHOOT = 0.15
# Air is dark: in noise over the whole range, as MP2RAGE has it, a quarter of it is below 0.25.
_BRIGHTEST_AIR = 0.35
# The darkest voxels of an extracted brain: 0.01 to 0.13 in 43 images.
_DARKEST_BRAIN = 0.3
_MEAN_OF_Z_SCORES = 1e-3
_LOW_PCT, _HIGH_PCT = 1.0, 99.0
_BRAIN_LOW_PCT = 0.5


class Zero(NamedTuple):
    """The value of no signal; and that of a background below it, which only marks voxels."""

    value: float
    marker: float | None = None


def find_zero(t1w: NDArray[np.float32]) -> Zero:
    """Find the value that stands for no signal.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        In the units of the file; not constant.

    Returns
    -------
    Zero
        0 where values begin there, but for undershoot of splines; else the value of the
        background, or where there is none the lowest one.

    Raises
    ------
    ValueError
        If some values are below 0 and none can stand for no signal, as the background is not the
        darkest. The message says what was found.

    Examples
    --------
    >>> ramp = np.arange(1000, dtype='float32').reshape(10, 10, 10)
    >>> find_zero(ramp), round(find_zero(ramp + 5000).value)
    (Zero(value=0.0, marker=None), 5010)

    """
    edge, other = np.percentile(_border(t1w), [25, 75])
    if edge == other:
        return _below_brain(t1w, float(edge))
    low, high = (float(v) for v in np.percentile(t1w, [_LOW_PCT, _HIGH_PCT]))
    if abs(low) <= _TOLERANCE * (high - low):
        return Zero(0.0)
    if edge - low > _BRIGHTEST_AIR * (high - low):
        return _none_or_as_it_is(t1w, edge, low, high)
    return Zero(low)


def shift(t1w: NDArray[np.float32], zero: Zero) -> NDArray[np.float32]:
    """Subtract the value of no signal, so that it becomes 0; a marker becomes 0, too."""
    if zero.marker is not None:
        t1w = np.where(t1w == np.float32(zero.marker), np.float32(zero.value), t1w)
    return t1w - np.float32(zero.value) if zero.value else t1w


def _border(t1w: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of the six faces of a volume."""
    return np.concatenate([t1w.take((0, -1), axis).ravel() for axis in range(t1w.ndim)])


def _below_brain(t1w: NDArray[np.float32], background: float) -> Zero:
    """Find it where most of the border has one value, as around an extracted brain."""
    rest = t1w[t1w != np.float32(background)]
    low, high = (float(v) for v in np.percentile(rest, [_BRAIN_LOW_PCT, _HIGH_PCT]))
    if background - low > _UNDERSHOOT * (high - background):
        return _none_or_as_it_is(t1w, background, low, high)
    if background >= 0:
        return Zero(background if background > _TOLERANCE * (high - background) else 0.0)
    if low >= 0 and not _is_z_scored(t1w):
        return Zero(0.0, marker=background)
    if low - background > _DARKEST_BRAIN * (high - background):
        return _none_or_as_it_is(t1w, background, low, high)
    return Zero(background)


def _is_z_scored(t1w: NDArray[np.float32]) -> bool:
    """Whether the mean of all voxels is 0, as if it was subtracted."""
    mean, std = t1w.mean(dtype=np.float64), t1w.std(dtype=np.float64)
    return bool(abs(mean) < _MEAN_OF_Z_SCORES * std)


def _none_or_as_it_is(t1w: NDArray[np.float32], border: float, low: float, high: float) -> Zero:
    """Refuse values below 0; others are taken as they are."""
    if t1w.min() >= 0:
        return Zero(0.0)
    msg = f'values from {low:.4g} to {high:.4g} around a border of {border:.4g}'
    raise ValueError(msg)
