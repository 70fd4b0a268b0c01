"""Affine of a box of the template grid, so that other programs can skip the air around it."""

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.template import AFFINE

Box = tuple[slice, ...]


def affine_of(box: Box) -> NDArray[np.float64]:
    """Map voxels of a box of the template grid to RAS mm, (4, 4)."""
    corner = nb.affines.from_matvec(np.eye(3), [s.start for s in box])
    return np.asarray(AFFINE @ corner)
