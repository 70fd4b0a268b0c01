"""The table of lesions."""

from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.lesion_map import label_lesions
from bids_inpaint.reports.views import View


class Lesion(NamedTuple):
    """One lesion: volume in mm3 in native space, centre in template RAS mm, mean change.

    `change` is in units of the mean of the brain.
    """

    volume_mm3: float
    centre_mm: tuple[float, float, float]
    change: float


def list_lesions(view: View) -> list[Lesion]:
    """List the lesions of a view, the largest first; empty without lesion map."""
    if view.lesions is None:
        return []
    labels, count = label_lesions(view.lesions)
    numbers = np.arange(1, count + 1)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    centres = ndimage.center_of_mass(view.lesions, labels, numbers)
    changes = ndimage.mean(view.difference, labels, numbers)
    to_template = view.anat2std_xfm @ view.before.affine
    voxel_mm3 = abs(np.linalg.det(view.before.affine[:3, :3]))
    lesions = [
        Lesion(float(n * voxel_mm3), _place(to_template, centre), float(change))
        for n, centre, change in zip(voxels, centres, changes, strict=True)
    ]
    return sorted(lesions, key=lambda lesion: -lesion.volume_mm3)


def _place(
    to_template: NDArray[np.float64], voxel: tuple[float, ...]
) -> tuple[float, float, float]:
    """Position of a voxel in the template, RAS mm."""
    x, y, z = nb.affines.apply_affine(to_template, voxel)
    return float(x), float(y), float(z)
