"""Single lesions of a volume: where they are, how large, and how dark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.evaluation.cases import Case
from bids_inpaint.evaluation.report import Row
from bids_inpaint.image.lesion_map import label_lesions
from bids_inpaint.image.template import load_template
from bids_inpaint.image.tissue import white_matter_of
from bids_inpaint.training.thresholds import LESION_SHARE

# Upper limits; the last class has none.
SIZES_MM3 = (20.0, 100.0, 1000.0)
DARKNESSES = (0.1, 0.25, 0.5)
# Lesions that are paler than this, as a share of white matter, are not counted in lesion errors.
LEAST_DARKNESS = 0.1
# White matter around a lesion that its contrast is measured against.
_RING_MM = (2.0, 5.0)


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Attributes
    ----------
    box : three slices
        Part of the volume that holds it and the white matter around it.
    core, voxels, ring : bool
        Within `box`: voxels that are lesion by more than half (all of them, in lesions so small
        that none is); all that it changes; the white matter around it, which may be empty.
    size_mm3 : float
        Sum of the shares of its voxels, which a soft rim does not make larger.
    darkness : float
        How much darker than white matter its core is, as a share of white matter.

    """

    box: tuple[slice, ...]
    core: NDArray[np.bool_]
    voxels: NDArray[np.bool_]
    ring: NDArray[np.bool_]
    size_mm3: float
    darkness: float

    def contrast(self, t1w: NDArray[np.float32]) -> float:
        """Absolute difference of the core's mean and that of the ring; NaN without a ring.

        `t1w` is the whole volume (X, Y, Z). A lesion that was filled too brightly has contrast.
        """
        core, ring = self._levels(t1w)
        return abs(core - ring)

    def brightness(self, t1w: NDArray[np.float32]) -> float:
        """Mean of the core relative to that of the ring, in a whole volume; NaN without a ring."""
        core, ring = self._levels(t1w)
        return core / ring

    def _levels(self, t1w: NDArray[np.float32]) -> tuple[float, float]:
        """Means of core and ring."""
        inside = t1w[self.box]
        ring = float(inside[self.ring].mean()) if self.ring.any() else float('nan')
        return float(inside[self.core].mean()), ring

    def error(
        self, truth: NDArray[np.float32], t1w: NDArray[np.float32], *, core: bool = False
    ) -> float:
        """Sum of absolute differences to the truth; both whole volumes (X, Y, Z).

        Of all voxels that the lesion changes, or of its core alone.
        """
        counted = self.core if core else self.voxels
        difference = (truth[self.box] - t1w[self.box])[counted]
        return float(np.abs(difference, dtype=np.float64).sum())


def class_of(value: float, limits: Sequence[float]) -> int:
    """Which class a value is in: 0 below the first limit, and so on."""
    return int(np.searchsorted(limits, value, side='right'))


def class_names(limits: Sequence[float], unit: str = '') -> list[str]:
    """Names of the classes between limits.

    Examples
    --------
    >>> class_names((20.0, 100.0), ' mm3')
    ['< 20 mm3', '20 to 100 mm3', '>= 100 mm3']

    """
    between = pairwise(limits)
    return [
        f'< {limits[0]:g}{unit}',
        *(f'{low:g} to {high:g}{unit}' for low, high in between),
        f'>= {limits[-1]:g}{unit}',
    ]


def separate(share: NDArray[np.float32]) -> tuple[NDArray[np.int32], int]:
    """Label the lesions of a volume.

    Parameters
    ----------
    share : (X, Y, Z) float32
        Share of lesion in each voxel.

    Returns
    -------
    labels : (X, Y, Z) int32
        From 1; 0 outside lesions. Cores that only touch by their soft rims are lesions of their
        own, and each voxel of a rim belongs to the nearest of them.
    number : int
        Of lesions.

    """
    lesion = share > 0
    cores, _ = label_lesions(share > LESION_SHARE)
    regions, number = label_lesions(lesion)
    has_core = np.zeros(number + 1, bool)
    has_core[np.unique(regions[cores > 0])] = True
    seeds, number = label_lesions((cores > 0) | (lesion & ~has_core[regions]))
    if not number:
        return np.zeros(share.shape, np.int32), 0
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    return np.where(lesion, seeds[tuple(nearest)], 0).astype(np.int32), number


def find_lesions(case: Case) -> Iterator[Lesion]:
    """Measure each lesion of a case in the image as it was given."""
    labels, number = separate(case.share)
    template = load_template()
    reference = case.given if case.truth is None else case.truth
    white = white_matter_of(
        reference, case.brain_mask, template.grey_matter, template.white_matter
    )
    white &= case.share == 0
    for label, tight in zip(range(1, number + 1), ndimage.find_objects(labels), strict=True):
        yield _measure(case, labels, white, label, tight)


def _measure(
    case: Case,
    labels: NDArray[np.int32],
    white: NDArray[np.bool_],
    label: int,
    tight: tuple[slice, ...],
) -> Lesion:
    """One lesion; the ring begins and ends at distances from its core."""
    reach = int(_RING_MM[1]) + 1
    box = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in tight)
    voxels = labels[box] == label
    share = case.share[box]
    core = voxels & (share > LESION_SHARE)
    if not core.any():
        core = voxels
    distance = ndimage.distance_transform_edt(~core)
    ring = white[box] & (distance > _RING_MM[0]) & (distance <= _RING_MM[1])
    level = float(case.given[box][core].mean())
    return Lesion(
        box=box,
        core=core,
        voxels=voxels,
        ring=ring,
        size_mm3=float(share[voxels].sum(dtype=np.float64)),
        darkness=1 - level / case.white_matter,
    )


def patient_contrast(case: Case, t1w: NDArray[np.float32]) -> float:
    """Mean contrast of the lesions of a case in a volume, weighted by their size."""
    return mean_contrast(list(find_lesions(case)), t1w)


def mean_contrast(lesions: Sequence[Lesion], t1w: NDArray[np.float32]) -> float:
    """Mean contrast of lesions in a volume (X, Y, Z), weighted by their size."""
    rows = [{'contrast': lesion.contrast(t1w), 'size_mm3': lesion.size_mm3} for lesion in lesions]
    return mean_by_volume(rows, 'contrast')


def mean_brightness(lesions: Sequence[Lesion], t1w: NDArray[np.float32]) -> float:
    """Mean brightness of lesions relative to their surroundings in a volume (X, Y, Z)."""
    rows = [{'value': lesion.brightness(t1w), 'size_mm3': lesion.size_mm3} for lesion in lesions]
    return mean_by_volume(rows, 'value')


def mean_by_volume(rows: Sequence[Row], name: str) -> float:
    """Mean weighted by volume, of the lesions that have a value."""
    pairs = [(row[name], row['size_mm3']) for row in rows if not np.isnan(row[name])]
    total = sum(size for _, size in pairs)
    return sum(value * size for value, size in pairs) / total if total else float('nan')
