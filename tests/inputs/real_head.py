"""The made-up head of the demo, with lesions, at any place of an image drawn at random."""

from functools import cache

import numpy as np
from drawn import MIDDLE_MM, VALUES_TOP
from numpy.typing import NDArray
from scipy import ndimage

from demo.heads.participants import WITH_LESIONS
from demo.heads.scan import Scan, scan_heads


@cache
def _scan() -> Scan:
    """The head as scanned, on a grid of its own."""
    ((_, scan),) = scan_heads([WITH_LESIONS])
    return scan


@cache
def _values() -> NDArray[np.float32]:
    """Its voxels, from 0 to `VALUES_TOP`."""
    stored = _scan().t1w
    values = stored.data.astype(np.float32) * stored.slope + stored.intercept
    return np.asarray(np.clip(values * (VALUES_TOP / np.percentile(values, 99.9)), 0, VALUES_TOP))


def brightness(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness at places of an image; see `drawn.Head`."""
    return _sampled(_values(), points)


def lesion_share(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of lesion at places of an image."""
    return _sampled(_scan().lesion_share, points)


def lesion_volume_mm3() -> float:
    """Volume of what is more lesion than not."""
    scan = _scan()
    voxel_mm3 = abs(np.linalg.det(scan.grid.affine[:3, :3]))
    return float((scan.lesion_share > 0.5).sum() * voxel_mm3)


def _sampled(values: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sample a volume of the scan linearly; the middle of its grid lies at `MIDDLE_MM`."""
    affine = _scan().grid.affine
    middle = (np.array(values.shape) - 1) / 2
    voxels = (points - MIDDLE_MM) @ np.linalg.inv(affine[:3, :3]).T + middle
    return np.asarray(ndimage.map_coordinates(values, np.moveaxis(voxels, -1, 0), order=1))
