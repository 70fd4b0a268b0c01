"""Coarse alignment of the brain in a head: rotation, scale and position, without initial guess.

For each of a few rotations and scales the best translation is found over the whole field of view
at once, by masked normalised cross-correlation in Fourier space. It takes about a second, and is
robust against necks, cropped fields of view and wrong origins, which mislead centres of mass.

References
----------
Padfield D., "Masked object registration in the Fourier domain", IEEE Trans. Image Process. 2012,
21(5):2706-2718; here with a mask on the template only.

"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from bids_inpaint.image.register.flatten import FWHM_PER_SIGMA
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, brain_distances, load_template
from bids_inpaint.image.volume import Volume

# Width of the dark rim (CSF and skull) around the brain of the template; it excludes the scalp,
# and thus a wrong scale.
RIM_MM = 6
# Coarse enough to be quick and smooth; wide enough that a head with neck does not wrap around.
_SPACING_MM = 7.0
_GRID_SIZE = 50
# Middle of the template's brain (RAS mm).
_BRAIN_CENTRE_MM = np.array([0.0, -18.0, 8.0])
_FOREGROUND = 0.3  # of the median of the head
_LEAST_VARIANCE = 1e-3  # of the largest; below it there is no signal to correlate


class Candidate(NamedTuple):
    """A pose of a T1w: rotations about x, y and z in degrees, and a scale."""

    pitch: float
    roll: float
    yaw: float
    scale: float


class CoarseAlignment(NamedTuple):
    """`score`: correlation within the template's brain and rim; `xfm`: T1w to template RAS mm."""

    score: float
    candidate: Candidate
    xfm: NDArray[np.float64]


# Brains of adults are scaled by 1.0 to 1.25 to fit the template, which is large.
_USUAL = tuple(
    Candidate(*p) for p in product((-20, 0, 20), (-15, 0, 15), (-15, 0, 15), (1.0, 1.15, 1.3))
)
_WIDE = tuple(
    Candidate(*p)
    for p in product((-45, -15, 15, 45), (-30, 0, 30), (-30, 0, 30), (0.95, 1.15, 1.35))
)
_STEPS = (Candidate(8, 8, 8, 0.06), Candidate(4, 4, 4, 0.03))
_SCALE_LIMITS = (0.95, 1.5)


class _Target(NamedTuple):
    """Fourier transforms (conjugate) of the template's brain and of its mask, and the grid."""

    brain: NDArray[np.complex64]
    mask: NDArray[np.complex64]
    n_voxels: int
    grid: Grid


def brain_and_rim() -> NDArray[np.bool_]:
    """Mask of the template's brain and of a rim around it, (182, 218, 182) bool."""
    return np.asarray(brain_distances().outside <= RIM_MM)


