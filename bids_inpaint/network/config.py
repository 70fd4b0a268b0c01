"""The architecture as numbers, without Keras."""

from dataclasses import dataclass
from typing import Final, Literal

WHITE_MATTER: Final = 1.4
"""To this the non-blind network has the white matter of each brain scaled."""


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
        at zero, so that leaving a healthy brain alone needs not be learnt.
    window_vox : int
        Side of the cubes that it is trained on last, and applied to.
    hidden_base : float, optional
        For the non-blind network: what the residual head adds its change to where a voxel is
        hidden (-1). What lies there is white matter more often than not; to add to the
        mark of -1 instead, the network would have to learn a jump at every border of a mask.

    """

    filters: int = 40
    levels: int = 4
    reconstruction_filters: int = 8
    head: Literal['direct', 'residual'] = 'residual'
    window_vox: int = 96
    hidden_base: float | None = None

    @property
    def multiple(self) -> int:
        """What X, Y and Z of the input must be divisible by."""
        return int(2**self.levels)
