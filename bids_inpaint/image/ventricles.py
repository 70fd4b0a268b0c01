"""The ventricles, where nothing should be filled.

CSF is dark on T1w, as lesions are. A network that takes it for a lesion would make ventricles
smaller: so CSF is not changed, and the change that the network asks for there is a QC number.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image import template
from bids_inpaint.image.template import Template
from bids_inpaint.image.tissue import SURE_PROBABILITY, tissue_median

# Where CSF is certain, the probabilities of grey and white matter together are below this.
_MOST_TISSUE = 0.1
# Ventricles are at least this deep in the brain; sulci, which an affine map does not align, are
# not.
_LEAST_DEPTH_MM = 20.0
# CSF is at most this bright, relative to grey matter; lesions are rarely as dark.
_BRIGHTEST = 0.6
_SURE_GREY = 0.9
# Smaller ventricles, cropped or very narrow, are not measured.
_LEAST_MM3 = 500.0
# Ventricles end at this share of the way from CSF to white matter. 0.5 % of the lesions drawn by
# experts in five images are darker and connected to a ventricle.
_FLUID_ENDS = 0.4
# Darker lesions are told from CSF by a probability of lesion above this.
_LESION_PROBABILITY = 0.5
# Wide ventricles extend this much beyond those of the template.
_REACH_MM = 10.0


def sure_ventricles(t1w: NDArray[np.float32], maps: Template) -> NDArray[np.bool_]:
    """Find voxels that are certainly CSF of the ventricles.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before the network, on the template grid, zero outside the brain.
    maps : Template
        On the same grid.

    Returns
    -------
    (X, Y, Z) bool
        CSF in the template, a voxel away from its tissue and deep in the brain, and dark in the
        image. Empty if the image shows no grey matter.

    """
    fluid = template_ventricles(maps)
    grey = t1w[(maps.grey_matter > _SURE_GREY) & (t1w > 0)]
    if not grey.size:
        return np.zeros(t1w.shape, bool)
    return np.asarray(fluid & (t1w > 0) & (t1w < _BRIGHTEST * np.median(grey)))


def brain_without_ventricles(
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    maps: Template,
    probability: NDArray[np.float32] | None = None,
) -> NDArray[np.bool_]:
    """Find where lesions may be: in the brain, without the CSF of its ventricles.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before the network, on the template grid.
    brain_mask : (X, Y, Z) bool
        Of the image.
    maps : Template
        On the same grid.
    probability : (X, Y, Z) float32, optional
        Of lesion, if the network gives it.

    Returns
    -------
    (X, Y, Z) bool
        The brain mask without dark voxels that are connected to certain CSF near the ventricles of
        the template, and that are not probably lesion. The whole brain mask if no CSF is certain.

    """
    sure = sure_ventricles(t1w, maps) & brain_mask
    if not (sure.any() and (brain_mask & (maps.white_matter > SURE_PROBABILITY)).any()):
        return brain_mask
    fluid = np.median(t1w[sure])
    white = tissue_median(t1w, brain_mask, maps.white_matter)
    dark = t1w < fluid + _FLUID_ENDS * (white - fluid)
    if probability is not None:
        dark &= probability <= _LESION_PROBABILITY
    fluid_near = dark & _near_ventricles(maps)
    return np.asarray(brain_mask & ~ndimage.binary_propagation(sure, mask=fluid_near))


@lru_cache(maxsize=1)
def template_ventricles(maps: Template) -> NDArray[np.bool_]:
    """Voxels of the template's ventricles (X, Y, Z), a voxel away from its tissue; cached."""
    tissue = maps.grey_matter + maps.white_matter
    fluid = ndimage.binary_erosion(maps.brain_mask & (tissue < _MOST_TISSUE))
    ventricles = np.asarray(fluid & _deep(maps.brain_mask))
    ventricles.flags.writeable = False
    return ventricles


@lru_cache(maxsize=1)
def _near_ventricles(maps: Template) -> NDArray[np.bool_]:
    """Voxels that wide ventricles may reach; cached."""
    return _within(~template_ventricles(maps), _REACH_MM)


def ventricle_change(
    t1w: NDArray[np.float32],
    inpainted: NDArray[np.float32],
    asked: NDArray[np.bool_],
    maps: Template,
) -> float | None:
    """Measure the change that a network asks for in the ventricles.

    Parameters
    ----------
    t1w, inpainted : (X, Y, Z) float32
        Before and after the network, on the template grid.
    asked : (X, Y, Z) bool
        Voxels above the threshold of a change.
    maps : Template
        On the same grid.

    Returns
    -------
    float or None
        Mean absolute change, in the units of the volumes; None if there is too little CSF.

    """
    sure = sure_ventricles(t1w, maps)
    if sure.sum() * np.prod(_zooms_mm()) < _LEAST_MM3:
        return None
    change = (inpainted - t1w) * asked
    return float(np.abs(change[sure]).mean(dtype=np.float64))


def _deep(brain_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels deep in the brain."""
    return ~_within(brain_mask, _LEAST_DEPTH_MM)


def _within(mask: NDArray[np.bool_], depth_mm: float) -> NDArray[np.bool_]:
    """Voxels up to a depth in a mask, and all outside it.

    Computed on every other voxel of each axis, in an eighth of the time.
    """
    depth = ndimage.distance_transform_edt(mask[::2, ::2, ::2], sampling=2 * _zooms_mm())
    within = (depth <= depth_mm).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    box = tuple(slice(size) for size in mask.shape)
    return np.asarray(within[box], dtype=bool)


def _zooms_mm() -> NDArray[np.float64]:
    """Size of a voxel of the template grid."""
    return np.asarray(np.linalg.norm(template.AFFINE[:3, :3], axis=0))
