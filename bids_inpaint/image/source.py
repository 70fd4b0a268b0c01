"""The T1w image as its file holds it: read, checked, conformed; and given back with a change.

What is stored is kept apart from what it means: voxels that are not changed are written with the
bits they were read with, scaled integers too.
"""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import nibabel as nb
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.volume import Volume

# Larger voxels do not resolve the lesions that this is about.
_MAX_ZOOM_MM = 5.0
# A brain is about 175 x 145 x 140 mm; the affine registration is not reliable on less of it.
_MIN_FIELD_OF_VIEW_MM = 100.0
# Cosine between two axes above which ITK, which has no shear, cannot express the grid.
_MAX_SHEAR = 1e-3
_CHUNK_BYTES = 2**20
_RAS_ORIENTATION = np.array([[0, 1], [1, 1], [2, 1]])


def read_source(path: Path) -> nb.Nifti1Image:
    """Read a T1w image, and refuse what cannot be worked on.

    Parameters
    ----------
    path : Path
        NIfTI file, `.nii` or `.nii.gz`.

    Returns
    -------
    nibabel.Nifti1Image
        Its voxels have been read once, so that a truncated file shows here.

    Raises
    ------
    BidsInpaintError
        If the file cannot be read, is not a NIfTI image of three dimensions with finite,
        varying values, or its grid is not one on which a brain can be found. The message names
        the file, what is required and what was found.

    """
    img, data = read_image(path, _check_grid)
    _check_values(path, data)
    return img


def read_image(
    path: Path, check_grid: Callable[[Path, nb.Nifti1Image], None]
) -> tuple[nb.Nifti1Image, NDArray[np.float32]]:
    """Read an image, and say of one that cannot be read what is wrong with it.

    Parameters
    ----------
    path : Path
        NIfTI file.
    check_grid : callable
        Given path and header before any voxel is read; raises if they are not as required.

    Returns
    -------
    img : nibabel.Nifti1Image
        The image.
    data : (X, Y, Z) float32
        Its voxels, in its units and the order of the file.

    Raises
    ------
    BidsInpaintError
        If the file is not a whole NIfTI image of real numbers.

    """
    try:
        _check_bytes(path)
        img = _load_nifti(path)
        check_grid(path, img)
        return img, scaled(img)
    except (nb.filebasedimages.ImageFileError, nb.spatialimages.HeaderDataError) as error:
        refuse(path, 'a NIfTI image', f'not one ({error})', error)
    except FileNotFoundError as error:
        found = 'a link to nothing (of DataLad: get its content first)'
        refuse(path, 'a file', found if path.is_symlink() else 'none', error)
    except PermissionError as error:
        refuse(path, 'a readable file', f'one that cannot be read ({error.strerror})', error)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        refuse(path, 'a whole NIfTI image', f'one that ends early or is damaged ({error})', error)
    except MemoryError as error:
        refuse(path, 'an image that fits into memory', 'a larger one', error)


def _check_bytes(path: Path) -> None:
    """Read a file to its end: only there gzip tells whether what came before is as written."""
    with gzip.open(path) if path.suffix == '.gz' else path.open('rb') as stream:
        while stream.read(_CHUNK_BYTES):
            pass


def _load_nifti(path: Path) -> nb.Nifti1Image:
    """Read the header; NIfTI-1 or NIfTI-2, which nibabel derives from it."""
    img = nb.load(path)
    if not isinstance(img, nb.Nifti1Image):
        refuse(path, 'a NIfTI image', f'the format {type(img).__name__}')
    if img.get_data_dtype().kind not in 'iuf':
        refuse(path, 'voxels that are real numbers', f'the data type {img.get_data_dtype()}')
    return img


def scaled(img: nb.Nifti1Image) -> NDArray[np.float32]:
    """Voxels of an image in its units: (X, Y, Z) float32, in the order of the file."""
    with np.errstate(over='ignore'):  # what is too large becomes infinite, and is refused as such
        return np.asarray(img.dataobj, dtype=np.float32).reshape(img.shape[:3])


def conform(img: nb.Nifti1Image) -> Volume:
    """Turn an image to RAS+ by reordering its axes; no voxel is interpolated."""
    orientation = nb.io_orientation(img.affine)
    data = nb.apply_orientation(scaled(img), orientation)
    affine = img.affine @ nb.orientations.inv_ornt_aff(orientation, img.shape[:3])
    return Volume(np.ascontiguousarray(data), affine)


