"""Tell heads from extracted brains, and mask the brain on the template grid."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.head import FWHM_PER_SIGMA, flat_head
from bids_inpaint.image.pose import find_pose
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, SHAPE, load_template
from bids_inpaint.image.volume import Volume

_SPACING_MM = 2.0
# The scalp is looked for above the base of the brain, where extraction rarely leaves remains, and
# at this distance from the template's brain.
_SCALP_ABOVE_MM = 20.0
_SCALP_DISTANCE_MM = (6.0, 16.0)
# In medians of the head: above the noise of air, below fat and muscle.
_TISSUE = 0.2
# At most 0.02 in extracted brains, at least 0.83 in heads (docs/registration.md).
_LEAST_SCALP = 0.3

_PLAIN_DILATION_VOX = 2
# Refined mask, in mm or voxels of the template grid; values compared in docs/registration.md.
_REACH_MM = 4  # beyond the template's brain
_CORE_DEPTH_MM = 6  # within it; from here on all is brain
_RING_MM = 8  # around it: fluid and skull, darker than brain
_RING_PCT = 10
_FLUID_MM = 3  # within the template's brain the outermost voxels may be fluid
_BRIGHTEST = 1.6  # in medians of the brain; above are vessels and fat
_OPENING_VOX = 3
_CLOSING_VOX = 4
_FINAL_DILATION_VOX = 1
_BIAS_FWHM_MM = 50.0
_BIAS_STEP_VOX = 4


def is_skull_stripped(t1w: Volume) -> bool:
    """Tell whether a T1w volume holds a brain only.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, any orientation and voxel size, scanner units.

    """
    head = flat_head(t1w, spacing_mm=_SPACING_MM)
    return not has_scalp(head, find_pose(head).xfm)


def has_scalp(head: Volume, anat2std_xfm: NDArray[np.float64]) -> bool:
    """Tell whether there is tissue where the scalp should be.

    Parameters
    ----------
    head : Volume
        (X, Y, Z) float32, as `flat_head` makes it.
    anat2std_xfm : (4, 4) float64
        Maps RAS mm of the head to template RAS mm; within some millimetres.

    """
    grid = Grid(
        (SHAPE[0] // 2, SHAPE[1] // 2, SHAPE[2] // 2), AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    )
    near, far = _SCALP_DISTANCE_MM
    outside = _depths().outside[::2, ::2, ::2]
    above = round(_SCALP_ABOVE_MM - AFFINE[2, 3]) // 2
    shell = (outside >= near) & (outside <= far)
    shell[:, :, :above] = False
    shell &= resample(Volume(np.ones_like(head.data), head.affine), grid, anat2std_xfm) > 0
    tissue = resample(head, grid, anat2std_xfm)[shell] > _TISSUE
    return bool(tissue.size and tissue.mean() > _LEAST_SCALP)


def brain_mask_on_template(
    t1w_std: NDArray[np.float32], *, skull_stripped: bool
) -> NDArray[np.bool_]:
    """Mask the brain of a T1w volume on the template grid.

    The registered template's brain, slightly dilated, is limited to what is not zero in an
    extracted brain. In a head, an affine map alone would leave cortex out and skull in: there the
    surface is moved to where the brain meets the dark of fluid and skull, by a few millimetres.

    Parameters
    ----------
    t1w_std : (182, 218, 182) float32
        T1w volume on the template grid, before bias correction; any units.
    skull_stripped : bool
        Whether the volume holds a brain only.

    Returns
    -------
    (182, 218, 182) bool

    """
    brain_mask = load_template().brain_mask
    if skull_stripped:
        mask = ndimage.binary_dilation(brain_mask, iterations=_PLAIN_DILATION_VOX)
        return np.asarray(mask & ndimage.binary_fill_holes(t1w_std > 0))
    if not t1w_std[brain_mask].any():
        return brain_mask.copy()
    return _refine(_flatten(t1w_std))


class _Depths(NamedTuple):
    """Distance to the surface of the template's brain, mm; zero on the other side."""

    outside: NDArray[np.float32]
    inside: NDArray[np.float32]


@cache
def _depths() -> _Depths:
    mask = load_template().brain_mask
    return _Depths(
        ndimage.distance_transform_edt(~mask).astype(np.float32),
        ndimage.distance_transform_edt(mask).astype(np.float32),
    )


def _flatten(t1w_std: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by a smooth field, seen in the brain only: the brain's median becomes about 1."""
    inside = _depths().inside > _FLUID_MM
    median = np.median(t1w_std[inside])
    inside = inside & (t1w_std > median / 2) & (t1w_std < _BRIGHTEST * median)
    step = (slice(None, None, _BIAS_STEP_VOX),) * 3
    sigma_vox = _BIAS_FWHM_MM / FWHM_PER_SIGMA / _BIAS_STEP_VOX
    weight = ndimage.gaussian_filter(inside[step].astype(np.float32), sigma_vox)
    coarse = ndimage.gaussian_filter(np.where(inside, t1w_std, 0)[step], sigma_vox)
    coarse /= np.maximum(weight, 1e-3)
    field = ndimage.affine_transform(
        coarse, np.eye(3) / _BIAS_STEP_VOX, output_shape=SHAPE, order=1, mode='nearest'
    )
    return np.asarray(t1w_std / np.maximum(field, 0.2 * median), dtype=np.float32)


def _refine(flat: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Move the surface of the template's brain to where the brain meets the dark."""
    outside, inside = _depths()
    ring = (outside > 0) & (outside <= _RING_MM)
    darkest = (1 + np.percentile(flat[ring], _RING_PCT)) / 2
    core = inside > _CORE_DEPTH_MM
    tissue = core | ((outside <= _REACH_MM) & (flat > darkest) & (flat < _BRIGHTEST))
    # Opening cuts the bridges of veins and dura to the scalp; what it shaved off comes back.
    opened = ndimage.binary_erosion(tissue, iterations=_OPENING_VOX) | core
    opened = ndimage.binary_propagation(core, mask=opened)
    grown = ndimage.binary_dilation(opened, iterations=_OPENING_VOX + 1, mask=tissue)
    closed = ndimage.binary_closing(grown, iterations=_CLOSING_VOX)
    mask = ndimage.binary_dilation(closed, iterations=_FINAL_DILATION_VOX)
    return np.asarray(ndimage.binary_fill_holes(mask) & (outside <= _REACH_MM + 1))
