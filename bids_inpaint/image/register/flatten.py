"""Flattening: a small T1w volume of uniform brightness, to locate the brain."""

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume

FWHM_PER_SIGMA = 2.355
_BIAS_FWHM_MM = 60.0
# Percentile at which the brightest voxels are clipped before the field is estimated.
_WINSOR_PCT = 99.0
# Clipping after it, in medians of the head, above white matter: fat of the scalp, twice as bright
# as the brain in 2-D scans, would dominate every correlation.
_BRIGHTEST = 1.5
# Threshold of the head, relative to that of Otsu, which separates bright tissue from dark.
_HEAD_PER_OTSU = 0.5
# Lower limit of the field, relative to the median of the head, so that noise is not amplified.
_DARKEST_FIELD = 0.3


def flatten(t1w: Volume, *, spacing_mm: float) -> Volume:
    """Make a small volume of uniform brightness.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, any orientation and voxel size, scanner units.
    spacing_mm : float
        Voxel size of the result.

    Returns
    -------
    Volume
        Isotropic, along the axes of RAS space; divided by a smooth field, in units of the median
        of the head, and clipped at 1.5.

    """
    small = isotropic(t1w, spacing_mm=spacing_mm)
    data = np.maximum(small.data, 0)
    if not data.any():
        return Volume(data, small.affine)
    data = np.minimum(data, np.percentile(data[data > 0], _WINSOR_PCT))
    head = data > _HEAD_PER_OTSU * _otsu_threshold(data[data > 0])
    sigma_vox = _BIAS_FWHM_MM / FWHM_PER_SIGMA / spacing_mm
    weight = ndimage.gaussian_filter(head.astype(np.float32), sigma_vox)
    field = ndimage.gaussian_filter(data * head, sigma_vox) / np.maximum(weight, 1e-3)
    flat = data / np.maximum(field, _DARKEST_FIELD * np.median(data[head]))
    flat /= np.median(flat[head])
    return Volume(np.minimum(flat, _BRIGHTEST).astype(np.float32), small.affine)


def isotropic(t1w: Volume, *, spacing_mm: float) -> Volume:
    """Resample to isotropic voxels along the axes of RAS space, over the whole field of view."""
    small = reduce_fine(t1w, spacing_mm=spacing_mm)
    zooms_mm = nb.affines.voxel_sizes(small.affine)
    blur_mm = np.sqrt(np.maximum(spacing_mm**2 - zooms_mm**2, 0))
    smooth = ndimage.gaussian_filter(small.data, blur_mm / FWHM_PER_SIGMA / zooms_mm)
    ends = np.array([[-0.5, n - 0.5] for n in smooth.shape])
    corners = np.stack(np.meshgrid(*ends, indexing='ij'), axis=-1).reshape(-1, 3)
    corners_mm = nb.affines.apply_affine(small.affine, corners)
    low_mm, high_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = low_mm + spacing_mm / 2
    nx, ny, nz = np.ceil((high_mm - low_mm) / spacing_mm).astype(int)
    grid = Grid((int(nx), int(ny), int(nz)), affine)
    return Volume(resample(Volume(smooth, small.affine), grid, np.eye(4)), affine)


def reduce_fine(t1w: Volume, *, spacing_mm: float) -> Volume:
    """Average blocks of voxels, so that voxels grow towards `spacing_mm` but not beyond.

    Examples
    --------
    >>> fine = Volume(np.ones((5, 4, 4), dtype='float32'), np.diag([0.5, 1, 1, 1]))
    >>> reduce_fine(fine, spacing_mm=1).data.shape
    (2, 4, 4)

    """
    zooms_mm = nb.affines.voxel_sizes(t1w.affine)
    factors = np.clip(np.floor(spacing_mm / zooms_mm + 1e-3).astype(int), 1, t1w.data.shape)
    if (factors == 1).all():
        return t1w
    (nx, ny, nz), (fx, fy, fz) = np.array(t1w.data.shape) // factors, factors
    blocks = t1w.data[: nx * fx, : ny * fy, : nz * fz].reshape(nx, fx, ny, fy, nz, fz)
    to_fine = nb.affines.from_matvec(np.diag(factors), (factors - 1) / 2)
    return Volume(blocks.mean(axis=(1, 3, 5), dtype=np.float32), t1w.affine @ to_fine)


def _otsu_threshold(values: NDArray[np.float32]) -> float:
    """Threshold that separates two classes of values best (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    total = np.cumsum(counts * centres)
    apart = (total[-1] * below / below[-1] - total) ** 2
    return float(centres[np.argmax(apart / np.maximum(below * (below[-1] - below), 1))])