@cache
def _target() -> _Target:
    affine = np.diag([_SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = _BRAIN_CENTRE_MM - _SPACING_MM * (_GRID_SIZE - 1) / 2
    grid = Grid((_GRID_SIZE,) * 3, affine)
    smooth = ndimage.gaussian_filter(load_template().t1w, _SPACING_MM / FWHM_PER_SIGMA)
    brain = resample(Volume(smooth, AFFINE), grid, np.eye(4))
    mask = resample(Volume(brain_and_rim().astype(np.float32), AFFINE), grid, np.eye(4)) > 0.5
    brain = np.where(mask, brain - brain[mask].mean(), 0)
    brain /= np.linalg.norm(brain)
    return _Target(
        np.conj(fft.rfftn(brain)),
        np.conj(fft.rfftn(mask.astype(np.float32))),
        int(mask.sum()),
        grid,
    )


def align_coarsely(head: Volume, *, wide: bool = False) -> CoarseAlignment:
    """Find the coarse alignment of a head.

    Parameters
    ----------
    head : Volume
        (X, Y, Z) float32, isotropic voxels of a few millimetres, flat field, in units of the
        median of the head.
    wide : bool
        Also search rotations up to 45 degrees and smaller scales, in three times the time.

    """
    spacing_mm = float(nb.affines.voxel_sizes(head.affine)[0])
    blur_mm = np.sqrt(max(_SPACING_MM**2 - spacing_mm**2, 0))
    smooth = ndimage.gaussian_filter(head.data, blur_mm / FWHM_PER_SIGMA / spacing_mm)
    foreground = np.argwhere(head.data > _FOREGROUND)
    middle = foreground.mean(axis=0) if foreground.size else (np.array(smooth.shape) - 1) / 2
    centre = nb.affines.apply_affine(head.affine, middle)
    # Of a volume as smooth as this every second voxel is enough, and read faster.
    every = max(1, round(_SPACING_MM / 2 / spacing_mm))
    thinned = head.affine @ np.diag([every, every, every, 1])
    blurred = Volume(np.ascontiguousarray(smooth[::every, ::every, ::every]), thinned)
    matches = [_place(blurred, centre, p) for p in (_WIDE if wide else _USUAL)]
    # A small head can look like a large brain: the search starts from each scale.
    found = [
        _climb(blurred, centre, max(same_scale, key=_score), _STEPS[0])
        for same_scale in _by_scale(matches)
    ]
    return _climb(blurred, centre, max(found, key=_score), _STEPS[1])


def _score(match: CoarseAlignment) -> float:
    return match.score


def _by_scale(matches: list[CoarseAlignment]) -> list[list[CoarseAlignment]]:
    scales = sorted({match.candidate.scale for match in matches})
    return [[match for match in matches if match.candidate.scale == scale] for scale in scales]


def _climb(
    head: Volume, centre: NDArray[np.float64], best: CoarseAlignment, step: Candidate
) -> CoarseAlignment:
    """Climb to the best neighbour, one step in one parameter, while it is better."""
    while True:
        found = max(
            (_place(head, centre, other) for other in _neighbours(best.candidate, step)),
            key=_score,
        )
        if found.score <= best.score:
            return best
        best = found


def _neighbours(around: Candidate, step: Candidate) -> Iterator[Candidate]:
    for axis, sign in product(range(len(step)), (-1, 1)):
        values = list(around)
        values[axis] += sign * step[axis]
        if _SCALE_LIMITS[0] <= values[-1] <= _SCALE_LIMITS[1]:
            yield Candidate(*values)


def _place(head: Volume, centre: NDArray[np.float64], candidate: Candidate) -> CoarseAlignment:
    """Best translation for one rotation and scale about `centre` (RAS mm of the head)."""
    target = _target()
    xfm = np.eye(4)
    rotation = Rotation.from_euler('xyz', candidate[:3], degrees=True).as_matrix()
    xfm[:3, :3] = candidate.scale * rotation
    xfm[:3, 3] = _BRAIN_CENTRE_MM - xfm[:3, :3] @ centre
    correlation = _correlate(resample(head, target.grid, xfm))
    peak = np.array(np.unravel_index(np.argmax(correlation), correlation.shape))
    shift_vox = (peak + _GRID_SIZE // 2) % _GRID_SIZE - _GRID_SIZE // 2
    xfm[:3, 3] -= shift_vox * _SPACING_MM
    return CoarseAlignment(float(correlation.max()), candidate, xfm)


def _correlate(moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation with the template within its mask, for every cyclic shift of the grid."""
    target = _target()
    spectrum = fft.rfftn(moved)
    covariance = fft.irfftn(spectrum * target.brain, moved.shape)
    total = fft.irfftn(spectrum * target.mask, moved.shape)
    squares = fft.irfftn(fft.rfftn(moved**2) * target.mask, moved.shape)
    variance = squares - total**2 / target.n_voxels
    usable = variance > _LEAST_VARIANCE * variance.max()
    return np.where(usable, covariance / np.sqrt(np.where(usable, variance, 1)), 0)
