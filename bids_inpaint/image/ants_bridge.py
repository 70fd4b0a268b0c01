"""The only place where RAS+ meets LPS+: volumes and affine maps to ANTs and back.

NIfTI coordinates are RAS+ millimetres, those of ITK and ANTs are LPS+ millimetres.
"""

from pathlib import Path

import ants
import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.volume import Volume

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


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


def from_ants(image: 'ants.ANTsImage') -> Volume:
    """Make a volume of an ANTs image: (X, Y, Z) float32, and the affine to RAS+ millimetres."""
    lps = np.eye(4)
    lps[:3, :3] = np.asarray(image.direction) * np.asarray(image.spacing)
    lps[:3, 3] = image.origin
    return Volume(image.numpy().astype(np.float32, copy=False), _RAS_TO_LPS @ lps)


def read_itk_affine(path: Path) -> NDArray[np.float64]:
    """Read an affine map written by ANTs.

    Parameters
    ----------
    path : Path
        ITK transform file (`.mat` or `.txt`) with one linear transform.

    Returns
    -------
    (4, 4) float64
        The same map of points, in RAS+ millimetres. ANTs writes the map that resampling needs:
        points of the *fixed* image to points of the *moving* image.

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
    return np.asarray(_RAS_TO_LPS @ lps @ _RAS_TO_LPS, dtype=np.float64)


def write_itk_affine(matrix: NDArray[np.float64], path: Path) -> Path:
    """Write a map of points as an ITK text transform, and return its path.

    Parameters
    ----------
    matrix : (4, 4) float64
        Maps points to points, both RAS+ millimetres. To resample a T1w image onto the template,
        ITK programs need the map of template points to T1w points.
    path : Path
        Ends in `.txt` or `.mat`.

    """
    lps = _RAS_TO_LPS @ matrix @ _RAS_TO_LPS
    transform = ants.create_ants_transform(
        transform_type='AffineTransform',
        precision='double',
        dimension=3,
        matrix=lps[:3, :3],
        translation=lps[:3, 3],
    )
    ants.write_transform(transform, str(path))
    return path
