"""Choose planes through a volume, and cut them."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image import volume
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume, cropped

_MARGIN_MM = 8.0
# Planes of a row are at least this share of the extent of the brain apart.
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
    margins = [int(margin) for margin in np.ceil(_MARGIN_MM / zooms)]
    x, y, z = volume.box_around(mask, margin=margins)
    return (x, y, z)


def choose_cuts(
    weight: NDArray[np.float32], brain: NDArray[np.bool_], *, count: int
) -> list[list[Cut]]:
    """Choose planes with the most weight in them, for each axis.

    Parameters
    ----------
    weight : (X, Y, Z) float32
        Where to look, for instance the absolute change; 0 or more.
    brain : (X, Y, Z) bool
        Planes are spread evenly over it where the weight is 0.
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
    """Positions of the largest values, at least `gap` apart; fewer if there are no more."""
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


def resample_planes(
    moving: Volume, onto: Grid, xfm: NDArray[np.float64], rows: Sequence[Sequence[Cut]]
) -> NDArray[np.float32]:
    """Resample a volume to another grid, only in the planes; other voxels are 0.

    For small voxels, fifteen planes take a fiftieth of the time of the volume. Arguments are those
    of `bids_inpaint.image.resample.resample`, and `rows` of `choose_cuts`.
    """
    moved = np.zeros(onto.shape, np.float32)
    for cut in (cut for row in rows for cut in row):
        plane = list(onto.shape)
        plane[cut.axis] = 1
        start = onto.affine.copy()
        start[:3, 3] += cut.voxel * onto.affine[:3, cut.axis]
        at: list[slice | int] = [slice(None)] * 3
        at[cut.axis] = slice(cut.voxel, cut.voxel + 1)
        grid = Grid((plane[0], plane[1], plane[2]), start)
        if near := _near(moving, grid, xfm):
            moved[tuple(at)] = resample(cropped(moving, near), grid, xfm)
    return moved


def _near(moving: Volume, onto: Grid, xfm: NDArray[np.float64]) -> Box | None:
    """Box of a volume that linear splines on another grid reach; None if that is no voxel."""
    to_moving = np.linalg.inv(moving.affine) @ np.linalg.inv(xfm) @ onto.affine
    corners = list(product(*((0, size - 1) for size in onto.shape)))
    reached = nb.affines.apply_affine(to_moving, corners)
    first = np.maximum(np.floor(reached.min(axis=0)).astype(int) - 1, 0)
    last = np.minimum(np.ceil(reached.max(axis=0)).astype(int) + 2, moving.data.shape)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return (x, y, z) if (first < last).all() else None


def position_mm(affine: NDArray[np.float64], cut: Cut, shape: tuple[int, ...]) -> float:
    """Coordinate of the middle of a plane on its axis, RAS mm."""
    middle = (np.array(shape) - 1) / 2
    middle[cut.axis] = cut.voxel
    return float((affine @ [*middle, 1])[cut.axis])
