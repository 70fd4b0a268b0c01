"""Healthy brains of any contrast, made of label maps as they are drawn.

References
----------
Billot B. et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without
retraining", Med. Image Anal. 2023, 86:102789: images made of labels, with intensities at random.
Here only contrasts of T1w are made, and each structure stays between fluid and white matter.

"""

from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.change_places import CALLOSUM_MM
from bids_inpaint.image.template import AFFINE, SHAPE
from bids_inpaint.image.volume import box_around
from bids_inpaint.training.examples.anatomy import Anatomy
from bids_inpaint.training.examples.deform import DeformConfig, draw_points, nearest
from bids_inpaint.training.examples.fields import field_in_box, gaussian_blur, smooth_field
from bids_inpaint.training.examples.structures import (
    CEREBELLAR_WHITE,
    CORTEX,
    FLUID,
    OUTSIDE,
    VENTRICLES,
    WHITE_MATTER,
    class_table,
    draw_brightness,
)

# A code: class in 5 bits, distance from the brain in 3, distance from the ventricles in 5.
_CLASS_BITS, _OUTSIDE_BITS = 5, 3
_FURTHEST_OUTSIDE, _FURTHEST_VENTRICLE = 7, 31
# Of the coarse grid that regions are drawn on.
_REGION_STEP_VOX = 4
_LOBE_WIDTH_MM = 15.0
_LOBE_CENTRES_MM = {
    'frontal': (22, 40, 15),
    'parietal': (25, -35, 40),
    'occipital': (22, -80, 5),
    'temporal': (45, -20, -15),
}
_CALLOSUM_EDGE_MM = 4.0
_TEXTURE_STEP_VOX = 2
_CLOSING_VOX = 6.0


@dataclass(frozen=True)
class LabelMap:
    """Labels of a person on the template grid, (X, Y, Z), FreeSurfer's numbers."""

    participant: str
    labels: NDArray[np.uint16]

    @cached_property
    def codes(self) -> NDArray[np.uint16]:
        """Class, and distances from brain and ventricles, of each voxel; see `_CLASS_BITS`."""
        classes = class_table()[self.labels]
        brain = _close((classes < OUTSIDE) & (classes != FLUID))
        outside = np.minimum(ndimage.distance_transform_edt(~brain), _FURTHEST_OUTSIDE)
        away = np.full(classes.shape, _FURTHEST_VENTRICLE)
        if (classes == VENTRICLES).any():
            box = box_around(classes == VENTRICLES, margin=_FURTHEST_VENTRICLE)
            distance = ndimage.distance_transform_edt(classes[box] != VENTRICLES)
            away[box] = np.minimum(np.floor(distance), _FURTHEST_VENTRICLE)
        codes = classes.astype(np.uint16) | np.ceil(outside).astype(np.uint16) << _CLASS_BITS
        return np.asarray(codes | away.astype(np.uint16) << (_CLASS_BITS + _OUTSIDE_BITS))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Voxels of each class at each distance from the brain: (distances, classes)."""
        low = self.codes & ((1 << (_CLASS_BITS + _OUTSIDE_BITS)) - 1)
        number = 1 << (_CLASS_BITS + _OUTSIDE_BITS)
        return np.bincount(low.ravel(), minlength=number).reshape(-1, 1 << _CLASS_BITS)


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Ranges that a brain made of labels is drawn from.

    `white_to_grey` and `fluid` are in grey matters; `mask_vox` is how far the brain mask reaches
    beyond tissue; `regions` by how much lobes differ in brightness, `callosum` by how much the
    corpus callosum does; `patches` the variation of white matter over 1 and over 3 cm; `texture`
    that from voxel to voxel, of each structure; `blur_vox` makes partial volume.
    """

    white_to_grey: tuple[float, float] = (1.1, 1.75)
    fluid: tuple[float, float] = (0.1, 0.65)
    deform: DeformConfig = field(
        default_factory=lambda: DeformConfig(
            rotation_deg=6.0, scale=(0.92, 1.08), mirror=0.5, shift_vox=4.0, warp_vox=4.0
        )
    )
    mask_vox: tuple[int, int] = (0, 5)
    regions: float = 0.06
    callosum: float = 0.15
    patches: tuple[float, float] = (0.04, 0.06)
    texture: float = 0.04
    blur_vox: tuple[float, float] = (0.35, 0.9)


