"""Conversion of volumes and affine maps to ANTs and back; only here are coordinates LPS+.

NIfTI coordinates are RAS+ millimetres, those of ITK and ANTs are LPS+ millimetres.
"""

from pathlib import Path

import ants
import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.resample import inverse
from bids_inpaint.image.volume import Volume

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Exponent of two for the mean of an image: the 8-bit images that ANTs was made for have a mean of
# about 100.
_MEAN_EXPONENT = 7


def to_ants(
    data: NDArray[np.float32] | NDArray[np.bool_], affine: NDArray[np.float64]
) -> 'ants.ANTsImage':
    """Make an ANTs image.

    Parameters
    ----------
    data : (X, Y, Z) float32 or bool
        Voxels; copied.
    affine : (4, 4) float64
        Voxel indices to RAS+ millimetres; without shear, which ITK cannot express.

    Returns
    -------
    ants.ANTsImage
        Of pixel type float, in LPS+ coordinates.

    """
    lps = _RAS_TO_LPS @ affine
    spacing = nb.affines.voxel_sizes(affine)
    return ants.from_numpy(
        np.ascontiguousarray(data, dtype=np.float32),
        origin=[float(x) for x in lps[:3, 3]],
        spacing=[float(x) for x in spacing],
        direction=lps[:3, :3] / spacing,
    )


def unit_for_ants(values: NDArray[np.float32]) -> np.float32:
    """Find the power of two by which an image is divided for ANTs.

    Filters of ANTs have absolute thresholds: an image multiplied by 1e-5 is not denoised at all. A
    power of two changes no digit, so results do not depend on the units of an image.

    Parameters
    ----------
    values : (N,) float32
        The voxels that matter, in any units.

    Returns
    -------
    float32
        The mean absolute value divided by it lies in [64, 128); 1 if all values are zero.

    Examples
    --------
    >>> float(unit_for_ants(np.full(3, 0.001, dtype='float32')))
    1.52587890625e-05

    """
    mean = float(np.abs(values).mean(dtype=np.float64)) if values.size else 0.0
    return np.float32(np.ldexp(1.0, np.frexp(mean)[1] - _MEAN_EXPONENT)) if mean else np.float32(1)


def from_ants(image: 'ants.ANTsImage') -> Volume:
    """Make a volume of an ANTs image: (X, Y, Z) float32, and the affine to RAS+ millimetres."""
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(image.direction) * np.asarray(image.spacing)
    lps[:3, 3] = image.origin
    return Volume(image.numpy().astype(np.float32, copy=False), _RAS_TO_LPS @ lps)


def read_xfm(path: Path, *, back: bool = False) -> NDArray[np.float64]:
    """Read an affine transform of images.

    Parameters
    ----------
    path : Path
        ITK transform file (`.mat` or `.txt`) with one linear transform.
    back : bool
        Whether to return the inverse map.

    Returns
    -------
    (4, 4) float64
        The map of points named by the file: `anat2std_xfm` maps T1w RAS mm to template RAS mm. The
        file has its inverse, as needed for resampling.

    """
    transform = ants.read_transform(str(path))
    matrix = np.asarray(transform.parameters[:9], dtype=np.float64).reshape(3, 3)
    offset, centre = (
        np.asarray(v, dtype=np.float64)
        for v in (transform.parameters[9:12], transform.fixed_parameters)
    )
    lps = np.eye(4)
    lps[:3, :3] = matrix
    lps[:3, 3] = offset + centre - matrix @ centre
    stored = np.asarray(_RAS_TO_LPS @ lps @ _RAS_TO_LPS, dtype=np.float64)
    return stored if back else inverse(stored)


def write_xfm(xfm: NDArray[np.float64], path: Path, *, back: bool = False) -> Path:
    """Write an affine transform of images for ITK, and return its path.

    Parameters
    ----------
    xfm : (4, 4) float64
        Maps RAS mm of the image to RAS mm of the target.
    path : Path
        Ends in `.txt` or `.mat`.
    back : bool
        Whether to write the transform in the other direction, from the inverse of `xfm`.

    """
    lps = _RAS_TO_LPS @ (xfm if back else inverse(xfm)) @ _RAS_TO_LPS
    transform = ants.create_ants_transform(
        transform_type='AffineTransform',
        precision='double',
        dimension=3,
        matrix=lps[:3, :3],
        translation=lps[:3, 3],
    )
    ants.write_transform(transform, str(path))
    return path
