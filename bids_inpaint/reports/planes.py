"""Choose planes through a volume, and cut them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MARGIN_MM = 8.0
# Planes of one row are at least this part of the brain's extent apart.
_LEAST_GAP = 0.06


class Cut(NamedTuple):
    """One plane: across `axis` (0, 1, 2 of RAS+), at `voxel`."""

    axis: int
    voxel: int


Box = tuple[slice, slice, slice]


def box_around(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Box:
    """Smallest box of voxels around a mask, with a margin; all if the mask is empty."""
    if not mask.any():
        return (slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2]))
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        margin = int(np.ceil(_MARGIN_MM / zooms[axis]))
        stop = min(int(inside[-1]) + margin + 1, mask.shape[axis])
        slices.append(slice(max(int(inside[0]) - margin, 0), stop))
    return (slices[0], slices[1], slices[2])


def choose_cuts(
    weight: NDArray[np.float32], brain: NDArray[np.bool_], *, count: int
) -> list[list[Cut]]:
    """Choose planes with the most weight in them, for each axis.

    Parameters
    ----------
    weight : (X, Y, Z) float32
        What is to be seen, for instance the absolute change; 0 or more.
    brain : (X, Y, Z) bool
        Planes are spread evenly over it where the weight gives no reason to choose.
    count : int
        Planes for each axis.

    Returns
    -------
    list of list of Cut
        Of the sagittal, coronal and axial planes, each in rising order.

    """
    rows = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        profile = weight.sum(axis=others, dtype=np.float64)
        inside = np.flatnonzero(brain.any(axis=others))
        first, last = (inside[0], inside[-1]) if inside.size else (0, profile.size - 1)
        even = np.linspace(first, last, count + 2)[1:-1].round().astype(int)
        chosen = _peaks(profile, count, gap=max(1, round(_LEAST_GAP * (last - first))))
        spare = sorted((int(i) for i in even), key=lambda i: -_distance(i, chosen))
        chosen += [i for i in spare if i not in chosen][: count - len(chosen)]
        rows.append([Cut(axis, index) for index in sorted(chosen)])
    return rows


def _peaks(profile: NDArray[np.float64], count: int, *, gap: int) -> list[int]:
    """Positions of the largest values, none nearer to another than `gap`; fewer if no more."""
    left = profile.copy()
    found: list[int] = []
    while len(found) < count and left.max() > 0:
        peak = int(left.argmax())
        found.append(peak)
        left[max(0, peak - gap) : peak + gap + 1] = 0
    return found


def _distance(position: int, chosen: list[int]) -> int:
    """Distance to the nearest of those chosen; 0 if there are none."""
    return min((abs(position - other) for other in chosen), default=0)


def take(data: NDArray[Any], cut: Cut, box: Box) -> NDArray[Any]:
    """Cut a plane from an RAS+ volume: rows rise to superior (or anterior), columns to right."""
    across: list[slice | int] = list(box)
    across[cut.axis] = cut.voxel
    return data[tuple(across)].T


def aspect(affine: NDArray[np.float64], axis: int) -> float:
    """Height of a pixel of a plane, by its width."""
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    columns, rows = [zooms[a] for a in range(3) if a != axis]
    return float(rows / columns)


def position_mm(affine: NDArray[np.float64], cut: Cut, shape: tuple[int, ...]) -> float:
    """Coordinate of the middle of a plane on the axis that it cuts, RAS mm."""
    middle = (np.array(shape) - 1) / 2
    middle[cut.axis] = cut.voxel
    return float((affine @ [*middle, 1])[cut.axis])
