"""The native grid of a T1w image: to RAS+ order, back, and adding a change.

Stored and scaled values are kept apart: unchanged voxels are written with the bits that were read,
also for scaled integers.
"""

from typing import Any

import nibabel as nb
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray

from bids_inpaint.image.resample import Grid
from bids_inpaint.image.volume import Volume

_RAS_ORIENTATION = np.array([[0, 1], [1, 1], [2, 1]])


def scaled(img: nb.Nifti1Image) -> NDArray[np.float32]:
    """Voxels of an image in its units: (X, Y, Z) float32, in the order of the file."""
    with np.errstate(over='ignore'):  # too large values become infinite, and are refused
        return np.asarray(img.dataobj, dtype=np.float32).reshape(img.shape[:3])


def conform(img: nb.Nifti1Image) -> Volume:
    """Reorient an image to RAS+ by reordering its axes, without interpolation."""
    orientation = nb.io_orientation(img.affine)
    data = nb.apply_orientation(scaled(img), orientation)
    affine = img.affine @ nb.orientations.inv_ornt_aff(orientation, img.shape[:3])
    return Volume(np.ascontiguousarray(data), affine)


def ras_grid(img: nb.Nifti1Image) -> Grid:
    """Return the grid of an image after `conform`, without its voxels."""
    orientation = nb.io_orientation(img.affine)
    size = dict(zip(orientation[:, 0].astype(int), img.shape, strict=False))
    affine = img.affine @ nb.orientations.inv_ornt_aff(orientation, img.shape[:3])
    return Grid((size[0], size[1], size[2]), affine)


def like_source(data: NDArray[Any], img: nb.Nifti1Image) -> nb.Nifti1Image:
    """Make an image with the grid and codes of the source from an array on `ras_grid(img)`."""
    header = img.header.copy()
    header.set_data_dtype(data.dtype)
    header['cal_min'] = header['cal_max'] = 0  # not the window of the source
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
        Voxels to change, on the same grid.

    Returns
    -------
    nibabel.Nifti1Image
        Shape, affine, codes, scaling and data type of `img`; bit-identical to it outside the
        mask. Inside, integers are rounded, and clipped to the data type. Its array has stored
        values: only the file that is written gives scaled ones.

    """
    mask = to_source_order(change_mask, img).reshape(img.shape)
    added = to_source_order(change, img).reshape(img.shape)[mask].astype(np.float64)
    slope, inter = _scaling(img)
    stored = _stored(img).copy()
    values = stored[mask].astype(np.float64) + added / slope
    if np.issubdtype(stored.dtype, np.integer):
        values = np.clip(np.rint(values), *_limits(stored.dtype))
    stored[mask] = values.astype(stored.dtype)
    out = type(img)(stored, img.affine, img.header)
    out.header.set_slope_inter(slope, inter)  # a new image drops it
    return out


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Lowest and highest float64 that a type of integers can hold: 2**63 is none for int64."""
    info = np.iinfo(dtype)
    high = float(info.max)
    return float(info.min), high if int(high) <= info.max else float(np.nextafter(high, 0))


def _stored(img: nb.Nifti1Image) -> NDArray[Any]:
    """Return stored values of voxels, before scaling."""
    proxy = img.dataobj
    return np.asarray(proxy.get_unscaled() if isinstance(proxy, ArrayProxy) else proxy)


def _scaling(img: nb.Nifti1Image) -> tuple[float, float]:
    """Slope and intercept from stored to scaled values."""
    proxy = img.dataobj
    if isinstance(proxy, ArrayProxy):
        return float(proxy.slope), float(proxy.inter)
    return 1.0, 0.0
