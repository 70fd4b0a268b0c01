"""Random changes of training examples, each a function of arrays and a generator.

They vary shape, contrast, brightness, noise and sharpness about what the preprocessing delivers.
Input and target get the same change.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.examples.deform import DeformConfig
from bids_inpaint.training.examples.fields import (
    along,
    gaussian_blur,
    slice_matrices,
    smooth_field,
)

# Usual intensities in units of the mean of the brain, in the scans that we train on.
_FLUID, _GREY, _WHITE = 0.5, 0.95, 1.4
_PATCH_VOX = 20
_VESSEL_VOX, _VESSEL_WIDTH = 10, 0.25

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Ranges of the changes; intensities in units of the mean of the brain.

    Brains are deformed by about as much as an affine registration errs, and brains differ after
    it; and not all of them, for linear interpolation takes noise away.
    """

    deform: DeformConfig = field(
        default_factory=lambda: DeformConfig(
            rotation_deg=4.0, scale=(0.94, 1.06), shift_vox=3.0, warp_vox=2.0
        )
    )
    deform_probability: float = 0.5
    widen_probability: float = 0.3
    widen_vox: tuple[float, float] = (-4.0, 12.0)
    gain: float = 0.1
    gamma: tuple[float, float] = (0.8, 1.25)
    low_contrast_probability: float = 0.4
    white_to_grey: tuple[float, float] = (1.08, 1.4)
    fluid: tuple[float, float] = (0.1, 0.6)
    bias: float = 0.08
    patches: float = 0.05
    noise_sd: float = 0.03
    blur_probability: float = 0.3
    blur_sigma_vox: float = 0.8
    thick_slice_probability: float = 0.2
    slice_vox: tuple[float, float] = (2.0, 5.0)
    slice_gain_sd: float = 0.02
    sharpen_probability: float = 0.2
    sharpen_amount: float = 1.2
    sharpen_sigma_vox: tuple[float, float] = (0.8, 1.8)
    contrast_agent_probability: float = 0.15
    vessel: tuple[float, float] = (1.4, 3.0)


