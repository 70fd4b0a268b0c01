"""Affine registration of a T1w volume to the template, of heads and of extracted brains.

The template shows a brain only. Given a whole head, a plain affine registration fits the scalp to
the template's cortex. Here the brain is first looked for at low resolution (see `pose`), then the
affine map is refined within the template's brain and a dark rim around it. Each result is checked;
a bad one is thrown away for the next strategy. What was tried is told in docs/registration.md.
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
from scipy import ndimage

from bids_inpaint.image.ants_bridge import read_itk_affine, to_ants, write_itk_affine
from bids_inpaint.image.brain import has_scalp
from bids_inpaint.image.head import FWHM_PER_SIGMA, flat_head, reduce_fine
from bids_inpaint.image.pose import brain_and_rim, find_pose
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, SHAPE, load_template
from bids_inpaint.image.volume import Volume

# Limits of a good registration, validated in docs/registration.md.
LEAST_SIMILARITY = 0.6
DETERMINANT_LIMITS = (0.88, 2.4)
LARGEST_SCALE_RATIO = 1.4
LEAST_COVERAGE = 0.8

_SPACING_MM = 2.0
# Finer voxels than this are averaged before a plain registration, which would take minutes.
_FINEST_MM = 1.0
_ITERATIONS_PER_LEVEL = (100, 50)
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
    `plain`, `search` or `wide-search`. `coverage` is the part of the template's brain that lies
    in the field of view.
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
    """Find the affine map that takes a T1w volume to the template.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, any orientation and voxel size, scanner units; need not be denoised.
    random_seed : int
        Of the points that the metric samples. The same seed gives the same result to the last
        bit with one thread of ITK, and within a hundredth of a millimetre with several.
    skull_stripped : bool, optional
        Whether the volume holds a brain only; looked at if not given.

    Returns
    -------
    Registration
        Of the first strategy without problems, or else of the one with the highest similarity.

    """
    head = flat_head(t1w, spacing_mm=_SPACING_MM)
    pose = find_pose(head)
    if skull_stripped is None:
        skull_stripped = not has_scalp(head, pose.xfm)
    tried = []
    for strategy in _STRATEGIES[skull_stripped]:
        if strategy == 'plain':
            xfm = _register_plainly(t1w, random_seed)
        else:
            start = find_pose(head, wide=True) if strategy == 'wide-search' else pose
            xfm = _refine(head, start.xfm, random_seed)
        tried.append(_assess(head, xfm, strategy, skull_stripped=skull_stripped))
        if not registration_problems(tried[-1]):
            return tried[-1]
    return max(tried, key=lambda registration: registration.similarity)


def registration_problems(registration: Registration) -> list[str]:
    """Say in plain sentences what speaks against a registration; nothing if it looks good."""
    problems = []
    if not registration.similarity >= LEAST_SIMILARITY:
        problems.append(
            f'Similarity to the template is {registration.similarity:.2f}, '
            f'below {LEAST_SIMILARITY:.2f}.'
        )
    low, high = DETERMINANT_LIMITS
    if not low <= registration.determinant <= high:
        problems.append(
            f'The volume is scaled by {registration.determinant:.2f} to fit the template; '
            f'expected {low:.2f} to {high:.2f}.'
        )
    scales = np.linalg.svd(registration.anat2std_xfm[:3, :3], compute_uv=False)
    if not scales[0] <= LARGEST_SCALE_RATIO * scales[-1]:
        problems.append(
            f'One direction is stretched {scales[0] / scales[-1]:.2f} times as much as another, '
            f'over {LARGEST_SCALE_RATIO:.2f}.'
        )
    if not registration.coverage >= LEAST_COVERAGE:
        problems.append(
            f'Only {100 * registration.coverage:.0f} % of the brain lies in the field of view.'
        )
    return problems


def _assess(
    head: Volume, xfm: NDArray[np.float64], strategy: str, *, skull_stripped: bool
) -> Registration:
    """Measure how well a prepared head lies on the template."""
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
    """The template at 2 mm: T1w, where the metric looks, the brain, and the grid."""

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
    """Let ANTs do it from the centres of mass: right for extracted brains."""
    small = reduce_fine(t1w, spacing_mm=_FINEST_MM)
    with seeded(random_seed), TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(load_template().t1w, AFFINE),
            to_ants(small.data, small.affine),
            'AffineFast',
            outprefix=f'{folder}/',
        )
        return _invert(read_itk_affine(Path(found['fwdtransforms'][0])))


def _refine(head: Volume, start: NDArray[np.float64], random_seed: int) -> NDArray[np.float64]:
    """Refine an affine map of a flat head within the template's brain and the rim around it."""
    target = _target()
    with seeded(random_seed), TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(target.t1w, target.grid.affine),
            to_ants(head.data, head.affine),
            'Affine',
            initial_transform=str(write_itk_affine(_invert(start), Path(folder) / 'start.mat')),
            mask=to_ants(target.mask, target.grid.affine),
            aff_iterations=_ITERATIONS_PER_LEVEL,
            aff_shrink_factors=(2, 1),
            aff_smoothing_sigmas=(1, 0),
            outprefix=f'{folder}/',
        )
        return _invert(read_itk_affine(Path(found['fwdtransforms'][0])))


@contextmanager
def seeded(random_seed: int) -> Iterator[None]:
    """Seed ANTs by its environment variable: antspyx 0.6 drops the argument `random_seed`."""
    before = os.environ.get(_SEED_VARIABLE)
    os.environ[_SEED_VARIABLE] = str(random_seed or 1)  # ANTs takes 0 for none
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SEED_VARIABLE]
        else:
            os.environ[_SEED_VARIABLE] = before


def _invert(xfm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(xfm), dtype=np.float64)
