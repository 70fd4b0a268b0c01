"""Cache of results on disk, to resume tables and share slow results between them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.files import replacing

_PACKAGE = Path(__file__).parents[1]


def digest(*parts: Any) -> str:
    """Hash of arrays, by their voxels, and of anything else, by how it is written."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f'{part.dtype}{part.shape}'.encode())
            found.update(np.ascontiguousarray(part).tobytes())
        else:
            found.update(repr(part).encode())
        found.update(b'\0')
    return found.hexdigest()


def code_digest(*names: str) -> str:
    """Hash of modules or areas of this package: a change makes cached results of them invalid.

    Raises
    ------
    FileNotFoundError
        If there is no such module.

    """
    files = [
        path
        for name in names
        for path in (sorted((_PACKAGE / name).rglob('*.py')) or [_PACKAGE / f'{name}.py'])
    ]
    return digest(*(path.read_bytes() for path in files))


class Memory:
    """A folder of arrays, each under the hash of its inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def array(self, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Read the array that was made under this key, or make and keep it."""
        path = self.folder / f'{key}.npz'
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays['made'])
        made = make()
        with replacing(path) as temporary:
            np.savez_compressed(temporary, made=made)
        return made
