"""Where an image was changed, and how certain the network was there: numbers for QC."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image import template
from bids_inpaint.image.template import Template
from bids_inpaint.image.thresholds import Applied
from bids_inpaint.image.volume import dilate, volume_mm3

# Boxes of the template, in mm: x by distance from the middle, y, z.
CALLOSUM_MM = ((0, 16), (-45, 32), (2, 30))
_BRAINSTEM_MM = ((0, 22), (-46, -8), (-66, -12))
_LEAST_WHITE = 0.3
_MOST_LIKELY_WHITE = 0.5
_FAR_VOX = 2
_RIM_VOX = 3


class ChangePlaces(NamedTuple):
    """Certainty and places of a change, under the names of QC; volumes on the template.

    `change_probability` is the mean probability of lesion in the changed voxels: None without
    change, or if the network gives none. `unchanged_lesion_std_mm3` is lesion map that was not
    changed. The others are of changed voxels: far from white matter of the template, in corpus
    callosum and brainstem, and at the rim of the ventricles.
    """

    change_probability: float | None
    unchanged_lesion_std_mm3: float | None
    change_far_std_mm3: float
    change_callosum_std_mm3: float
    change_brainstem_std_mm3: float
    change_rim_std_mm3: float


def locate_change(
    applied: Applied,
    probability: NDArray[np.float32] | None,
    brain_mask: NDArray[np.bool_],
    maps: Template,
) -> ChangePlaces:
    """Measure where a prediction was applied.

    Parameters
    ----------
    applied : Applied
        On the template grid.
    probability : (X, Y, Z) float32, optional
        Of lesion, as the network gives it.
    brain_mask : (X, Y, Z) bool
        Of the image.
    maps : Template
        On the same grid.

    """
    changed = applied.weights > 0
    certainty = None
    if probability is not None and changed.any():
        certainty = float(probability[changed].mean(dtype=np.float64))
    white = dilate(maps.white_matter > _MOST_LIKELY_WHITE, _FAR_VOX)
    rim = dilate(brain_mask & ~applied.may_change, _RIM_VOX)
    callosum, brainstem = _box(CALLOSUM_MM), _box(_BRAINSTEM_MM)
    some_white = maps.white_matter > _LEAST_WHITE
    places = (
        applied.lesion_mask & ~changed,
        changed & ~white,
        changed[callosum] & some_white[callosum],
        changed[brainstem] & some_white[brainstem],
        changed & rim,
    )
    return ChangePlaces(certainty, *(volume_mm3(p, template.AFFINE) for p in places))


def _box(limits_mm: Sequence[tuple[float, float]]) -> tuple[slice, ...]:
    """Slices of a box of the template that is alike on both sides."""
    (_, width), *others = limits_mm
    box = zip(((-width, width), *others), template.AFFINE[:3, 3], strict=True)
    return tuple(slice(int(low - origin), int(high - origin) + 1) for (low, high), origin in box)
