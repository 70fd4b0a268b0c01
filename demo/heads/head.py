"""The head: nilearn's ICBM152 brain, with skull, scalp, face and neck made around it.

Positions are in template millimetres, RAS+; intensities are in units of white matter.
"""

from pathlib import Path
from typing import NamedTuple

import nibabel as nb
import nilearn
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from demo.heads.grid import Floats, Grid, Map, ramp, sample, smooth_field

ICBM_NAME = 'mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz'
ICBM_ORIGIN_MM = (-98, -134, -72)
ICBM_BRAIN = (slice(22, 175), slice(22, 212), slice(0, 159))  # the rest of its box is empty
WHITE, GREY, FLUID = 223.0, 166.0, 62.0  # of the ICBM152 T1w, where a class is nearly pure

# The average of 152 heads is blurred; this gives back some of a single head's edges.
SHARPEN, SHARPEN_SIGMA_MM = 1.2, 1.6

VENTRICLE_BOX_MM = ((-34, -58, -3), (35, 31, 29))  # holds no other fluid of that darkness
VENTRICLE_BELOW = 0.5  # of white matter

COARSE_MM = 2.0
COARSE_ORIGIN_MM = (-112, -150, -150)
COARSE_SHAPE = (113, 144, 130)
CLOSING_MM = 10.0

# Outer surface: what is added to the scalp over the vault. Centre, radii; mirrored if x > 0.
SCALP_MM = 15.0
OUTER_PARTS = (
    ((0, 36, -64), (62, 58, 60)),  # face
    ((0, 62, -100), (36, 30, 28)),  # chin
    ((0, 88, -62), (13, 20, 22)),  # nose
    ((0, -30, -130), (58, 62, 110)),  # neck
    ((40, 25, -85), (30, 45, 38)),  # jaw and cheek
    ((62, 5, -15), (24, 44, 40)),  # temporal muscle
    ((82, -24, -36), (7, 16, 26)),  # ear
)

# What lies between skull and skin: centre, radii, intensity, softness; later ones cover earlier
# ones; mirrored if x > 0.
AIR, BONE, FAT, MARROW, DIPLOE, MUSCLE = 0.03, 0.10, 1.35, 0.85, 0.55, 0.52
INNER_PARTS = (
    ((0, 30, -75), (40, 46, 40), 0.70),  # soft tissue of the face
    ((50, 14, -82), (9, 26, 36), BONE),  # jaw
    ((50, 14, -82), (5, 21, 31), MARROW),
    ((58, 22, -82), (7, 22, 28), MUSCLE),  # chewing muscle
    ((34, 8, -72), (12, 16, 26), MUSCLE),
    ((0, 66, -104), (28, 12, 10), BONE),  # chin
    ((0, 66, -104), (23, 8, 6), MARROW),
    ((0, 40, -98), (26, 36, 16), 0.62),  # tongue
    ((0, 62, -82), (26, 20, 4), BONE),  # palate and teeth
    ((0, 72, -90), (22, 8, 7), BONE),
    ((34, 58, -38), (19, 24, 19), FAT),  # orbit
    ((26, 42, -38), (4, 20, 4), 0.65),  # optic nerve
    ((42, 52, -38), (3, 18, 8), MUSCLE),
    ((24, 52, -34), (3, 18, 8), MUSCLE),
    ((34, 66, -38), (12.5, 12.5, 12.5), 0.55),  # eye
    ((34, 66, -38), (11, 11, 11), 0.22),
    ((34, 75, -38), (4.5, 2.5, 4.5), 0.6),  # lens
    ((30, 50, -66), (15, 20, 15), BONE),  # maxillary sinus
    ((30, 50, -66), (13.5, 18, 13.5), AIR),
    ((7, 62, -56), (3.5, 30, 16), AIR),  # nasal cavity
    ((10, 56, -38), (6, 18, 8), AIR),  # ethmoid cells
    ((9, 24, -36), (7, 9, 7), AIR),  # sphenoid sinus
    ((0, 14, -80), (9, 7, 26), AIR),  # throat
    ((0, 8, -130), (10, 9, 34), AIR),
    ((0, -22, -118), (20, 17, 46), BONE),  # spine
    ((0, -19, -118), (17, 13, 44), MARROW),
    ((32, -40, -96), (14, 10, 5), BONE),
    ((26, -62, -110), (20, 22, 60), MUSCLE),  # back of the neck
    ((44, -24, -110), (10, 16, 60), MUSCLE),
    ((50, -30, -46), (11, 14, 16), BONE),  # mastoid
    ((50, -30, -48), (7, 9, 10), 0.15),
    ((64, -22, -40), (18, 3.5, 3.5), AIR),  # ear canal
    ((0, -45, -140), (10, 9, 82), FLUID / WHITE),  # spinal canal
    ((0, -45, -140), (6, 5, 82), 0.9),  # cord
)
SEPTA_MM = 9.0
FORAMEN = ((0, -45, -114), (12, 11, 42))  # no skull here: the cord leaves the brain
FAR_MM = 60.0


