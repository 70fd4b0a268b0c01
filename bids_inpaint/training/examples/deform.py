"""Deform volumes at random: an affine map, and a smooth displacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_inpaint.training.examples.fields import smooth_field

Kind = TypeVar('Kind', bound=np.generic)
_FEATURE_VOX = 16  # about the size of what a displacement moves together


@dataclass(frozen=True, kw_only=True)
class DeformConfig:
    """How far a deformation goes: drawn evenly, in voxels of 1 mm and in degrees.

    `mirror` is the probability that left and right are exchanged.
    """

    rotation_deg: float
    scale: tuple[float, float]
    mirror: float = 0.0
    shift_vox: float
    warp_vox: float


def draw_points(
    volume_shape: Sequence[int],
    corner: Sequence[int],
    shape: Sequence[int],
    rng: np.random.Generator,
    config: DeformConfig,
) -> NDArray[np.float32]:
    """Draw where in a volume the voxels of a box come from.

    Parameters
    ----------
    volume_shape : (3,) int
        Voxels of the volume; rotation and scale are about its centre.
    corner, shape : (3,) int
        First voxel of the box, and its voxels along each side.
    rng : numpy.random.Generator
        Draws rotation, scale, mirroring, shift and displacement.
    config : DeformConfig
        How far each of them goes.

    Returns
    -------
    (3, X, Y, Z) float32
        For each voxel of the box a place in the volume, in voxels.

    """
    angles = rng.uniform(-config.rotation_deg, config.rotation_deg, 3)
    linear = Rotation.from_euler('xyz', angles, degrees=True).as_matrix()
    linear /= rng.uniform(*config.scale)
    if rng.random() < config.mirror:
        linear = linear @ np.diag([-1.0, 1.0, 1.0])
    centre = (np.asarray(volume_shape) - 1) / 2
    start = np.asarray(corner) - centre + rng.uniform(-config.shift_vox, config.shift_vox, 3)
    axes = [np.arange(n, dtype=np.float32) + s for n, s in zip(shape, start, strict=True)]
    # Each row of the map as a sum of three vectors: the points are never held twice.
    points = _smooth_displacement(shape, rng, config.warp_vox)
    for row, place, offset in zip(linear.astype(np.float32), points, centre, strict=True):
        x, y, z = (r * axis for r, axis in zip(row, axes, strict=True))
        place += (x + np.float32(offset))[:, None, None] + y[:, None] + z
    return points


def sample(
    volume: NDArray[np.generic], points: NDArray[np.float32], *, order: int
) -> NDArray[np.float32]:
    """Take a volume at points (3, X, Y, Z), in voxels; zero beyond it, float32."""
    low = np.maximum(np.floor(points.reshape(3, -1).min(axis=1)).astype(int) - 1, 0)
    high = np.ceil(points.reshape(3, -1).max(axis=1)).astype(int) + 2
    box = volume[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))]
    shape = points.shape[1:]
    if not box.size:
        return np.zeros(shape, np.float32)
    kind = np.uint8 if order == 0 else np.float32
    places = points - low.astype(np.float32)[:, None, None, None]
    taken = ndimage.map_coordinates(box.astype(kind), places, order=order, prefilter=False)
    return np.asarray(taken, dtype=np.float32)


def nearest(volume: NDArray[Kind], points: NDArray[np.float32]) -> NDArray[Kind]:
    """Take the voxels next to points (3, X, Y, Z), in voxels; beyond the volume its outermost."""
    index = np.zeros(points.shape[1:], np.int32)
    for axis, size in enumerate(volume.shape):
        index *= size
        index += np.clip(np.rint(points[axis]), 0, size - 1).astype(np.int32)
    return volume.reshape(-1)[index]


def _smooth_displacement(
    shape: Sequence[int], rng: np.random.Generator, amplitude_vox: float
) -> NDArray[np.float32]:
    """Displacement (3, X, Y, Z), float32, in voxels."""
    coarse = rng.uniform(
        -amplitude_vox, amplitude_vox, (3, *(n // _FEATURE_VOX + 2 for n in shape))
    )
    return np.stack([smooth_field(c, shape) for c in coarse])
