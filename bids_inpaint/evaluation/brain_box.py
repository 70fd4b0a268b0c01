"""The box around a brain: other programs need not look at the air around it."""

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.template import AFFINE

Box = tuple[slice, ...]


def brain_box(brain_mask: NDArray[np.bool_], margin_vox: int) -> Box:
    """Return the smallest box around a mask (X, Y, Z), with a margin as far as there is one."""
    (tight,) = ndimage.find_objects(brain_mask.astype(np.uint8))
    return tuple(slice(max(s.start - margin_vox, 0), s.stop + margin_vox) for s in tight)


def affine_of(box: Box) -> NDArray[np.float64]:
    """Map voxels of a box of the template grid to RAS mm, (4, 4)."""
    corner = nb.affines.from_matvec(np.eye(3), [s.start for s in box])
    return np.asarray(AFFINE @ corner)