def change_contrast(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Apply one gain and one power law, which keeps 0 and 1.4 (white matter) where they are."""
    gain = rng.uniform(1 - config.gain, 1 + config.gain)
    gamma = rng.uniform(*config.gamma)

    def apply(t1w: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = np.maximum(t1w, 0) / np.float32(_WHITE)
        return (gain * _WHITE * scaled**gamma).astype(np.float32)

    return apply(pair[0]), apply(pair[1])


def lower_contrast(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Bring grey and white matter nearer to each other, as spin-echo T1w images have them.

    There white matter is 1.1 times as bright as grey matter, in the research scans that we train
    on 1.45 times. Intensities between tissues, lesions too, follow in proportion.
    """
    if rng.random() >= config.low_contrast_probability:
        return pair
    ratio, fluid = rng.uniform(*config.white_to_grey), rng.uniform(*config.fluid)
    # The mean of the brain is 1 by definition, so that both tissues come down with the ratio.
    middle = 1.1 + 0.27 * (ratio - 1.12)
    grey = 2 * middle / (1 + ratio)
    white = ratio * grey
    known = (0, _FLUID, _GREY, _WHITE, 2 * _WHITE)
    wanted = (0, fluid, grey, white, white + _WHITE)
    first, second = (np.interp(t, known, wanted).astype(np.float32) for t in pair)
    return first, second


def give_contrast_agent(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Make vessels in the fluid bright, as after gadolinium.

    Dark seams between a bright vein or sinus and the brain are no lesions. The vessels are where
    two smooth random fields are both near zero, which is a set of winding tubes.
    """
    if rng.random() >= config.contrast_agent_probability:
        return pair
    shape = pair[1].shape
    coarse = [n // _VESSEL_VOX + 2 for n in shape]
    first, second = (smooth_field(rng.standard_normal(coarse), shape) for _ in range(2))
    tube = np.clip(2 - np.hypot(first, second) / np.float32(_VESSEL_WIDTH), 0, 1)
    fluid = np.clip((_GREY - pair[1]) / (_GREY - _FLUID), 0, 1) * (pair[1] > 0)
    weight, value = (tube * fluid).astype(np.float32), np.float32(rng.uniform(*config.vessel))
    return pair[0] + weight * (value - pair[0]), pair[1] + weight * (value - pair[1])


def sharpen(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Strengthen edges by an unsharp mask, as the filters of scanners do.

    The dark seam that this leaves in white matter along a ventricle or the cortex is no lesion.
    """
    if rng.random() >= config.sharpen_probability:
        return pair
    amount = np.float32(rng.uniform(0, config.sharpen_amount))
    sigma = rng.uniform(*config.sharpen_sigma_vox)
    brain = pair[0] > 0
    # Only the brain is averaged; and zero, which is outside, is kept off its fluid.
    share = np.maximum(gaussian_blur(brain.astype(np.float32), sigma), np.float32(0.1))
    smooth = (gaussian_blur(t, sigma) / share for t in pair)
    first, second = (
        np.where(brain, np.maximum(t + amount * (t - s), np.float32(0.01)), 0)
        for t, s in zip(pair, smooth, strict=True)
    )
    return first, second


def add_bias(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Multiply by one smooth field about 1, and by a weaker one that varies over 2 cm."""
    shape = pair[0].shape
    field = smooth_field(rng.uniform(1 - config.bias, 1 + config.bias, (3, 3, 3)), shape)
    # White matter is not the same everywhere: the corpus callosum is brighter in some scans and
    # darker in others, and no lesion.
    patches = rng.uniform(0, config.patches)
    coarse = rng.uniform(1 - patches, 1 + patches, [n // _PATCH_VOX + 2 for n in shape])
    field *= smooth_field(coarse, shape)
    return pair[0] * field, pair[1] * field


def add_noise(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Add one draw of noise inside the brain: noise must be kept, not removed."""
    noise = rng.standard_normal(pair[0].shape, dtype=np.float32)
    noise *= np.float32(rng.uniform(0, config.noise_sd))
    brain = pair[0] > 0
    return np.where(brain, pair[0] + noise, 0), np.where(brain, pair[1] + noise, 0)


def blur(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Blur along each axis by its own width, as thick slices do."""
    if rng.random() > config.blur_probability:
        return pair
    sigma = rng.uniform(0, config.blur_sigma_vox, 3)
    brain = pair[0] > 0
    first, second = (np.where(brain, gaussian_blur(t, sigma), 0) for t in pair)
    return first, second


def thicken_slices(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """Average along one axis over slices of several voxels, and interpolate between them.

    So look clinical images of 3 to 5 mm slices on the template grid: dark vessels and the edges
    of ventricles are grey there, which is no lesion.
    """
    if rng.random() >= config.thick_slice_probability:
        return pair
    axis, thickness = int(rng.integers(3)), rng.uniform(*config.slice_vox)
    brain = pair[0] > 0
    average, interpolate = slice_matrices(brain.shape[axis], thickness, rng.random())
    matrix = interpolate @ average
    # Only the brain is averaged: what lies around it was taken off before.
    share = np.maximum(along(matrix, brain.astype(np.float32), axis), np.float32(1e-3))
    # Slices are measured one after the other, and not all alike.
    gains = rng.normal(1, rng.uniform(0, config.slice_gain_sd), (len(average), 1))
    matrix = (interpolate @ (gains * average)).astype(np.float32)
    first, second = (np.where(brain, along(matrix, t, axis) / share, 0) for t in pair)
    return first, second


def augment(pair: Pair, rng: np.random.Generator, config: AugmentConfig) -> Pair:
    """All changes in turn.

    Parameters
    ----------
    pair : two (X, Y, Z) float32
        Input and target, in units of the mean of the brain, zero outside it.
    rng : numpy.random.Generator
        The only source of randomness.
    config : AugmentConfig
        The ranges.

    """
    for change in (
        give_contrast_agent,
        change_contrast,
        lower_contrast,
        add_bias,
        blur,
        sharpen,
        add_noise,
        thicken_slices,
    ):
        pair = change(pair, rng, config)
    return pair