def _close(brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close sulci, as brain masks do."""
    grown = ndimage.distance_transform_edt(~brain) <= _CLOSING_VOX
    return np.asarray(ndimage.distance_transform_edt(grown) > _CLOSING_VOX)


def draw_anatomy(
    label_map: LabelMap,
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: SyntheticConfig,
) -> Anatomy:
    """Make a box of a healthy brain from labels.

    Parameters
    ----------
    label_map : LabelMap
        Who.
    box : three slices
        Which voxels of the template grid.
    rng : numpy.random.Generator
        The only source of randomness.
    config : SyntheticConfig
        The ranges.

    """
    corner, shape = [s.start for s in box], [s.stop - s.start for s in box]
    points = draw_points(label_map.labels.shape, corner, shape, rng, config.deform)
    codes = nearest(label_map.codes, points)
    classes = (codes & ((1 << _CLASS_BITS) - 1)).astype(np.uint8)
    bright = draw_brightness(rng, rng.uniform(*config.white_to_grey), rng.uniform(*config.fluid))
    reach = int(rng.integers(config.mask_vox[0], config.mask_vox[1] + 1))
    bright /= np.float32(_brain_mean(label_map, bright, reach))
    t1w = bright[classes]
    white = classes == WHITE_MATTER
    either = white | (classes == CEREBELLAR_WHITE)
    t1w *= 1 + np.where(either, _white_field(label_map.labels.shape, box, rng, config), 0)
    t1w *= 1 + _texture(classes, rng, config)
    t1w = gaussian_blur(t1w, rng.uniform(*config.blur_vox))
    outside = (codes >> _CLASS_BITS) & ((1 << _OUTSIDE_BITS) - 1)
    brain = outside <= reach
    return Anatomy(
        t1w=np.where(brain, np.maximum(t1w, np.float32(0.01)), np.float32(0)),
        white_matter=white & brain,
        ventricle_vox=(codes >> (_CLASS_BITS + _OUTSIDE_BITS)).astype(np.uint8),
        white_mean=float(bright[WHITE_MATTER]),
        grey_mean=float(bright[CORTEX]),
    )


def _brain_mean(label_map: LabelMap, bright: NDArray[np.float32], reach: int) -> float:
    """Mean of the whole brain within its mask, without making it."""
    voxels = label_map.counts[: reach + 1, : bright.size].sum(axis=0)
    return float(voxels @ bright / voxels.sum())


def _white_field(
    volume_shape: tuple[int, ...],
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: SyntheticConfig,
) -> NDArray[np.float32]:
    """By which share white matter is brighter in each voxel of a box."""
    regions = _regions()
    gains = rng.uniform(-config.regions, config.regions, len(regions))
    gains[0] = rng.uniform(-config.callosum, config.callosum)
    coarse = np.tensordot(gains.astype(np.float32), regions, axes=1)
    field = field_in_box(coarse, volume_shape, box)
    for amount, size_vox in zip(config.patches, (10, 30), strict=True):
        patches = rng.uniform(0, amount) * rng.uniform(
            -1, 1, [(s.stop - s.start) // size_vox + 2 for s in box]
        )
        field += smooth_field(patches, field.shape)
    return field


def _texture(
    classes: NDArray[np.uint8], rng: np.random.Generator, config: SyntheticConfig
) -> NDArray[np.float32]:
    """Variation over about two voxels, of each class by an amount of its own."""
    amounts = rng.uniform(0, config.texture, 1 << _CLASS_BITS).astype(np.float32)
    coarse = [n // _TEXTURE_STEP_VOX + 1 for n in classes.shape]
    noise = smooth_field(rng.standard_normal(coarse, dtype=np.float32), classes.shape)
    # Interpolation takes about half of the standard deviation away.
    return amounts[classes] * noise * 2


@cache
def _regions() -> NDArray[np.float32]:
    """Weights of the corpus callosum and of four lobes on both sides, on a coarse grid."""
    axes = [
        AFFINE[axis, 3] + (np.arange(-(-n // _REGION_STEP_VOX)) + 0.5) * _REGION_STEP_VOX
        for axis, n in enumerate(SHAPE)
    ]
    x, y, z = np.meshgrid(*axes, indexing='ij')
    callosum = np.ones(x.shape)
    for values, (low, high) in zip((np.abs(x), y, z), CALLOSUM_MM, strict=True):
        reach = np.minimum(values - low + _CALLOSUM_EDGE_MM, high - values + _CALLOSUM_EDGE_MM)
        callosum *= np.clip(reach / _CALLOSUM_EDGE_MM, 0, 1)
    lobes = []
    for cx, cy, cz in _LOBE_CENTRES_MM.values():
        for side in (-1, 1):
            distance = np.sqrt((x - side * cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
            lobes.append(-distance / _LOBE_WIDTH_MM)
    shares = np.exp(np.stack(lobes) - np.max(lobes, axis=0))
    shares *= (1 - callosum) / shares.sum(axis=0)
    return np.asarray(np.concatenate([callosum[None], shares]), dtype=np.float32)
