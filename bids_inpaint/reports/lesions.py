"""The table of lesions."""

from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.lesion_map import label_lesions
from bids_inpaint.image.volume import box_around
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
    if view.lesions is None or not view.lesions.any():
        return []
    # Of voxels of lesions alone: maps of fine voxels are large.
    box = box_around(view.lesions)
    labels, count = label_lesions(view.lesions[box])
    inside = np.nonzero(labels)
    number = labels[inside]
    corner = [one.start for one in box]

    def total(weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return np.bincount(number, weights, minlength=count + 1)[1:]

    voxels = total()
    centres = np.transpose([total(place) / voxels for place in inside]) + corner
    changes = total(view.difference[box][inside]) / voxels
    to_template = view.anat2std_xfm @ view.before.affine
    voxel_mm3 = abs(np.linalg.det(view.before.affine[:3, :3]))
    lesions = [
        Lesion(float(n * voxel_mm3), _place(to_template, centre), float(change))
        for n, centre, change in zip(voxels, centres, changes, strict=True)
    ]
    return sorted(lesions, key=lambda lesion: -lesion.volume_mm3)


def _place(
    to_template: NDArray[np.float64], voxel: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Position of a voxel in the template, RAS mm."""
    x, y, z = nb.affines.apply_affine(to_template, voxel)
    return float(x), float(y), float(z)
