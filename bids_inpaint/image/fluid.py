"""The fluid of the ventricles, where nothing is to be filled.

Fluid is dark on T1w, as lesions are. A network that takes it for a lesion would make ventricles
smaller than they are: so they are left as they are, and what it asked for there is a number of QC.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image import template
from bids_inpaint.image.lesion_map import SURE_PROBABILITY, tissue_median
from bids_inpaint.image.template import Template

# The probabilities of grey and white matter together are below this where fluid is sure.
_MOST_TISSUE = 0.1
# Ventricles are at least this deep in the brain; sulci, which an affine map does not bring to
# those of the template, are not.
_LEAST_DEPTH_MM = 20.0
# Fluid is at most this bright, as a part of grey matter; the darkest lesions rarely are so dark.
_BRIGHTEST = 0.6
_SURE_GREY = 0.9
# With less than this there is nothing to measure in: ventricles cut off, or very narrow.
_LEAST_MM3 = 500.0
# Ventricles end where this part of the way from their fluid to white matter is gone. 0.5 % of the
# lesions that experts drew in five images are darker and joined to a ventricle.
_FLUID_ENDS = 0.4
# Wide ventricles reach this much further than the template's.
_REACH_MM = 10.0


def ventricular_fluid(t1w: NDArray[np.float32], maps: Template) -> NDArray[np.bool_]:
    """Find voxels that are surely fluid of the ventricles.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before the network, on the template grid, zero outside the brain.
    maps : Template
        On the same grid.

    Returns
    -------
    (X, Y, Z) bool
        Fluid in the template, a voxel away from its tissue and deep in the brain, and dark in
        the image. Empty if the image shows no grey matter.

    """
    fluid = ventricles_of(maps)
    grey = t1w[(maps.grey_matter > _SURE_GREY) & (t1w > 0)]
    if not grey.size:
        return np.zeros(t1w.shape, bool)
    return np.asarray(fluid & (t1w > 0) & (t1w < _BRIGHTEST * np.median(grey)))


def brain_without_ventricles(
    t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_], maps: Template
) -> NDArray[np.bool_]:
    """Find where lesions may be: in the brain, but for the fluid of its own ventricles.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before the network, on the template grid.
    brain_mask : (X, Y, Z) bool
        Of the image.
    maps : Template
        On the same grid.

    Returns
    -------
    (X, Y, Z) bool
        The brain mask without all that is dark and joined to what is surely fluid, near the
        ventricles of the template. The brain mask itself if no fluid is sure.

    """
    sure = ventricular_fluid(t1w, maps) & brain_mask
    if not (sure.any() and (brain_mask & (maps.white_matter > SURE_PROBABILITY)).any()):
        return brain_mask
    fluid = np.median(t1w[sure])
    white = tissue_median(t1w, brain_mask, maps.white_matter)
    dark = t1w < fluid + _FLUID_ENDS * (white - fluid)
    near = _within(~ventricles_of(maps), _REACH_MM)
    return np.asarray(brain_mask & ~ndimage.binary_propagation(sure, mask=dark & near))


def ventricles_of(maps: Template) -> NDArray[np.bool_]:
    """Voxels of the template's ventricles (X, Y, Z), a voxel away from its tissue."""
    tissue = maps.grey_matter + maps.white_matter
    fluid = ndimage.binary_erosion(maps.brain_mask & (tissue < _MOST_TISSUE))
    return np.asarray(fluid & _deep(maps.brain_mask))


def mean_change(difference: NDArray[np.float32], fluid: NDArray[np.bool_]) -> float | None:
    """Mean absolute difference in a mask, in the units of the difference; None if it is small."""
    if fluid.sum() * np.prod(_zooms_mm()) < _LEAST_MM3:
        return None
    return float(np.abs(difference[fluid]).mean(dtype=np.float64))


def _deep(brain_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels deep in the brain."""
    return ~_within(brain_mask, _LEAST_DEPTH_MM)


def _within(mask: NDArray[np.bool_], depth_mm: float) -> NDArray[np.bool_]:
    """Voxels at most so deep in a mask, and all outside it.

    On every other voxel of each axis, as that takes an eighth of the time.
    """
    depth = ndimage.distance_transform_edt(mask[::2, ::2, ::2], sampling=2 * _zooms_mm())
    within = (depth <= depth_mm).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    box = tuple(slice(size) for size in mask.shape)
    return np.asarray(within[box], dtype=bool)


def _zooms_mm() -> NDArray[np.float64]:
    """Size of a voxel of the template grid."""
    return np.asarray(np.linalg.norm(template.AFFINE[:3, :3], axis=0))
