"""Read images of the user; messages say what is wrong with one that cannot be used."""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.file_format import recognise
from bids_inpaint.image.native import conform, scaled
from bids_inpaint.image.volume import Volume, open_nifti

# Larger voxels do not resolve white-matter lesions.
_MAX_ZOOM_MM = 5.0
# A brain is about 175 x 145 x 140 mm; affine registration is not reliable with much less.
_MIN_FIELD_OF_VIEW_MM = 100.0
# Sizes come from a transform in single precision: 5 mm may be 5.0000002 mm.
_ROUNDING = 1e-4
# Cosine between two axes above which ITK, which has no shear, cannot represent the grid.
_MAX_SHEAR = 1e-3
# Some steps hold a dozen volumes of float32: 50 GB for as many as this.
_MAX_VOXELS = 2**30
_MOST_DIMENSIONS = 7  # of NIfTI
# Deflate compresses a byte of zeros at best so much (zlib, "Technical Details").
_MOST_COMPRESSION = 1032
_CHUNK_BYTES = 2**20
# Bytes behind the voxels that are still read to find the checksum of gzip.
_MOST_BEHIND_BYTES = 2**28


def read_source(path: Path) -> nb.Nifti1Image:
    """Read a T1w image, and refuse one that cannot be processed.

    Parameters
    ----------
    path : Path
        NIfTI file, `.nii` or `.nii.gz`.

    Returns
    -------
    nibabel.Nifti1Image
        Its voxels have been read once, so that a truncated file is noticed.

    Raises
    ------
    BidsInpaintError
        If the file cannot be read, is not a NIfTI image of three dimensions with finite,
        varying values, or has an unsuitable grid. The message names the file, what is required
        and what was found.

    """
    img, data = read_image(path, _check_grid)
    _check_values(path, data)
    return img


def read_image(
    path: Path, check_grid: Callable[[Path, nb.Nifti1Image], None]
) -> tuple[nb.Nifti1Image, NDArray[np.float32]]:
    """Read an image; the error says why one cannot be read.

    Parameters
    ----------
    path : Path
        NIfTI file.
    check_grid : callable
        Called with path and image before voxels are read; raises if the grid is unsuitable.

    Returns
    -------
    img : nibabel.Nifti1Image
        The image.
    data : (X, Y, Z) float32
        Its voxels, in its units and the order of the file.

    Raises
    ------
    BidsInpaintError
        If the file is not a complete NIfTI image of real numbers.

    """
    try:
        _check_format(path)
        img = _load_nifti(path)
        check_grid(path, img)
        _check_bytes(path, img)
        return img, scaled(img)
    except (nb.filebasedimages.ImageFileError, nb.spatialimages.HeaderDataError) as error:
        if 'failed to read extension' in str(error):  # which the header announces
            refuse(path, 'a whole NIfTI image', f'one that ends early ({error})', error)
        refuse(path, 'a NIfTI image', f'not one ({error})', error)
    except FileNotFoundError as error:
        found = 'a broken link (with DataLad: get its content first)'
        refuse(path, 'a file', found if path.is_symlink() else 'none', error)
    except IsADirectoryError as error:
        refuse(path, 'a file', 'a folder', error)
    except PermissionError as error:
        refuse(path, 'a readable file', f'one that cannot be read ({error.strerror})', error)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        refuse(path, 'a whole NIfTI image', f'one that ends early or is damaged ({error})', error)
    except MemoryError as error:
        refuse(path, 'an image that fits into memory', 'a larger one', error)


def _check_format(path: Path) -> None:
    """Refuse a file that is something else than its name says."""
    if found := recognise(path):
        refuse(path, 'a NIfTI image', found)


def _load_nifti(path: Path) -> nb.Nifti1Image:
    """Read the header; NIfTI-1 or NIfTI-2, and voxels that are real numbers."""
    try:
        img = open_nifti(path)
    except ValueError as error:
        if not str(error).startswith('w2'):  # as nibabel calls the missing part of a quaternion
            raise
        required = 'an sform, or a qform whose quaternion is a rotation (b² + c² + d² <= 1)'
        refuse(path, required, f'neither ({error})', error)
    number = int(img.header['dim'][0])
    if not 1 <= number <= _MOST_DIMENSIONS:  # nibabel minds it in one byte order only
        refuse(path, 'a NIfTI image', f'not one (dim[0] is {number}, of at most 7 dimensions)')
    if img.get_data_dtype().kind not in 'iuf':
        found = img.header.get_value_label('datatype')
        refuse(path, 'voxels that are real numbers', f'the data type {found}')
    return img


