"""Small T1w images of every orientation and storage, for tests of what is kept."""

from pathlib import Path

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

# At most 5 mm, and 100 mm or more on every axis: the least that `read_source` takes.
ISOTROPIC = ((30, 27, 26), (4.0, 4.0, 4.0))
ANISOTROPIC = ((26, 41, 34), (4.5, 2.5, 3.0))
SHAPES = {'isotropic': ISOTROPIC, 'anisotropic': ANISOTROPIC}
ORIENTATIONS = ('RAS', 'LAS', 'LPS', 'PSR', 'oblique')
# Data type and scaling as scanners and converters write them.
STORAGES = {
    'int16': ('<i2', None, None),
    'big-endian int16': ('>i2', None, None),
    'scaled uint8': ('u1', 3.5, -20.0),
    'scaled uint16': ('<u2', 0.25, 10.0),
    'falling int16': ('<i2', -0.5, 2000.0),
    'int32': ('<i4', None, None),
    'float32': ('<f4', None, None),
    'scaled float32': ('<f4', 2.0, 1.0),
    'float64': ('<f8', None, None),
}


def rotation(*degrees: float) -> NDArray[np.float64]:
    """Rotation about x, then y, then z; (3, 3)."""
    return nb.eulerangles.euler2mat(*np.deg2rad(degrees[::-1]))


def make_affine(orientation: str, shape, zooms) -> NDArray[np.float64]:
    """Affine (4, 4) of a grid whose middle lies at (3, -20, 12) mm."""
    if orientation == 'oblique':
        axes = rotation(12, -8, 15) @ np.diag([-1.0, 1, 1])
    else:
        axes = np.zeros((3, 3))
        for column, (row, sign) in enumerate(nb.orientations.axcodes2ornt(orientation)):
            axes[int(row), column] = sign
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(zooms)
    middle = (np.asarray(shape) - 1) / 2
    affine[:3, 3] = np.array([3.0, -20, 12]) - affine[:3, :3] @ middle
    return affine


def stored_values(dtype: str, shape, seed: int = 0) -> NDArray[np.generic]:
    """Voxels as the file holds them, over much of what the type can hold."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == 'f':
        return (rng.random(shape) * 1000).astype(kind)
    top = min(int(np.iinfo(kind).max), 30_000)
    return rng.integers(0, top, shape, endpoint=True).astype(kind)


def write_image(
    path: Path,
    *,
    orientation: str = 'RAS',
    geometry=ISOTROPIC,
    storage: str = 'int16',
    trailing: bool = False,
    version: int = 1,
) -> Path:
    """Write an image with different q- and sform codes, units and a description."""
    shape, zooms = geometry
    dtype, slope, inter = STORAGES[storage]
    data = stored_values(dtype, shape)
    affine = make_affine(orientation, shape, zooms)
    kind = nb.Nifti1Image if version == 1 else nb.Nifti2Image
    order = '>' if dtype.startswith('>') else '<'
    header = kind.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    img = kind(data[..., None] if trailing else data, affine, header)
    img.header.set_xyzt_units('mm', 'sec')
    img.set_sform(affine, 4)
    img.set_qform(affine, 1)
    img.header['descrip'] = b'a scanner'
    img.header['cal_max'] = 900
    if slope is not None:
        img.header.set_slope_inter(slope, inter)
    img.to_filename(path)
    return path


def raw_bytes(path: Path) -> NDArray[np.generic]:
    """Voxels as stored, in the byte order of the file."""
    return np.asarray(nb.load(path).dataobj.get_unscaled())
