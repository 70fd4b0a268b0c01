"""Layers that Keras lacks, written with `keras.ops` so that any backend runs them."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable('bids_inpaint')
class SpaceToDepth(keras.Layer):
    """Split a volume into the 8 sub-volumes of its even and odd voxels.

    (B, X, Y, Z, C) to (B, X/2, Y/2, Z/2, 8C); X, Y and Z must be even. No voxel is lost:
    `DepthToSpace` is the exact inverse.
    """

    def call(self, volumes: Any) -> Any:
        """Rearrange; see the class."""
        _, x, y, z, channels = ops.shape(volumes)
        split = ops.reshape(volumes, (-1, x // 2, 2, y // 2, 2, z // 2, 2, channels))
        moved = ops.transpose(split, (0, 1, 3, 5, 2, 4, 6, 7))
        return ops.reshape(moved, (-1, x // 2, y // 2, z // 2, 8 * channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Half of each spatial size, eight times the channels."""
        batch, *sizes, channels = input_shape
        return (batch, *(None if n is None else n // 2 for n in sizes), 8 * (channels or 0))


@keras.saving.register_keras_serializable('bids_inpaint')
class DepthToSpace(keras.Layer):
    """Undo `SpaceToDepth`: (B, X, Y, Z, 8C) to (B, 2X, 2Y, 2Z, C)."""

    def call(self, subvolumes: Any) -> Any:
        """Rearrange; see the class."""
        _, x, y, z, channels = ops.shape(subvolumes)
        split = ops.reshape(subvolumes, (-1, x, y, z, 2, 2, 2, channels // 8))
        moved = ops.transpose(split, (0, 1, 4, 2, 5, 3, 6, 7))
        return ops.reshape(moved, (-1, 2 * x, 2 * y, 2 * z, channels // 8))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Twice each spatial size, an eighth of the channels."""
        batch, *sizes, channels = input_shape
        return (batch, *(None if n is None else 2 * n for n in sizes), (channels or 0) // 8)


@keras.saving.register_keras_serializable('bids_inpaint')
class TrilinearUpSampling3D(keras.Layer):
    """Double each spatial size by linear interpolation; Keras has nearest neighbour only.

    (B, X, Y, Z, C) to (B, 2X, 2Y, 2Z, C). Voxels are areas (the corners of the grids coincide,
    not the centres of the first voxels), and the border is continued by its own value.
    """

    def call(self, volumes: Any) -> Any:
        """Interpolate along one axis after the other, each as a product with a matrix.

        Slices and their gradients took a third of a training step.
        """
        _, x, y, z, channels = ops.shape(volumes)
        lines = ops.reshape(volumes, (-1, x, y * z * channels))
        lines = ops.reshape(_double(lines, x), (-1, y, z * channels))
        lines = ops.reshape(_double(lines, y), (-1, z, channels))
        return ops.reshape(_double(lines, z), (-1, 2 * x, 2 * y, 2 * z, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Twice each spatial size."""
        batch, *sizes, channels = input_shape
        return (batch, *(None if n is None else 2 * n for n in sizes), channels)


def _double(lines: Any, size: Any) -> Any:
    """(N, size, C) to (N, 2 size, C): new centres lie 1/4 voxel before and after the old."""
    old = ops.arange(size, dtype='float32')
    new = ops.clip((ops.arange(2 * size, dtype='float32') - 0.5) / 2, 0, size - 1)
    weights = ops.maximum(1 - ops.abs(new[:, None] - old), 0)
    return ops.matmul(ops.cast(weights, lines.dtype), lines)
