"""Distinguish heads from extracted brains, and mask the brain on the template grid."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.register.flatten import FWHM_PER_SIGMA
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, SHAPE, brain_distances, load_template
from bids_inpaint.image.volume import Volume

# The scalp is searched above the base of the brain, where extraction rarely leaves remains, at
# this distance from the brain of the template.
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
_RING_MM = 8  # around it: CSF and skull, darker than brain
_RING_PCT = 10
_FLUID_MM = 3  # the outermost voxels within the template's brain may be CSF
_BRIGHTEST = 1.6  # in medians of the brain; above are vessels and fat
_OPENING_VOX = 3
_CLOSING_VOX = 4
_FINAL_DILATION_VOX = 1
_BIAS_FWHM_MM = 50.0
_BIAS_STEP_VOX = 4


def has_scalp(head: Volume, anat2std_xfm: NDArray[np.float64]) -> bool:
    """Whether there is tissue at the position of the scalp.

    Parameters
    ----------
    head : Volume
        (X, Y, Z) float32, of `flatten`.
    anat2std_xfm : (4, 4) float64
        Maps RAS mm of the head to template RAS mm, within some millimetres.

    """
    grid = Grid(
        (SHAPE[0] // 2, SHAPE[1] // 2, SHAPE[2] // 2), AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    )
    near, far = _SCALP_DISTANCE_MM
    outside = brain_distances().outside[::2, ::2, ::2]
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

    For an extracted brain, the slightly dilated brain of the template, without zero voxels of the
    image. In a head, that would miss cortex and include skull: there the surface is moved by a few
    millimetres to the boundary between brain and dark CSF or skull.

    Parameters
    ----------
    t1w_std : (182, 218, 182) float32
        T1w volume on the template grid, before bias correction; any units.
    skull_stripped : bool
        Whether the volume is brain-extracted.

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


def _flatten(t1w_std: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by a smooth field of the brain: the median of the brain becomes about 1."""
    inside = brain_distances().inside > _FLUID_MM
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
    """Move the surface of the template's brain to the boundary of brain and dark voxels."""
    outside, inside = brain_distances()
    ring = (outside > 0) & (outside <= _RING_MM)
    darkest = (1 + np.percentile(flat[ring], _RING_PCT)) / 2
    core = inside > _CORE_DEPTH_MM
    tissue = core | ((outside <= _REACH_MM) & (flat > darkest) & (flat < _BRIGHTEST))
    # Opening cuts the bridges of veins and dura to the scalp; eroded brain is restored.
    opened = ndimage.binary_erosion(tissue, iterations=_OPENING_VOX) | core
    opened = ndimage.binary_propagation(core, mask=opened)
    grown = ndimage.binary_dilation(opened, iterations=_OPENING_VOX + 1, mask=tissue)
    closed = ndimage.binary_closing(grown, iterations=_CLOSING_VOX)
    mask = ndimage.binary_dilation(closed, iterations=_FINAL_DILATION_VOX)
    return np.asarray(ndimage.binary_fill_holes(mask) & (outside <= _REACH_MM + 1))
