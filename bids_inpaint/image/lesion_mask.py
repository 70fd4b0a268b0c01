"""A lesion mask of the user: read, checked, and reoriented like its image."""

from pathlib import Path
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.native import conform, ras_grid
from bids_inpaint.image.source import read_image, refuse

# A voxel is lesion above this: any label, or the upper half of a probability.
_LEAST_PROBABILITY = 0.5
# Of the smallest voxel size; programs write one grid with affines that differ by rounding.
_TOLERANCE = 0.1
# Five times the largest lesion loads, and half of a small brain: a mask of something else.
_MAX_LESIONS_ML = 500.0


class LesionMask(NamedTuple):
    """A mask, (X, Y, Z) bool on the grid of `conform` of its image, and notes for its user."""

    data: NDArray[np.bool_]
    notes: list[str]


def read_lesion_mask(path: Path, t1w: nb.Nifti1Image) -> LesionMask:
    """Read the lesion mask of an image.

    Parameters
    ----------
    path : Path
        NIfTI file. Voxels above 0.5 are lesion. NaN is not, as programs write it outside the
        brain.
    t1w : nibabel.Nifti1Image
        The image, of `bids_inpaint.image.source.read_source`.

    Returns
    -------
    LesionMask
        May be empty; the notes say so.

    Raises
    ------
    BidsInpaintError
        If the file cannot be read, is on another grid than the image, has negative numbers, or is
        larger than half of a brain. The message names both grids.

    """
    img, stored = read_image(path, lambda path, img: _check_same_grid(path, img, t1w))
    finite = np.isfinite(stored)
    values = np.where(finite, stored, np.float32(0))
    if values.min() < 0:
        refuse(path, 'values of 0 and more', f'the value {values.min():g}')
    mask = conform(nb.Nifti1Image((values > _LEAST_PROBABILITY).astype(np.uint8), img.affine))
    volume_ml = mask.data.sum() * abs(np.linalg.det(img.affine[:3, :3])) / 1000
    if volume_ml > _MAX_LESIONS_ML:
        refuse(
            path,
            f'a mask of lesions, of at most {_MAX_LESIONS_ML:g} ml',
            f'{volume_ml:.0f} ml: is it a brain mask, or inverted?',
        )
    notes = []
    if not finite.all():
        notes.append(f'{(~finite).sum()} voxels are not finite: treated as no lesion')
    if not ((values == 0) | (values == 1)).all():
        notes.append(f'not only 0 and 1: values above {_LEAST_PROBABILITY:g} are lesion')
    if not mask.data.any():
        notes.append('the mask is empty: the image is not changed')
    return LesionMask(mask.data > 0, notes)


def _check_same_grid(path: Path, img: nb.Nifti1Image, t1w: nb.Nifti1Image) -> None:
    """Refuse a mask on another grid than the image; the order of axes may differ."""
    if _has_three_dimensions(img):
        ours, required = ras_grid(img), ras_grid(t1w)
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(required.shape) - 1)
        shifts = nb.affines.apply_affine(ours.affine - required.affine, corners)
        limit_mm = _TOLERANCE * nb.affines.voxel_sizes(required.affine).min()
        if ours.shape == required.shape and np.linalg.norm(shifts, axis=1).max() <= limit_mm:
            return
    refuse(
        path,
        f'the grid of {t1w.get_filename()}, {_describe(t1w)}',
        f'{_describe(img)}. Resample the mask to the image, with nearest neighbours',
    )


def _has_three_dimensions(img: nb.Nifti1Image) -> bool:
    """Whether it is one volume, with an affine that orders its axes."""
    single = len(img.shape) >= 3 and all(size == 1 for size in img.shape[3:])
    return (
        single and bool(np.isfinite(img.affine).all()) and None not in nb.aff2axcodes(img.affine)
    )


def _describe(img: nb.Nifti1Image) -> str:
    """Describe the grid of an image for a message."""
    zooms = ' x '.join(f'{zoom:.4g}' for zoom in nb.affines.voxel_sizes(img.affine))
    codes = ''.join(code or '?' for code in nb.aff2axcodes(img.affine))
    rows = np.array2string(
        img.affine[:3], formatter={'float_kind': lambda x: f'{x:.4g}'}, separator=', '
    )
    shape = ' x '.join(map(str, img.shape))
    return f'{shape} voxels of {zooms} mm, {codes}, affine {" ".join(rows.split())}'
