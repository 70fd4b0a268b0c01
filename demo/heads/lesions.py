"""White-matter lesions: periventricular caps, ovoids and dots, with soft and uneven rims."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from demo.heads.grid import Floats, Grid, ramp

RIM_MM = 1.2
THIN_CAP_MM = 2.5
TRACE = 0.03  # a smaller share of lesion is none
SPECK_VOX = 12  # fewer voxels together are crumbs that the edge of white matter leaves


class Ovoid(NamedTuple):
    """One lesion: an ellipsoid in scanner millimetres."""

    centre_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    """Rows are its axes, (3, 3)."""
    darkening: float
    """Share of the white matter's signal that is lost in it."""


class Lesions(NamedTuple):
    """Where lesions are, and what they take from the signal; both (X, Y, Z) in [0, 1]."""

    share: Floats
    darkening: Floats


def no_lesions(shape: tuple[int, int, int]) -> Lesions:
    """Lesions of a healthy brain."""
    return Lesions(np.zeros(shape, np.float32), np.zeros(shape, np.float32))


def draw_ovoids(
    sites_mm: Floats, diameters_mm: Sequence[float], rng: np.random.Generator
) -> list[Ovoid]:
    """Draw a place, a shape and a depth for lesions of given diameters, none touching another.

    Parameters
    ----------
    sites_mm : (N, 3) float32
        Where a centre may lie.
    diameters_mm : sequence of float
        Longest axis of each.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    ovoids : list of Ovoid
        Large lesions are darker than small ones, between 0.9 and 0.45 of white matter.

    Raises
    ------
    ValueError
        If the sites leave no room for all of them.

    """
    ovoids: list[Ovoid] = []
    for site in rng.permutation(sites_mm):
        if len(ovoids) == len(diameters_mm):
            break
        radius = diameters_mm[len(ovoids)] / 2
        gaps = [np.linalg.norm(site - o.centre_mm) - o.radii_mm.max() for o in ovoids]
        if min(gaps, default=np.inf) < radius + 2 * RIM_MM:
            continue
        radii = radius * np.array([1, rng.uniform(0.65, 1), rng.uniform(0.65, 1)])
        darkening = np.clip(0.08 + 0.035 * 2 * radius + rng.uniform(0, 0.15), 0.1, 0.55)
        axes = Rotation.random(rng=rng).as_matrix()
        ovoids.append(Ovoid(site.astype(float), radii, axes, float(darkening)))
    if len(ovoids) < len(diameters_mm):
        msg = f'{len(sites_mm)} sites hold {len(ovoids)} lesions, not {len(diameters_mm)}'
        raise ValueError(msg)
    return ovoids


def box_around(grid: Grid, centre_mm: NDArray[np.float64], reach_mm: float) -> tuple[slice, ...]:
    """Voxels that may lie within `reach_mm` of a centre, as slices inside the grid."""
    centre = np.linalg.solve(grid.affine[:3, :3], centre_mm - grid.affine[:3, 3])
    reach = reach_mm / grid.zooms_mm + 1
    return tuple(
        slice(max(int(c - r), 0), max(min(int(c + r) + 2, n), 0))
        for c, r, n in zip(centre, reach, grid.shape, strict=True)
    )


def add_ovoids(lesions: Lesions, grid: Grid, ovoids: Sequence[Ovoid], wobble: Floats) -> Lesions:
    """Add ovoids to lesions; where two meet, the stronger counts.

    Parameters
    ----------
    lesions : Lesions
        What there is already, (X, Y, Z) each.
    grid : Grid
        Its voxels.
    ovoids : sequence of Ovoid
        In the millimetres of `grid`.
    wobble : (X, Y, Z) float32
        Smooth noise in [-1, 1] that makes outlines uneven.

    Returns
    -------
    lesions : Lesions

    """
    share, darkening = lesions.share.copy(), lesions.darkening.copy()
    for ovoid in ovoids:
        box = box_around(grid, ovoid.centre_mm, 1.4 * ovoid.radii_mm.max() + RIM_MM)
        index = np.stack(
            np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing='ij'), -1
        )
        offset = index @ grid.affine[:3, :3].T + grid.affine[:3, 3] - ovoid.centre_mm
        radius = np.linalg.norm(offset @ ovoid.axes.T / ovoid.radii_mm, axis=-1)
        inside_mm = (1 + 0.4 * wobble[box] - radius) * ovoid.radii_mm.min()
        local = ramp(inside_mm.astype(np.float32), RIM_MM)
        share[box] = np.maximum(share[box], local)
        darkening[box] = np.maximum(darkening[box], local * np.float32(ovoid.darkening))
    return Lesions(share, darkening)


def add_caps(
    lesions: Lesions, ventricle_mm: Floats, thickness_mm: Floats, darkening: float
) -> Lesions:
    """Add confluent lesions along the ventricles, `thickness_mm` deep; none where that is thin."""
    local = ramp(thickness_mm - ventricle_mm, 2 * RIM_MM)
    local *= ramp(thickness_mm - np.float32(THIN_CAP_MM), RIM_MM)
    return Lesions(
        np.maximum(lesions.share, local),
        np.maximum(lesions.darkening, local * np.float32(darkening)),
    )


def within_white_matter(lesions: Lesions, white_matter: Floats) -> Lesions:
    """Keep what lies in white matter (given as a share of each voxel); drop traces and specks."""
    gate = ramp(white_matter - np.float32(0.5), 0.4)
    labels, _ = ndimage.label(lesions.share * gate >= TRACE)
    large = np.bincount(labels.ravel()) >= SPECK_VOX
    large[0] = False
    kept = gate * large[labels]
    return Lesions(lesions.share * kept, lesions.darkening * kept)
