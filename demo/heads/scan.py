"""Made-up participants: from the head in template space to the numbers of a file."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from demo.heads.grid import (
    Floats,
    Grid,
    average_slices,
    finer,
    oriented_grid,
    ramp,
    sample,
    smooth_field,
)
from demo.heads.head import Head, Look, brain_contrast, make_head, surroundings
from demo.heads.lesions import (
    Lesions,
    add_caps,
    add_ovoids,
    draw_ovoids,
    no_lesions,
    within_white_matter,
)
from demo.heads.participants import Disease, Participant
from demo.heads.scanner import Stored, bias_field, magnitude, receiver_noise, store, texture
from demo.heads.warp import pose, template_positions

SEED = 152
LAYER_KNOTS_MM = 26.0
CAP_KNOTS_MM = 16.0
OUTLINE_KNOTS_MM = 3.5
FIELD_CENTRE_MM = np.array([0.0, -7.0, -5.0])  # of the field of view, in template space
BRAIN_EDGE = 0.02  # of white matter; the ICBM152 T1w is zero outside the brain
GRAIN_BRAIN, GRAIN_REST = 0.035, 0.09  # texture, as a share of the signal
SITE_MM = (3.0, 28.0)  # distances to the ventricles at which the centre of an ovoid may lie
CALLOSUM_MM = 11.0  # nearer to the midline is corpus callosum, left alone
LINING_MM = 3.5  # the ICBM152 takes white matter this near to the ventricles for grey


class Scan(NamedTuple):
    """What the files of one participant hold; (X, Y, Z) each."""

    grid: Grid
    t1w: Stored
    lesion_free: Stored
    lesion_share: Floats


class Tissue(NamedTuple):
    """A head on the grid of a scan, noise-free, in units of white matter."""

    signal: Floats
    brain: Floats
    """1 in the brain, 0 elsewhere."""
    white_matter: Floats
    ventricle_mm: Floats
    """Distance to the lateral ventricles; infinite outside the brain."""
    midline_mm: Floats
    """Distance to the plane between the hemispheres, in the template."""


def scan_grid(participant: Participant) -> Grid:
    """Voxels of a participant's scan, with the head in the middle."""
    head_pose = pose(participant.rotation_deg, participant.scale, participant.shift_mm)
    centre = head_pose[:3, :3] @ FIELD_CENTRE_MM + head_pose[:3, 3]
    return oriented_grid(
        participant.shape,
        participant.zooms_mm,
        participant.axcodes,
        tuple(centre),
        participant.oblique_deg,
    )


def render(
    head: Head, points_mm: Floats, grid: Grid, look: Look, rng: np.random.Generator
) -> Tissue:
    """Sample a head and give it the contrast of a scan.

    Parameters
    ----------
    head : Head
        Maps in template space.
    points_mm : (3, X, Y, Z) float32
        Template position of each voxel.
    grid : Grid
        The voxels.
    look : Look
        Contrast and thickness of layers.
    rng : numpy.random.Generator
        Source of the uneven thickness.

    Returns
    -------
    tissue : Tissue

    """
    depth = sample(head.depth_mm, points_mm)
    wobble = np.stack([smooth_field(grid, LAYER_KNOTS_MM, rng) for _ in range(2)])
    solid = depth > -2
    points = points_mm[:, solid]
    t1w = sample(head.t1w, points, outside=0)
    rest = surroundings(
        sample(head.vault_mm, points),
        depth[solid],
        sample(head.inner, points),
        wobble[:, solid],
        look,
    )
    edge = t1w > BRAIN_EDGE
    signal, brain, white = (np.zeros(grid.shape, np.float32) for _ in range(3))
    ventricle = np.full(grid.shape, np.inf, np.float32)
    signal[solid] = np.where(edge, brain_contrast(t1w, look), rest)
    brain[solid] = edge
    inside = brain > 0
    white[inside] = sample(head.white_matter, points[:, edge])
    ventricle[inside] = sample(head.ventricle_mm, points[:, edge])
    likeness = (signal - look.grey) / (1 - look.grey)
    white = np.where(ventricle < LINING_MM, np.maximum(white, likeness), white)
    return Tissue(signal, brain, white, ventricle, np.abs(points_mm[0]))


