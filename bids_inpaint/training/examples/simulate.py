"""Put lesions into healthy brains, or hide parts of them."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.template import SHAPE, load_template
from bids_inpaint.image.tissue import SURE_PROBABILITY
from bids_inpaint.image.volume import dilate
from bids_inpaint.network.config import WHITE_MATTER
from bids_inpaint.network.inference import HIDDEN
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples.anatomy import Anatomy
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.deform import draw_points, nearest, sample
from bids_inpaint.training.examples.lesions import (
    LesionConfig,
    add_lesions,
    draw_caps,
    draw_dots,
    draw_halo,
    draw_shapes,
    place_mask,
)
from bids_inpaint.training.examples.shapes import ShapeLibrary
from bids_inpaint.training.examples.ventricles import is_fluid, widen

# White matter is what differs from its median by less than this share.
_NEAR = 0.08
# In fewer voxels than these a median says little.
_ENOUGH_VOX = 500


def take_anatomy(brain: Brain, box: tuple[slice, slice, slice]) -> Anatomy:
    """Cut a box out of a healthy brain, as it is."""
    return _anatomy(brain, brain.t1w[box].astype(np.float32), lambda: brain.ventricle_vox[box])


def draw_deformed(
    brain: Brain,
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: AugmentConfig,
) -> Anatomy:
    """Cut a box out of a healthy brain, deformed and with wider ventricles as the config says."""
    if rng.random() >= config.deform_probability:
        anatomy = take_anatomy(brain, box)
    else:
        corner, shape = [s.start for s in box], [s.stop - s.start for s in box]
        points = draw_points(brain.t1w.shape, corner, shape, rng, config.deform)
        t1w = sample(brain.t1w, points, order=1)
        anatomy = _anatomy(brain, t1w, lambda: nearest(brain.ventricle_vox, points))
    return widen(anatomy, rng, config)


def simulate(
    anatomy: Anatomy,
    masks: Sequence[NDArray[np.bool_]],
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: LesionConfig,
    library: ShapeLibrary | None = None,
) -> Example:
    """Put lesions into a box of a healthy brain.

    Parameters
    ----------
    anatomy : Anatomy
        Of a box, or of the whole brain.
    masks : sequence of (X, Y, Z) bool
        Lesions of patients to draw from, on the template grid.
    box : three slices
        Which voxels of the template grid; start and stop given.
    rng : numpy.random.Generator
        The only source of randomness.
    config : LesionConfig
        What lesions are like.
    library : ShapeLibrary, optional
        Single lesions to draw from besides.

    """
    t1w = anatomy.t1w
    if rng.random() < config.healthy_share:
        return Example(t1w, t1w, np.zeros_like(t1w))
    allowed = anatomy.white_matter
    lesions = _draw_lesions(masks, library, allowed, [s.start for s in box], rng, config)
    if config.caps_probability and rng.random() < config.caps_probability:
        tissue = (t1w > 0) & ~is_fluid(t1w, anatomy.white_mean)
        lesions |= draw_caps(anatomy.ventricle_vox, rng, config) & tissue
    t1w = _paler_around(lesions, anatomy, rng, config)
    lesioned, share = add_lesions(t1w, lesions, anatomy.white_mean, rng, config)
    return Example(lesioned, t1w, share)


def hide(
    anatomy: Anatomy,
    masks: Sequence[NDArray[np.bool_]],
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: LesionConfig,
    library: ShapeLibrary | None = None,
) -> Example:
    """Choose the voxels of a box of a healthy brain to hide from the non-blind network.

    Parameters are those of `simulate`. `share` of the example is 1 where it is hidden; `lesioned`
    is still the healthy brain, so that contrast and noise can be changed before `conceal`. The
    white matter is as bright as the network expects it, but paler around what is hidden where the
    config says so.
    """
    # Masks that users draw reach beyond the white matter now and then.
    beyond = rng.random() < config.beyond_white_matter
    allowed = anatomy.t1w > 0 if beyond else anatomy.white_matter
    lesions = _draw_lesions(masks, library, allowed, [s.start for s in box], rng, config)
    t1w = _paler_around(lesions, anatomy, rng, config)
    t1w = t1w * np.float32(WHITE_MATTER / anatomy.white_mean)
    return Example(t1w, t1w, lesions.astype(np.float32))


def grow(
    mask: NDArray[np.bool_], rng: np.random.Generator, config: LesionConfig
) -> NDArray[np.bool_]:
    """Let what is hidden grow by a few voxels, over the border of ventricles and cortex too.

    In use all is hidden that touches a lesion (`bids_inpaint.image.fill.hidden_region`), and
    masks are drawn with a margin: the network has to know where white matter ends.
    """
    by = int(rng.integers(config.hidden_margin_vox[0], config.hidden_margin_vox[1] + 1))
    return dilate(mask, by)


def restore_white_matter(changed: NDArray[np.float32], before: NDArray[np.float32]) -> np.float32:
    """Compute the factor that restores the brightness of white matter.

    Parameters
    ----------
    changed, before : (X, Y, Z) float32
        The brain now, and as `hide` made it.

    """
    white = np.abs(before / np.float32(WHITE_MATTER) - 1) < _NEAR
    if white.sum() < _ENOUGH_VOX:
        return np.float32(1)
    return np.float32(WHITE_MATTER / np.median(changed[white]))


def conceal(t1w: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Set the voxels of a mask to the value that marks hidden voxels."""
    return np.where(mask, HIDDEN, t1w)


