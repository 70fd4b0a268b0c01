"""Contrast of lesions to the surrounding white matter.

The definition is that of the evaluation (docs/evaluation.md; a test compares the two), on any
grid. It is a second implementation because the evaluation imports training and TensorFlow.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.lesion_map import label_lesions
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.tissue import white_matter_of
from bids_inpaint.image.volume import Volume

RING_MM = (2.0, 5.0)
"""Distances from a lesion between which white matter is compared with it."""


class Lesion(NamedTuple):
    """One lesion: its voxels and the white matter around it, bool within `box`."""

    box: tuple[slice, ...]
    voxels: NDArray[np.bool_]
    ring: NDArray[np.bool_]


def white_matter(
    t1w: Volume, brain_mask: NDArray[np.bool_], std2anat_xfm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the white matter of an image on its own grid.

    Parameters
    ----------
    t1w : Volume
        As it was given, (X, Y, Z).
    brain_mask : (X, Y, Z) bool
        Where to look.
    std2anat_xfm : (4, 4) float64
        Maps template RAS mm to T1w RAS mm.

    Returns
    -------
    (X, Y, Z) bool
        Voxels brighter than half way between grey and white matter.

    """
    template, x, y, z = load_template(), *t1w.data.shape
    grey, white = (
        resample(Volume(probability, AFFINE), Grid((x, y, z), t1w.affine), std2anat_xfm)
        for probability in (template.grey_matter, template.white_matter)
    )
    return white_matter_of(t1w.data, brain_mask, grey, white)


def find_lesions(
    lesion_mask: NDArray[np.bool_], white: NDArray[np.bool_], zooms_mm: Sequence[float]
) -> Iterator[Lesion]:
    """Separate the lesions of a mask; those without white matter around them are left out.

    Parameters
    ----------
    lesion_mask, white : (X, Y, Z) bool
        Lesions, and white matter.
    zooms_mm : (3,) float
        Edge lengths of a voxel.

    """
    labels, number = label_lesions(lesion_mask)
    reach = [int(RING_MM[1] / zoom) + 1 for zoom in zooms_mm]
    for label, tight in zip(range(1, number + 1), ndimage.find_objects(labels), strict=True):
        box = tuple(
            slice(max(s.start - r, 0), s.stop + r) for s, r in zip(tight, reach, strict=True)
        )
        voxels = labels[box] == label
        distance = ndimage.distance_transform_edt(~voxels, sampling=zooms_mm)
        ring = (distance > RING_MM[0]) & (distance <= RING_MM[1])
        ring &= white[box] & (labels[box] == 0)
        if ring.any():
            yield Lesion(box, voxels, ring)


def mean_contrast(lesions: Sequence[Lesion], t1w: NDArray[np.float32]) -> float:
    """Mean contrast of lesions in an image (X, Y, Z), weighted by their volume.

    That of one is the absolute difference of its mean and that of its ring: a lesion that was
    filled too brightly has contrast, too. NaN without lesions.
    """
    volumes = [int(lesion.voxels.sum()) for lesion in lesions]
    if not volumes:
        return float('nan')
    contrasts = [
        abs(float(t1w[box][ring].mean()) - float(t1w[box][voxels].mean()))
        for box, voxels, ring in lesions
    ]
    return float(np.average(contrasts, weights=volumes))
