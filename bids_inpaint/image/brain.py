"""Tell heads from extracted brains, and mask the brain on the template grid."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.template import load_template
from bids_inpaint.image.volume import Volume

# Voxels below this part of the 99th percentile are background.
_BACKGROUND = 0.01
# Intracranial volumes of adults end at 2.1 litres; the smallest of our whole heads, cropped above
# the palate, has 3.
_LARGEST_BRAIN_ML = 2300.0
_MASK_DILATION_VOX = 2


def is_skull_stripped(t1w: Volume) -> bool:
    """Tell whether a T1w volume holds a brain only: what is not background is no larger."""
    foreground = t1w.data > _BACKGROUND * np.percentile(t1w.data, 99)
    voxel_ml = abs(np.linalg.det(t1w.affine[:3, :3])) / 1000
    return bool(foreground.sum() * voxel_ml < _LARGEST_BRAIN_ML)


def brain_mask_on_template(
    t1w_std: NDArray[np.float32], *, skull_stripped: bool
) -> NDArray[np.bool_]:
    """Mask the brain of a T1w volume on the template grid.

    Parameters
    ----------
    t1w_std : (182, 218, 182) float32
        T1w volume on the template grid, before bias correction; any units.
    skull_stripped : bool
        Whether the volume holds a brain only; it is then limited to its own voxels.

    Returns
    -------
    (182, 218, 182) bool
        The template's brain mask, slightly dilated.

    """
    mask = ndimage.binary_dilation(load_template().brain_mask, iterations=_MASK_DILATION_VOX)
    if skull_stripped:
        mask &= ndimage.binary_fill_holes(t1w_std > 0)
    return np.asarray(mask)