def _anatomy(
    brain: Brain, t1w: NDArray[np.float32], ventricle_vox: Callable[[], NDArray[np.floating]]
) -> Anatomy:
    """Find tissues of a real brain by their brightness."""
    return Anatomy(
        t1w=t1w,
        white_matter=t1w > brain.white_matter_lowest,
        ventricle_vox=ventricle_vox(),
        white_mean=brain.white_matter_mean,
        grey_mean=2 * brain.white_matter_lowest - brain.white_matter_mean,
    )


def _draw_lesions(
    masks: Sequence[NDArray[np.bool_]],
    library: ShapeLibrary | None,
    allowed: NDArray[np.bool_],
    corner: Sequence[int],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.bool_]:
    """Dots, masks of real lesions, and single lesions of the library, where they are allowed."""
    lesions = draw_dots(allowed, rng, config)
    for _ in range(rng.integers(config.masks_per_image[0], config.masks_per_image[1] + 1)):
        mask = masks[int(rng.integers(len(masks)))]
        lesions |= place_mask(mask, corner, allowed.shape, rng, config)
    if library is not None and config.shapes_per_image[1]:
        shapes = draw_shapes(library, SHAPE, rng, config)
        lesions |= place_mask(shapes, corner, allowed.shape, rng, config)
    return lesions & allowed


def _paler_around(
    lesions: NDArray[np.bool_], anatomy: Anatomy, rng: np.random.Generator, config: LesionConfig
) -> NDArray[np.float32]:
    """Make white matter paler around lesions, where the config says so; float32."""
    halo = draw_halo(lesions, anatomy.white_matter, rng, config)
    return anatomy.t1w if halo is None else anatomy.t1w * (1 - halo)


@cache
def _white_matter_voxels() -> NDArray[np.int64]:
    """Return the indices (N, 3) of the template's white matter."""
    return np.argwhere(load_template().white_matter > SURE_PROBABILITY)


@cache
def _brain_box() -> NDArray[np.int64]:
    """First voxel of the template's brain, and that after its last: (2, 3)."""
    inside = np.argwhere(load_template().brain_mask)
    return np.stack([inside.min(axis=0), inside.max(axis=0) + 1])


def draw_box(
    shape: tuple[int, int, int], size: int, rng: np.random.Generator
) -> tuple[slice, slice, slice]:
    """Draw a cube to train on.

    Half of them lie around a voxel of white matter, where lesions are. The others lie anywhere
    in the box around the brain, as the windows do that a network is applied to.

    Parameters
    ----------
    shape : (3,) int
        Voxels of the volume.
    size : int
        Side of the cube in voxels, or 0 for the whole volume.
    rng : numpy.random.Generator
        Draws where it is.

    """
    if not size:
        return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])
    if rng.random() < 0.5:
        centres = _white_matter_voxels()
        corner = centres[rng.integers(len(centres))] - size // 2
    else:
        first, last = _brain_box()
        corner = rng.integers(first, np.maximum(last - size, first) + 1)
    x, y, z = (int(v) for v in np.clip(corner, 0, np.asarray(shape) - size))
    return slice(x, x + size), slice(y, y + size), slice(z, z + size)
