"""Affine registration of a T1w volume to the template, of heads and of extracted brains.

The template is a brain only. Plain affine registration of a whole head fits the scalp to the
cortex of the template. Here the brain is first located at low resolution (see `coarse`), then the
affine map is refined within the brain of the template and a dark rim around it. Results are
checked; after a bad one, the next strategy is tried. See docs/registration.md for measurements.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import ants
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage
from scipy.spatial.transform import Rotation

from bids_inpaint import qc
from bids_inpaint.image.ants_bridge import read_xfm, to_ants, unit_for_ants, write_xfm
from bids_inpaint.image.register.brain import has_scalp
from bids_inpaint.image.register.coarse import align_coarsely, brain_and_rim
from bids_inpaint.image.register.flatten import FWHM_PER_SIGMA, flatten, reduce_fine
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, SHAPE, load_template
from bids_inpaint.image.volume import Volume

_SPACING_MM = 2.0
# Smaller voxels are averaged before a plain registration, which would take minutes.
_FINEST_MM = 1.0
# With (100, 50) brains move by at most 0.05 mm, in twice the time.
_ITERATIONS_PER_LEVEL = (30, 15)
_PLAIN_ITERATIONS = (2100, 1200)  # at most; these stop when nothing improves
_SEED_VARIABLE = 'ANTS_RANDOM_SEED'
# In this order, by whether the skull was stripped.
_STRATEGIES = {
    True: ('plain', 'search', 'wide-search'),
    False: ('search', 'wide-search', 'plain'),
}


class Registration(NamedTuple):
    """An affine registration to the template.

    `anat2std_xfm` is (4, 4) float64 and maps T1w RAS mm to template RAS mm; `determinant` is its
    change of volume. `similarity` is the correlation of T1w and template within the template's
    brain and a rim of 6 mm, at 2 mm, after flattening the field and clipping bright voxels of the
    T1w; voxels outside the T1w's field of view do not count. `strategy` names the way that won:
    `plain`, `search` or `wide-search`. `coverage` is the share of the brain of the template in
    the field of view.
    """

    anat2std_xfm: NDArray[np.float64]
    similarity: float
    strategy: str
    determinant: float
    skull_stripped: bool
    coverage: float = 1.0


def register_to_template(
    t1w: Volume, *, random_seed: int, skull_stripped: bool | None = None
) -> Registration:
    """Find the affine map of a T1w volume to the template.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, any orientation and voxel size, scanner units; need not be denoised.
    random_seed : int
        Of the points that the metric samples. The same seed gives the same result to the last
        bit with one thread of ITK, and within a hundredth of a millimetre with several.
    skull_stripped : bool, optional
        Whether the volume is brain-extracted; found out if not given.

    Returns
    -------
    Registration
        Of the first strategy without problems, or else of the one with the highest similarity.

    """
    head = flatten(t1w, spacing_mm=_SPACING_MM)
    coarse = align_coarsely(head)
    if skull_stripped is None:
        skull_stripped = not has_scalp(head, coarse.xfm)
    tried = []
    for strategy in _STRATEGIES[skull_stripped]:
        if strategy == 'plain':
            xfm = _register_plainly(t1w, random_seed)
        else:
            start = align_coarsely(head, wide=True) if strategy == 'wide-search' else coarse
            xfm = _refine(head, start.xfm, random_seed)
        tried.append(_assess(head, xfm, strategy, skull_stripped=skull_stripped))
        if not registration_problems(tried[-1]):
            return tried[-1]
    return max(tried, key=lambda registration: registration.similarity)


def registration_problems(registration: Registration) -> list[str]:
    """Sentences on the problems of a registration; empty if there are none."""
    scales = np.linalg.svd(registration.anat2std_xfm[:3, :3], compute_uv=False)
    numbers = {
        'registration_similarity': registration.similarity,
        'affine_determinant': registration.determinant,
        'affine_stretch': scales[0] / scales[-1],
        'brain_coverage': registration.coverage,
    }
    return qc.problems(qc.REGISTRATION, numbers)


def rotation_deg(xfm: NDArray[np.float64]) -> float:
    """Angle in degrees of the rotation in an affine map (4, 4), by polar decomposition."""
    rotation, _ = linalg.polar(xfm[:3, :3])
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude()))


def _assess(
    head: Volume, xfm: NDArray[np.float64], strategy: str, *, skull_stripped: bool
) -> Registration:
    """Measure how well a flattened head fits the template."""
    target = _target()
    seen = resample(Volume(np.ones_like(head.data), head.affine), target.grid, xfm) > 0.5
    inside = target.mask & seen
    moved = resample(head, target.grid, xfm)[inside]
    usable = moved.size > 1 and moved.std() > 0
    return Registration(
        anat2std_xfm=xfm,
        similarity=float(np.corrcoef(moved, target.t1w[inside])[0, 1]) if usable else 0.0,
        strategy=strategy,
        determinant=float(np.linalg.det(xfm)),
        skull_stripped=skull_stripped,
        coverage=float(seen[target.brain_mask].mean()),
    )


class _Target(NamedTuple):
    """The template at 2 mm: T1w, mask of the metric, brain, and grid."""

    t1w: NDArray[np.float32]
    mask: NDArray[np.bool_]
    brain_mask: NDArray[np.bool_]
    grid: Grid


@cache
def _target() -> _Target:
    step = int(_SPACING_MM)
    affine = AFFINE @ np.diag([_SPACING_MM] * 3 + [1.0])
    affine[:3, 3] += (_SPACING_MM - 1) / 2
    grid = Grid((SHAPE[0] // step, SHAPE[1] // step, SHAPE[2] // step), affine)
    template = load_template()

    def take(data: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.float32]:
        return resample(Volume(data.astype(np.float32), AFFINE), grid, np.eye(4))

    smooth = ndimage.gaussian_filter(template.t1w, np.sqrt(_SPACING_MM**2 - 1) / FWHM_PER_SIGMA)
    return _Target(
        take(smooth), take(brain_and_rim()) > 0.5, take(template.brain_mask) > 0.5, grid
    )


def _register_plainly(t1w: Volume, random_seed: int) -> NDArray[np.float64]:
    """Register with ANTs from the centres of mass, for extracted brains."""
    small = reduce_fine(t1w, spacing_mm=_FINEST_MM)
    with seeded(random_seed), TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(load_template().t1w, AFFINE),
            to_ants(small.data / unit_for_ants(small.data), small.affine),
            'Affine',
            aff_iterations=_PLAIN_ITERATIONS,
            aff_shrink_factors=(6, 4),
            aff_smoothing_sigmas=(3, 2),
            outprefix=f'{folder}/',
        )
        return read_xfm(Path(found['fwdtransforms'][0]))


def _refine(head: Volume, start: NDArray[np.float64], random_seed: int) -> NDArray[np.float64]:
    """Refine an affine map of a flat head within the template's brain and the rim around it."""
    target = _target()
    with seeded(random_seed), TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(target.t1w, target.grid.affine),
            to_ants(head.data, head.affine),
            'Affine',
            initial_transform=str(write_xfm(start, Path(folder) / 'start.mat')),
            mask=to_ants(target.mask, target.grid.affine),
            aff_iterations=_ITERATIONS_PER_LEVEL,
            aff_shrink_factors=(2, 1),
            aff_smoothing_sigmas=(1, 0),
            outprefix=f'{folder}/',
        )
        return read_xfm(Path(found['fwdtransforms'][0]))


@contextmanager
def seeded(random_seed: int) -> Iterator[None]:
    """Seed ANTs by its environment variable: antspyx 0.6 ignores the argument `random_seed`."""
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(random_seed or 1)  # 0 means no seed in ANTs
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before
