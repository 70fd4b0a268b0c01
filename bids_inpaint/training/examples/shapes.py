"""A library of single lesions that were drawn by hand.

References
----------
Senra Filho A.C. et al., "A quantitative multiple sclerosis lesion generator", Biomed. Phys. Eng.
Express 2019, doi 10.1088/2057-1976/ab08fc.

"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SIZE_CLASSES_VOX = (100, 500, 1000, 5000)


@dataclass(frozen=True)
class ShapeLibrary:
    """Lesions on the template grid.

    Attributes
    ----------
    corners, shapes : (N, 3) int
        First voxel of the box around each lesion, and voxels along its sides.
    offsets : (N + 1,) int
        Where the bytes of each lesion begin.
    packed : (bytes,) uint8
        The voxels of each box, eight to a byte, in C order.
    sizes_vox : (N,) int
        Voxels that are lesion.

    """

    corners: NDArray[np.integer]
    shapes: NDArray[np.integer]
    offsets: NDArray[np.integer]
    packed: NDArray[np.uint8]
    sizes_vox: NDArray[np.integer]

    @cached_property
    def classes(self) -> list[NDArray[np.int64]]:
        """Numbers of the lesions of each size class: up to 100, 500, 1,000, 5,000 voxels, more."""
        number = np.searchsorted(_SIZE_CLASSES_VOX, self.sizes_vox)
        return [np.flatnonzero(number == i) for i in range(len(_SIZE_CLASSES_VOX) + 1)]

    def lesion(self, number: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return one lesion: its box (x, y, z) bool, and the first voxel of the box."""
        shape = self.shapes[number].astype(int)
        packed = self.packed[self.offsets[number] : self.offsets[number + 1]]
        voxels = np.unpackbits(packed, count=int(np.prod(shape))).astype(bool)
        return voxels.reshape(shape), self.corners[number].astype(np.int64)


def load_shapes(folder: Path) -> ShapeLibrary:
    """Read `ms_lesion_shapes.npz` of a folder.

    Raises
    ------
    FileNotFoundError
        If it is not there.

    """
    path = folder / 'ms_lesion_shapes.npz'
    if not path.is_file():
        msg = f'{folder}: no file {path.name}, the library of single lesions'
        raise FileNotFoundError(msg)
    with np.load(path, allow_pickle=False) as arrays:
        names = ('corner', 'shape', 'offset', 'bits', 'voxels')
        return ShapeLibrary(*(arrays[name] for name in names))
