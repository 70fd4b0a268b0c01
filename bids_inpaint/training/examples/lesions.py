"""Simulate white-matter lesions on healthy brains."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.training.examples.deform import DeformConfig, draw_points, nearest
from bids_inpaint.training.examples.fields import gaussian_blur, smooth_field
from bids_inpaint.training.examples.shapes import ShapeLibrary

_CAP_VOX = 20
_HALO_STEP_VOX = 4
_HALF_HALO = 0.12


@dataclass(frozen=True, kw_only=True)
class LesionConfig:
    """Ranges that a simulated lesion is drawn from; pairs are lowest and highest.

    Lengths are in voxels of 1 mm, intensities in shares of the white matter of the same brain.
    `healthy_share` of the images have no lesion; where lesions are hidden instead of darkened,
    `beyond_white_matter` is the share of images in which they may lie anywhere in the brain, and
    in training they grow by `hidden_margin_vox`.
    With `core_probability` the lesions of an image are pale at their border and darken towards
    their core over some millimetres, as real ones do (`docs/training.md`); otherwise each is
    evenly dark within a soft rim. With `caps_probability` bands lie around the ventricles whose
    width varies along them; where it is drawn below zero there is none.
    `shapes_per_image` are drawn one by one from a library of single lesions, in whole brains, the
    number evenly in its logarithm: of each size class as often as `class_shares` says, where the
    patient had it or mirrored, and up to `shape_shift_vox` away. With `halo_probability` white
    matter is pale over centimetres around the lesions, by up to `halo_depth` of its brightness:
    that is no lesion, and stays in the target.
    """

    masks_per_image: tuple[int, int] = (1, 3)
    dots_per_image: tuple[int, int] = (0, 12)
    dot_radius_vox: tuple[float, float] = (1.0, 4.0)
    deform: DeformConfig = field(
        default_factory=lambda: DeformConfig(
            rotation_deg=20.0, scale=(0.8, 1.3), mirror=0.5, shift_vox=12.0, warp_vox=3.0
        )
    )
    intensity: tuple[float, float] = (0.3, 0.95)
    rim_sigma_vox: tuple[float, float] = (0.4, 1.2)
    texture: tuple[float, float] = (0.0, 0.06)
    core_probability: float = 0.0
    core_sigma_vox: tuple[float, float] = (0.7, 2.5)
    rim_intensity: tuple[float, float] = (0.75, 0.95)
    healthy_share: float = 0.25
    beyond_white_matter: float = 0.2
    hidden_margin_vox: tuple[int, int] = (0, 2)
    caps_probability: float = 0.0
    cap_width_vox: tuple[float, float] = (-4.0, 8.0)
    shapes_per_image: tuple[int, int] = (0, 0)
    class_shares: tuple[float, ...] = (0.45, 0.33, 0.12, 0.07, 0.03)
    shape_shift_vox: float = 6.0
    halo_probability: float = 0.0
    halo_sigma_vox: tuple[float, float] = (4.0, 12.0)
    halo_depth: tuple[float, float] = (0.02, 0.15)


def place_mask(
    mask: NDArray[np.bool_],
    corner: Sequence[int],
    shape: Sequence[int],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.bool_]:
    """Deform a mask of real lesions, and cut a box out of it.

    Parameters
    ----------
    mask : (X, Y, Z) bool
        Lesions of one patient on the template grid.
    corner : (3,) int
        First voxel of the box.
    shape : (3,) int
        Voxels along each side of the box.
    rng : numpy.random.Generator
        Draws flip, rotation, scale, shift and elastic warp.
    config : LesionConfig
        How far each of them goes.

    Returns
    -------
    bool
        The deformed lesions inside the box, of the given shape.

    """
    points = draw_points(mask.shape, corner, shape, rng, config.deform)
    return nearest(mask, points)


def draw_shapes(
    library: ShapeLibrary,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.bool_]:
    """Draw single lesions into a whole volume (X, Y, Z), each about where a patient had it."""
    drawn = np.zeros(shape, bool)
    fewest, most = config.shapes_per_image
    number = int(np.exp(rng.uniform(np.log(fewest + 1), np.log(most + 2)))) - 1
    classes = library.classes
    shares = np.array(config.class_shares) * [len(members) > 0 for members in classes]
    for size_class in rng.choice(len(classes), number, p=shares / shares.sum()):
        lesion, corner = library.lesion(int(rng.choice(classes[size_class])))
        if rng.random() < 0.5:  # the other side of the head; the template is symmetric
            corner = np.array([shape[0] - 1 - corner[0] - lesion.shape[0], *corner[1:]])
            lesion = lesion[::-1]
        lesion = lesion[:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        moved = corner + np.rint(
            rng.uniform(-config.shape_shift_vox, config.shape_shift_vox, 3)
        ).astype(int)
        first = np.clip(moved, 0, np.asarray(shape) - lesion.shape)
        box = tuple(slice(a, a + n) for a, n in zip(first, lesion.shape, strict=True))
        drawn[box] |= lesion
    return drawn


def draw_halo(
    lesions: NDArray[np.bool_],
    white_matter: NDArray[np.bool_],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.float32] | None:
    """Draw how much paler white matter is around lesions, in shares of its brightness.

    Parameters
    ----------
    lesions : (X, Y, Z) bool
        Where they are.
    white_matter : (X, Y, Z) bool
        Elsewhere nothing is paler.
    rng : numpy.random.Generator
        Draws whether there is a halo, its width and its depth.
    config : LesionConfig
        The ranges.

    Returns
    -------
    (X, Y, Z) float32 or None
        None if there is no halo.

    """
    if not config.halo_probability or rng.random() >= config.halo_probability:
        return None
    step = _HALO_STEP_VOX
    sigma = rng.uniform(*config.halo_sigma_vox) / step
    wide = gaussian_blur(lesions[::step, ::step, ::step].astype(np.float32), sigma)
    # Half of the depth where an eighth of what is around is lesion.
    wide = wide / (wide + np.float32(_HALF_HALO))
    wide *= rng.uniform(0.5, 1, wide.shape).astype(np.float32)
    depth = np.float32(rng.uniform(*config.halo_depth))
    return np.where(white_matter, depth * smooth_field(wide, lesions.shape), np.float32(0))


def draw_dots(
    allowed: NDArray[np.bool_], rng: np.random.Generator, config: LesionConfig
) -> NDArray[np.bool_]:
    """Draw small ellipsoids with their centres in `allowed`; the shape of `allowed`, bool."""
    drawn = np.zeros(allowed.shape, bool)
    candidates = np.flatnonzero(allowed)
    number = rng.integers(config.dots_per_image[0], config.dots_per_image[1] + 1)
    if not candidates.size or not number:
        return drawn
    for index in rng.choice(candidates, number):
        radii = rng.uniform(*config.dot_radius_vox) * rng.uniform(0.7, 1.4, 3)
        centre = np.asarray(np.unravel_index(index, allowed.shape))
        low = np.maximum(np.floor(centre - radii).astype(int), 0)
        high = np.minimum(np.ceil(centre + radii).astype(int) + 1, allowed.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = np.ogrid[box]
        distance = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True))
        drawn[box] |= distance <= 1
    return drawn


def draw_caps(
    ventricle_vox: NDArray[np.floating], rng: np.random.Generator, config: LesionConfig
) -> NDArray[np.bool_]:
    """Draw bands around ventricles, of a width that varies over 2 cm; bool, of the same shape.

    They begin where the fluid ends: the voxels of the border, part fluid and part white matter,
    belong to them.
    """
    shape = ventricle_vox.shape
    coarse = rng.uniform(*config.cap_width_vox, [n // _CAP_VOX + 2 for n in shape])
    return np.asarray((ventricle_vox > 0) & (ventricle_vox < smooth_field(coarse, shape)))


def add_lesions(
    t1w: NDArray[np.float32],
    lesion_mask: NDArray[np.bool_],
    white_matter_mean: float,
    rng: np.random.Generator,
    config: LesionConfig,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Darken the voxels of a mask as lesions are dark on T1w.

    Each connected lesion has an intensity of its own; the rim is soft, so that large lesions
    have a dark core and dots are pale by partial volume, and the inside has a smooth texture.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        Healthy T1w.
    lesion_mask : (X, Y, Z) bool
        Where.
    white_matter_mean : float
        Mean of the white matter of this brain, in the units of `t1w`.
    rng : numpy.random.Generator
        Draws intensity, rim and texture.
    config : LesionConfig
        The ranges.

    Returns
    -------
    lesioned : (X, Y, Z) float32
        T1w with lesions, never brighter than without.
    share : (X, Y, Z) float32
        Share of lesion in each voxel, in [0, 1].

    """
    labels, number = ndimage.label(lesion_mask)
    if not number:
        return t1w, np.zeros(t1w.shape, np.float32)
    levels = rng.uniform(*config.intensity, number + 1).astype(np.float32)
    sigma = rng.uniform(*config.rim_sigma_vox)
    share = gaussian_blur(lesion_mask.astype(np.float32), sigma)
    # Each voxel of the rim takes the intensity of its lesion: a mean, weighted by the same blur.
    level = gaussian_blur(np.where(lesion_mask, levels[labels], 0), sigma)
    level /= np.maximum(share, 1e-3)
    if config.core_probability and rng.random() < config.core_probability:
        level = _darken_to_core(level, lesion_mask, rng, config)
    noise = gaussian_blur(rng.standard_normal(t1w.shape, dtype=np.float32), 1.0)
    level *= 1 + rng.uniform(*config.texture) / 0.15 * noise
    share[share < 0.02] = 0
    lesioned = t1w + share * np.minimum(level * np.float32(white_matter_mean) - t1w, 0)
    return lesioned.astype(np.float32), share


def _darken_to_core(
    level: NDArray[np.float32],
    lesion_mask: NDArray[np.bool_],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.float32]:
    """Lighten the level (X, Y, Z) of each lesion towards its border."""
    sigma = rng.uniform(*config.core_sigma_vox)
    depth = 2 * gaussian_blur(lesion_mask.astype(np.float32), sigma) - 1
    depth = np.clip(depth, 0, 1)
    rim = np.maximum(level, np.float32(rng.uniform(*config.rim_intensity)))
    return np.asarray(rim + depth * (level - rim), dtype=np.float32)