def _check_bytes(path: Path, img: nb.Nifti1Image) -> None:
    """Refuse an image that the file does not hold, before memory is taken for it."""
    voxels = math.prod(img.shape)
    needed = getattr(img.dataobj, 'offset', 0) + voxels * img.get_data_dtype().itemsize
    size = path.stat().st_size
    if needed > size * (_MOST_COMPRESSION if path.suffix == '.gz' else 1):
        claimed = ' x '.join(map(str, img.shape))
        found = f'a header of {claimed} voxels, {needed} bytes, in a file of {size} bytes'
        refuse(path, 'a whole NIfTI image', found)
    if voxels > _MAX_VOXELS:
        refuse(path, f'at most {_MAX_VOXELS} voxels', f'{voxels}')
    if path.suffix == '.gz' and (held := _unzipped_size(path, needed)) < needed:
        refuse(path, 'a whole NIfTI image', f'one that ends early, after {held} of {needed} bytes')


def _unzipped_size(path: Path, needed: int) -> int:
    """Decompress a gzip file to its end, where the checksum is, and count the bytes.

    What follows the last member is ignored, as by gzip itself.
    """
    size = 0
    with gzip.open(path) as stream:
        try:
            while size < needed + _MOST_BEHIND_BYTES and (chunk := stream.read1(_CHUNK_BYTES)):
                size += len(chunk)
        except gzip.BadGzipFile as error:
            if size < needed or not str(error).startswith('Not a gzipped file'):
                raise
    return size


def _check_grid(path: Path, img: nb.Nifti1Image) -> None:
    """Refuse an unsuitable shape, data type or affine."""
    shape, affine = img.shape, img.affine
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape[:3]) < 2:
        refuse(path, 'an image of three dimensions', f'the shape {shape}')
    if not (img.header['sform_code'] or img.header['qform_code']):
        refuse(path, 'an affine (sform or qform) with a code above 0', 'neither')
    zooms = nb.affines.voxel_sizes(affine)
    # Of directions alone: an affine in metres can be inverted, but has a field of view of 0.2.
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * zooms.prod():
        refuse(path, 'an affine that can be inverted', np.array2string(affine[:3], precision=3))
    cosines = (affine[:3, :3] / zooms).T @ (affine[:3, :3] / zooms) - np.eye(3)
    if np.abs(cosines).max() > _MAX_SHEAR:
        refuse(path, 'axes at right angles', f'a shear of {np.abs(cosines).max():.3g}')
    if zooms.max() > _MAX_ZOOM_MM * (1 + _ROUNDING):
        refuse(path, f'voxels of at most {_MAX_ZOOM_MM:g} mm', f'{_sizes(zooms)} mm')
    extent = zooms * shape[:3]
    if extent.min() < _MIN_FIELD_OF_VIEW_MM * (1 - _ROUNDING):
        refuse(
            path,
            f'a field of view of at least {_MIN_FIELD_OF_VIEW_MM:g} mm on each axis',
            f'{_sizes(extent)} mm',
        )


def _check_values(path: Path, data: NDArray[np.float32]) -> None:
    """Refuse infinite or constant values."""
    bad = int(data.size - np.isfinite(data).sum())
    if bad:
        refuse(path, 'finite values', f'{bad} voxels with NaN or infinity')
    if data.min() == data.max():
        refuse(path, 'values that differ', f'the value {data.flat[0]:g} in every voxel')


def _sizes(lengths_mm: NDArray[np.float64]) -> str:
    """Three lengths for a message."""
    return ' x '.join(f'{length:.3g}' for length in lengths_mm)


def refuse(path: Path, required: str, found: str, cause: BaseException | None = None) -> NoReturn:
    """Raise the error for a file."""
    msg = f'{path}: expected {required}, found {found}'
    raise BidsInpaintError(msg) from cause


def load_ras(path: Path | str) -> Volume:
    """Read an image that was checked before, or made here, in RAS+ order."""
    return conform(open_nifti(path))