class Head(NamedTuple):
    """Maps of one head in template space; `t1w` in units of white matter."""

    t1w: Map
    white_matter: Map
    vault_mm: Map
    """Distance to the brain's smoothed hull, negative inside."""
    depth_mm: Map
    """Depth below the skin, negative in air."""
    inner: Map
    """Intensity between skull and the fat under the skin."""
    ventricle_mm: Map
    """Distance to the lateral ventricles."""


class Look(NamedTuple):
    """Contrast of a scan (units of white matter), and thickness of what surrounds a brain."""

    fluid: float = 0.2
    grey: float = 0.66
    fat: float = FAT
    skull_mm: float = 7.5
    fat_mm: float = 5.0


def load_icbm(kind: str) -> Map:
    """One of nilearn's ICBM152 2009a symmetric maps, as stored, round the brain: `t1` or `wm`."""
    folder = Path(nilearn.__file__).parent / 'datasets' / 'data'
    img = nb.Nifti1Image.from_filename(folder / ICBM_NAME.format(kind))
    affine = np.eye(4)
    affine[:3, 3] = [o + s.start for o, s in zip(ICBM_ORIGIN_MM, ICBM_BRAIN, strict=True)]
    return Map(np.asarray(img.dataobj)[ICBM_BRAIN].astype(np.float32), affine)


def sharpen(t1w: Floats) -> Floats:
    """Unsharp mask inside the brain; zero stays zero."""
    inside = (t1w > 0).astype(np.float32)
    weight = ndimage.gaussian_filter(inside, SHARPEN_SIGMA_MM)
    smooth = ndimage.gaussian_filter(t1w, SHARPEN_SIGMA_MM) / np.maximum(weight, 0.1)
    sharp: Floats = inside * np.clip(t1w + SHARPEN * (t1w - smooth), 1, 1.1 * WHITE)
    return sharp


def signed_distance(mask: NDArray[np.bool_], zoom_mm: float) -> Floats:
    """Distance to the edge of a mask in mm, negative inside; smoothed, so that no voxel shows."""
    outside = ndimage.distance_transform_edt(~mask)
    inside = ndimage.distance_transform_edt(mask)
    smooth: Floats = ndimage.gaussian_filter((outside - inside).astype(np.float32), 1.0)
    return smooth * np.float32(zoom_mm)


def hull(mask: NDArray[np.bool_], zoom_mm: float, radius_mm: float) -> NDArray[np.bool_]:
    """Close a mask by a ball of `radius_mm`."""
    dilated = ndimage.distance_transform_edt(~mask) * zoom_mm < radius_mm
    closed: NDArray[np.bool_] = ndimage.distance_transform_edt(dilated) * zoom_mm >= radius_mm
    return closed


def ellipsoid(
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
    centre_mm: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
) -> tuple[tuple[slice, ...], Floats]:
    """Soft ellipsoid on an axis-aligned grid: the box that holds it, its share of each voxel."""
    zooms = np.diag(affine)[:3]
    low = (np.asarray(centre_mm) - radii_mm - affine[:3, 3]) / zooms
    high = (np.asarray(centre_mm) + radii_mm - affine[:3, 3]) / zooms
    box = tuple(
        slice(max(int(a) - 1, 0), min(int(b) + 3, n))
        for a, b, n in zip(low, high, shape, strict=True)
    )
    radius = np.zeros((1, 1, 1), np.float32)
    for axis, span in enumerate(box):
        mm = np.arange(span.start, span.stop) * zooms[axis] + affine[axis, 3] - centre_mm[axis]
        radius = radius + np.expand_dims(
            (mm / radii_mm[axis]) ** 2, [a for a in range(3) if a != axis]
        )
    return box, ramp((1 - np.sqrt(radius)).astype(np.float32) * min(radii_mm), 2.0)


def both_sides(
    centre_mm: tuple[float, float, float],
) -> tuple[tuple[float, float, float], ...]:
    """Give the centre, and its mirror image if it lies off the midline."""
    x, y, z = centre_mm
    return ((x, y, z), (-x, y, z)) if x else ((x, y, z),)


def outer_surface(vault_mm: Map) -> NDArray[np.bool_]:
    """Everything that is not air, as (X, Y, Z) bool on the grid of `vault_mm`."""
    solid = (vault_mm.data < SCALP_MM).astype(np.float32)
    for centre, radii in OUTER_PARTS:
        for place in both_sides(centre):
            box, share = ellipsoid(vault_mm.affine, solid.shape, place, radii)
            solid[box] = np.maximum(solid[box], share)
    outer: NDArray[np.bool_] = ndimage.gaussian_filter(solid, 2.0) > 0.5
    return outer