def make_lesions(
    tissue: Tissue, grid: Grid, disease: Disease, rng: np.random.Generator
) -> Lesions:
    """Caps along the ventricles, and ovoids in the white matter beyond them."""
    lesions = no_lesions(grid.shape)
    if not disease.diameters_mm:
        return lesions
    zone = (tissue.ventricle_mm > SITE_MM[0]) & (tissue.ventricle_mm < SITE_MM[1])
    zone &= (tissue.white_matter > 0.9) & (tissue.midline_mm > CALLOSUM_MM)
    some = rng.choice(np.argwhere(zone), 4000)
    sites = (some @ grid.affine[:3, :3].T + grid.affine[:3, 3]).astype(np.float32)
    ovoids = draw_ovoids(sites, disease.diameters_mm, rng)
    outline = smooth_field(grid, OUTLINE_KNOTS_MM, rng)
    uneven = smooth_field(grid, CAP_KNOTS_MM, rng)
    thickness = np.float32(disease.cap_mm) * (1 + 4 * uneven + outline)
    thickness *= ramp(tissue.midline_mm - np.float32(CALLOSUM_MM), 6)
    lesions = add_caps(lesions, tissue.ventricle_mm, thickness, disease.cap_darkening)
    lesions = add_ovoids(lesions, grid, ovoids, outline)
    return within_white_matter(lesions, tissue.white_matter)


def acquire(
    participant: Participant,
    tissue: Tissue,
    grid: Grid,
    darkening: Floats,
    rng: np.random.Generator,
) -> tuple[Stored, Stored]:
    """Scan a head with and without its lesions: same texture, shading and noise.

    Parameters
    ----------
    participant : Participant
        Scan and file.
    tissue : Tissue
        The lesion-free head.
    grid : Grid
        Its voxels, those of the scan or finer.
    darkening : (X, Y, Z) float32
        Share of the signal that lesions take.
    rng : numpy.random.Generator
        Source of texture, shading and noise.

    Returns
    -------
    t1w, lesion_free : Stored

    """
    grain = np.float32(GRAIN_REST) + np.float32(GRAIN_BRAIN - GRAIN_REST) * tissue.brain
    healthy = tissue.signal * (1 + grain * texture(grid.shape, rng))
    healthy *= bias_field(grid, participant.bias, rng) * np.float32(participant.white)
    noise = receiver_noise(participant.shape, participant.noise * participant.white, rng)
    signals = (healthy * (1 - darkening), healthy)
    stored = [
        store(
            magnitude(average_slices(signal, participant.slices_averaged), noise),
            participant.dtype,
            participant.slope,
            participant.intercept,
        )
        for signal in signals
    ]
    return stored[0], stored[1]


def scan_participant(participant: Participant, head: Head, rng: np.random.Generator) -> Scan:
    """Make one participant out of the head, and scan it."""
    grid = scan_grid(participant)
    fine = finer(grid, participant.slices_averaged)
    head_pose = pose(participant.rotation_deg, participant.scale, participant.shift_mm)
    points = template_positions(fine, head_pose, participant.ventricles, rng)
    tissue = render(head, points, fine, participant.look, rng)
    lesions = make_lesions(tissue, fine, participant.disease, rng)
    t1w, lesion_free = acquire(participant, tissue, fine, lesions.darkening, rng)
    share = average_slices(lesions.share, participant.slices_averaged)
    return Scan(grid, t1w, lesion_free, share)


def scan_heads(
    participants: Sequence[Participant], seed: int = SEED
) -> Iterator[tuple[Participant, Scan]]:
    """Make and scan participants, one at a time; each by a random stream of its place and seed."""
    head = make_head(seed)
    for number, participant in enumerate(participants):
        rng = np.random.default_rng([seed, number])
        yield participant, scan_participant(participant, head, rng)
