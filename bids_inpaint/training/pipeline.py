"""From BIDS derivatives in template space to training examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.lesion_map import SURE_PROBABILITY, tissue_median
from bids_inpaint.image.template import SPACE, load_template
from bids_inpaint.image.volume import load
from bids_inpaint.network.config import WHITE_MATTER
from bids_inpaint.network.inference import HIDDEN
from bids_inpaint.training.augment import AugmentConfig, cut_brain
from bids_inpaint.training.lesions import (
    LesionConfig,
    add_lesions,
    draw_caps,
    draw_dots,
    place_mask,
)
from bids_inpaint.training.ventricles import find_ventricles, is_fluid, widen

# White matter is what differs from its median by less than this share.
_NEAR = 0.08
# In fewer voxels than these a median says little.
_ENOUGH_VOX = 500


@dataclass(frozen=True)
class Brain:
    """A healthy brain on the template grid.

    Attributes
    ----------
    dataset, participant : str
        Name of the dataset, and label without `sub-`.
    t1w : (X, Y, Z) float16
        In units of the mean of the brain, zero outside it.
    white_matter_mean : float
        Median of voxels that are white matter for sure.
    white_matter_lowest : float
        Half way between grey and white matter: above it lesions may lie.

    """

    dataset: str
    participant: str
    t1w: NDArray[np.float16]
    white_matter_mean: float
    white_matter_lowest: float


class Example(NamedTuple):
    """What one training example consists of, each (X, Y, Z) float32 on the same voxels."""

    lesioned: NDArray[np.float32]
    target: NDArray[np.float32]
    share: NDArray[np.float32]


def participant_of(path: Path) -> str:
    """Participant label of a BIDS file name, without `sub-`."""
    return path.name.split('_')[0].removeprefix('sub-')


def find_brains(folder: Path) -> list[Path]:
    """Preprocessed T1w of a derivative dataset of this app, in template space, sorted."""
    found = sorted(folder.glob(f'sub-*/**/*_space-{SPACE}_desc-preproc_T1w.nii.gz'))
    if not found:
        msg = f'{folder}: no file *_space-{SPACE}_desc-preproc_T1w.nii.gz, as this app writes'
        raise FileNotFoundError(msg)
    return found


def find_masks(folder: Path) -> list[Path]:
    """Lesion masks of a derivative dataset, in template space, sorted."""
    found = sorted(folder.glob(f'sub-*/**/*_space-{SPACE}_label-lesion_mask.nii.gz'))
    if not found:
        msg = f'{folder}: no file *_space-{SPACE}_label-lesion_mask.nii.gz'
        raise FileNotFoundError(msg)
    return found


def load_brain(path: Path, dataset: str) -> Brain:
    """Read a preprocessed T1w of a dataset, and measure its tissues."""
    t1w = load(path).data
    template = load_template()
    white = tissue_median(t1w, t1w > 0, template.white_matter)
    grey = tissue_median(t1w, t1w > 0, template.grey_matter)
    return Brain(dataset, participant_of(path), t1w.astype(np.float16), white, (white + grey) / 2)


def load_mask(path: Path) -> NDArray[np.bool_]:
    """Read a lesion mask on the template grid."""
    return load(path).data > 0.5


def simulate(
    brain: Brain,
    masks: Sequence[NDArray[np.bool_]],
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: LesionConfig,
    augment_config: AugmentConfig | None = None,
) -> Example:
    """Put lesions into a box of a healthy brain.

    Parameters
    ----------
    brain : Brain
        Who.
    masks : sequence of (X, Y, Z) bool
        Lesions to draw from, on the template grid.
    box : three slices
        Which voxels; start and stop given.
    rng : numpy.random.Generator
        The only source of randomness.
    config : LesionConfig
        What lesions are like.
    augment_config : AugmentConfig, optional
        How the brain is deformed beforehand; it is taken as it is if not given.

    """
    t1w = _cut(brain, box, rng, augment_config)
    if rng.random() < config.healthy_share:
        return Example(t1w, t1w, np.zeros_like(t1w))
    allowed = t1w > brain.white_matter_lowest
    lesions = _draw_lesions(masks, allowed, [s.start for s in box], rng, config)
    lesions &= allowed
    if config.caps_probability and rng.random() < config.caps_probability:
        ventricles = find_ventricles(t1w, box, brain.white_matter_mean)
        tissue = (t1w > 0) & ~is_fluid(t1w, brain.white_matter_mean)
        lesions |= draw_caps(ventricles, rng, config) & tissue
    lesioned, share = add_lesions(t1w, lesions, brain.white_matter_mean, rng, config)
    return Example(lesioned, t1w, share)


def hide(
    brain: Brain,
    masks: Sequence[NDArray[np.bool_]],
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: LesionConfig,
    augment_config: AugmentConfig | None = None,
) -> Example:
    """Choose what of a box of a healthy brain the non-blind network is not to see.

    Parameters are those of `simulate`. `share` of the example is 1 where it is hidden; `lesioned`
    is still the healthy brain, so that contrast and noise can be changed before `conceal`. The
    white matter is as bright as the network expects it.
    """
    t1w = _cut(brain, box, rng, augment_config)
    unit = np.float32(WHITE_MATTER / brain.white_matter_mean)
    # Masks that users draw reach beyond the white matter now and then.
    lowest = 0.0 if rng.random() < config.beyond_white_matter else brain.white_matter_lowest
    allowed = t1w > lowest
    lesions = _draw_lesions(masks, allowed, [s.start for s in box], rng, config)
    return Example(t1w * unit, t1w * unit, (lesions & allowed).astype(np.float32))


def grow(
    mask: NDArray[np.bool_], rng: np.random.Generator, config: LesionConfig
) -> NDArray[np.bool_]:
    """Let what is hidden grow by a few voxels, over the border of ventricles and cortex too.

    In use all is hidden that touches a lesion (`bids_inpaint.image.fill.hidden_region`), and
    masks are drawn with a margin: the network has to know where white matter ends.
    """
    by = int(rng.integers(config.hidden_margin_vox[0], config.hidden_margin_vox[1] + 1))
    return ndimage.binary_dilation(mask, iterations=by) if by else mask


def restore_white_matter(changed: NDArray[np.float32], before: NDArray[np.float32]) -> np.float32:
    """Tell by what to multiply a brain so that its white matter is as bright as before.

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
    """Give voxels of a mask the value that tells the non-blind network to fill them."""
    return np.where(mask, HIDDEN, t1w)


def _cut(
    brain: Brain,
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    augment_config: AugmentConfig | None,
) -> NDArray[np.float32]:
    """Cut a box out of a brain, of another shape if it is said how."""
    if augment_config is None:
        return brain.t1w[box].astype(np.float32)
    t1w = cut_brain(brain.t1w, box, rng, augment_config)
    ventricles = find_ventricles(t1w, box, brain.white_matter_mean)
    return widen(t1w, ventricles, rng, augment_config)


def _draw_lesions(
    masks: Sequence[NDArray[np.bool_]],
    allowed: NDArray[np.bool_],
    corner: Sequence[int],
    rng: np.random.Generator,
    config: LesionConfig,
) -> NDArray[np.bool_]:
    """Dots, and masks of real lesions."""
    lesions = draw_dots(allowed, rng, config)
    for _ in range(rng.integers(config.masks_per_image[0], config.masks_per_image[1] + 1)):
        mask = masks[int(rng.integers(len(masks)))]
        lesions |= place_mask(mask, corner, allowed.shape, rng, config)
    return lesions


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