def inner_tissue(grid: Grid, rng: np.random.Generator) -> Floats:
    """Muscle with sheets of fat, and the parts of face and neck painted over it."""
    sheets: Floats = np.abs(smooth_field(grid, SEPTA_MM, rng))  # where the noise is near zero
    inner = FAT + (MUSCLE - FAT) * ramp(sheets - np.float32(0.035), 0.06)
    for centre, radii, value in INNER_PARTS:
        for place in both_sides(centre):
            box, share = ellipsoid(grid.affine, grid.shape, place, radii)
            inner[box] += share * (value - inner[box])
    return inner


def ventricle_distance(t1w: Map) -> Map:
    """Distance to the lateral ventricles of the ICBM152 T1w: the dark voxels deep in its brain."""
    start = np.rint(np.asarray(VENTRICLE_BOX_MM[0]) - t1w.affine[:3, 3]).astype(int)
    stop = np.rint(np.asarray(VENTRICLE_BOX_MM[1]) - t1w.affine[:3, 3]).astype(int)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    lateral = np.zeros(t1w.data.shape, bool)
    lateral[box] = (t1w.data[box] > 0) & (t1w.data[box] < VENTRICLE_BELOW * WHITE)
    away = ndimage.distance_transform_edt(~lateral)
    return Map(away.astype(np.float32), t1w.affine)


def make_head(seed: int) -> Head:
    """Build the head that all synthetic participants are warped from."""
    t1w = load_icbm('t1')
    affine = np.diag([COARSE_MM, COARSE_MM, COARSE_MM, 1])
    affine[:3, 3] = COARSE_ORIGIN_MM
    grid = Grid(COARSE_SHAPE, affine)
    rows = np.indices(COARSE_SHAPE, dtype=np.float32) * np.float32(COARSE_MM)
    points = rows + np.reshape(np.array(COARSE_ORIGIN_MM, np.float32), (3, 1, 1, 1))
    brain = sample(t1w, points, outside=0) > 0
    vault = Map(signed_distance(hull(brain, COARSE_MM, CLOSING_MM), COARSE_MM), affine)
    outer = outer_surface(vault)
    box, share = ellipsoid(affine, COARSE_SHAPE, *FORAMEN)
    vault.data[box] += share * (FAR_MM - vault.data[box])
    white = load_icbm('wm')
    return Head(
        t1w=Map(sharpen(t1w.data) / np.float32(WHITE), t1w.affine),
        white_matter=Map(white.data / np.float32(255), white.affine),
        vault_mm=vault,
        depth_mm=Map(-signed_distance(outer, COARSE_MM), affine),
        inner=Map(inner_tissue(grid, np.random.default_rng(seed)), affine),
        ventricle_mm=ventricle_distance(t1w),
    )


def brain_contrast(t1w: Floats, look: Look) -> Floats:
    """Take the ICBM152's intensities to those of a scan, monotonically; at least fluid."""
    knots = [0.0, FLUID / WHITE, GREY / WHITE, 1.0, 1.2]
    values = [look.fluid, look.fluid, look.grey, 1.0, 1.12]
    return np.interp(t1w, knots, values).astype(np.float32)


def surroundings(
    vault_mm: Floats, depth_mm: Floats, inner: Floats, wobble: Floats, look: Look
) -> Floats:
    """Intensity of all that is not brain, from the skin inwards.

    Parameters
    ----------
    vault_mm, depth_mm, inner : (N,) float32
        Samples of a head's maps.
    wobble : (2, N) float32
        Smooth noise in [-1, 1] that varies the thickness of the layers.
    look : Look
        Intensities and mean thicknesses.

    Returns
    -------
    intensity : (N,) float32
        In units of white matter.

    """
    skin, fat_mm = 2.0, look.fat_mm * (1 + wobble[0])
    start = 1.2 + 1.5 * wobble[1]
    end = start + look.skull_mm * (1 + 0.9 * wobble[0])
    table = 1.9
    layers = (  # share of each, and its intensity; each covers the ones above
        (ramp(depth_mm, 1.2), 0.55),
        (ramp(depth_mm - skin, 1.2), look.fat),
        (ramp(depth_mm - skin - fat_mm, 1.5), inner),
        (ramp(end - vault_mm, 1.2), BONE),
        (ramp(end - table - vault_mm, 1.2), DIPLOE * (1 + 0.6 * wobble[1])),
        (ramp(start + table - vault_mm, 1.2), BONE),
        (ramp(start - vault_mm, 1.2), look.fluid),
    )
    intensity = np.zeros_like(vault_mm)
    for share, value in layers:
        intensity += share * (value - intensity)
    return intensity
