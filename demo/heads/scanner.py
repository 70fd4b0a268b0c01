"""What a scanner adds to a head: texture, coil shading, noise, and numbers of a type."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from demo.heads.grid import Floats, Grid, smooth_field

BIAS_KNOTS_MM = 110.0


class Stored(NamedTuple):
    """Voxels as a file holds them: the value of one is ``slope * stored + intercept``."""

    data: NDArray[np.generic]
    slope: float
    intercept: float


def texture(shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Fine grain of tissue: noise of two small scales, (X, Y, Z) with unit variance."""
    grain = np.zeros(shape, np.float32)
    for sigma_vox in (0.7, 1.6):
        white = rng.standard_normal(shape, np.float32)
        smooth = ndimage.gaussian_filter(white, sigma_vox, mode='wrap', truncate=2.5)
        grain += smooth / smooth.std()
    grain /= grain.std()
    return grain


def bias_field(grid: Grid, strength: float, rng: np.random.Generator) -> Floats:
    """Multiplicative shading between ``1 - strength`` and ``1 + strength``, both reached."""
    field = smooth_field(grid, BIAS_KNOTS_MM, rng)
    low, high = float(field.min()), float(field.max())
    return 1 + np.float32(strength) * (2 * (field - low) / np.float32(high - low) - 1)


def receiver_noise(shape: tuple[int, int, int], sigma: float, rng: np.random.Generator) -> Floats:
    """Noise of the two channels of a receiver, (2, X, Y, Z)."""
    noise: Floats = rng.standard_normal((2, *shape), np.float32)
    noise *= np.float32(sigma)
    return noise


def magnitude(signal: Floats, noise: Floats) -> Floats:
    """Rician: length of the noisy complex signal, (X, Y, Z)."""
    length: Floats = np.hypot(signal + noise[0], noise[1])
    return length


def store(volume: Floats, dtype: type[np.integer[Any]], slope: float, intercept: float) -> Stored:
    """Round to what a file can hold; values outside the type's range are clipped.

    Parameters
    ----------
    volume : (X, Y, Z) float32
        In the units of the scan.
    dtype : numpy type
        Integer type of the file.
    slope, intercept : float
        Scaling of the file.

    Returns
    -------
    stored : Stored

    """
    limits = np.iinfo(dtype)
    scaled = np.rint((volume - np.float32(intercept)) / np.float32(slope))
    return Stored(np.clip(scaled, limits.min, limits.max).astype(dtype), slope, intercept)
