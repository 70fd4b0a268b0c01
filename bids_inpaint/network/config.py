"""The architecture as numbers, without Keras."""

from dataclasses import dataclass
from typing import Final, Literal

WHITE_MATTER: Final = 1.4
"""Intensity to which white matter is scaled for the non-blind network."""


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Every choice of the architecture.

    Attributes
    ----------
    filters : int
        Of the first level; doubled at each lower one.
    levels : int
        Resolutions of the U-Net, the first at half the resolution of the volume.
    reconstruction_filters : int
        Of the convolution at full resolution.
    head : {'direct', 'residual'}
        Whether the network predicts the image, as in the paper, or its change. The change starts
        at zero, so that copying a healthy brain need not be learnt.
    window_vox : int
        Side of the cubes at the end of training, and in use.
    hidden_base : float, optional
        For the non-blind network: intensity to which the residual head adds its change in hidden
        voxels (-1), that of white matter, the most frequent tissue there. With -1 instead, the
        network would have to learn a jump at every border of a mask.
    lesion_output : bool
        Whether it also predicts the probability of lesion, which decides whether a voxel is
        changed; the filling decides how much.

    """

    filters: int = 40
    levels: int = 4
    reconstruction_filters: int = 8
    head: Literal['direct', 'residual'] = 'residual'
    window_vox: int = 96
    hidden_base: float | None = None
    lesion_output: bool = False

    @property
    def multiple(self) -> int:
        """What X, Y and Z of the input must be divisible by."""
        return int(2**self.levels)