def ras_grid(img: nb.Nifti1Image) -> Grid:
    """Return the grid that `conform` gives an image, without its voxels."""
    orientation = nb.io_orientation(img.affine)
    size = dict(zip(orientation[:, 0].astype(int), img.shape, strict=False))
    affine = img.affine @ nb.orientations.inv_ornt_aff(orientation, img.shape[:3])
    return Grid((size[0], size[1], size[2]), affine)


def like_source(data: NDArray[Any], img: nb.Nifti1Image) -> nb.Nifti1Image:
    """Make an image with the grid and codes of the source from an array on `ras_grid(img)`."""
    header = img.header.copy()
    header.set_data_dtype(data.dtype)
    header['cal_min'] = header['cal_max'] = 0  # the window of the source hides a mask
    return type(img)(to_source_order(data, img).reshape(img.shape), img.affine, header)


def to_source_order(data: NDArray[Any], img: nb.Nifti1Image) -> NDArray[Any]:
    """Undo the reordering of `conform` for an array on its grid; the type is kept."""
    back = nb.orientations.ornt_transform(_RAS_ORIENTATION, nb.io_orientation(img.affine))
    return np.asarray(nb.apply_orientation(data, back))


def add_change(
    img: nb.Nifti1Image, change: NDArray[np.float32], change_mask: NDArray[np.bool_]
) -> nb.Nifti1Image:
    """Add a change to an image, as stored.

    Parameters
    ----------
    img : nibabel.Nifti1Image
        As `read_source` returns it.
    change : (X, Y, Z) float32
        To add, on the grid of `conform(img)`, in the units of the image.
    change_mask : (X, Y, Z) bool
        Where; on the same grid.

    Returns
    -------
    nibabel.Nifti1Image
        Shape, affine, codes, scaling and data type of `img`; bit-identical to it outside the
        mask. Inside, integers are rounded, and limited to what the data type holds. Its array is
        as stored: scaled values are those of the file that it is written to.

    """
    mask = to_source_order(change_mask, img).reshape(img.shape)
    added = to_source_order(change, img).reshape(img.shape)[mask].astype(np.float64)
    slope, inter = _scaling(img)
    stored = _stored(img).copy()
    values = stored[mask].astype(np.float64) + added / slope
    if np.issubdtype(stored.dtype, np.integer):
        limits = np.iinfo(stored.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    stored[mask] = values.astype(stored.dtype)
    out = type(img)(stored, img.affine, img.header)
    out.header.set_slope_inter(slope, inter)  # only now: a new image forgets its header's scaling
    return out


def _stored(img: nb.Nifti1Image) -> NDArray[Any]:
    """Voxels as the file holds them, before scaling."""
    proxy = img.dataobj
    return np.asarray(proxy.get_unscaled() if isinstance(proxy, ArrayProxy) else proxy)


def _scaling(img: nb.Nifti1Image) -> tuple[float, float]:
    """Slope and intercept from stored to scaled values."""
    proxy = img.dataobj
    if isinstance(proxy, ArrayProxy):
        return float(proxy.slope), float(proxy.inter)
    return 1.0, 0.0


def _check_grid(path: Path, img: nb.Nifti1Image) -> None:
    """Refuse a shape, data type or affine on which a brain cannot be found."""
    shape, affine = img.shape, img.affine
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape[:3]) < 2:
        refuse(path, 'an image of three dimensions', f'the shape {shape}')
    if not (img.header['sform_code'] or img.header['qform_code']):
        refuse(path, 'an affine (sform or qform) with a code above 0', 'neither')
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        refuse(path, 'an affine that can be inverted', np.array2string(affine[:3], precision=3))
    zooms = nb.affines.voxel_sizes(affine)
    cosines = (affine[:3, :3] / zooms).T @ (affine[:3, :3] / zooms) - np.eye(3)
    if np.abs(cosines).max() > _MAX_SHEAR:
        refuse(path, 'axes at right angles', f'a shear of {np.abs(cosines).max():.3g}')
    if zooms.max() > _MAX_ZOOM_MM:
        refuse(path, f'voxels of at most {_MAX_ZOOM_MM:g} mm', f'{_sizes(zooms)} mm')
    extent = zooms * shape[:3]
    if extent.min() < _MIN_FIELD_OF_VIEW_MM:
        refuse(
            path,
            f'a field of view of at least {_MIN_FIELD_OF_VIEW_MM:g} mm on each axis',
            f'{_sizes(extent)} mm',
        )


def _check_values(path: Path, data: NDArray[np.float32]) -> None:
    """Refuse values that no brain can be seen in."""
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
    msg = f'{path}: {required} is required, found {found}'
    raise BidsInpaintError(msg) from cause
