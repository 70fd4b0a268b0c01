"""Remove noise from a T1w volume."""

import numpy as np
from ants import denoise_image
from numpy.typing import NDArray

from bids_inpaint.image.ants_bridge import from_ants, to_ants
from bids_inpaint.image.volume import Volume

# Patches and neighbourhoods reach this far from a voxel (antspyx defaults p=1 and r=2).
_PATCH_RADIUS_VOX = 1
_SEARCH_RADIUS_VOX = 2


def denoise(t1w: Volume, mask: NDArray[np.bool_]) -> Volume:
    """Remove Rician noise by adaptive non-local means.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, native grid, scanner units.
    mask : (X, Y, Z) bool
        Where to denoise. The filter costs far more than all else and most voxels of a head are
        air, neck and face, so that only the box around the mask is given to it.

    Returns
    -------
    Volume
        The same grid and units; voxels outside `mask` as they were.

    References
    ----------
    Manjon J.V. et al., "Adaptive non-local means denoising of MR images with spatially varying
    noise levels", J. Magn. Reson. Imaging 2010, 31(1):192-203.

    """
    box = _box_around(mask, margin=_PATCH_RADIUS_VOX + _SEARCH_RADIUS_VOX)
    cleaned = from_ants(
        denoise_image(
            to_ants(t1w.data[box], t1w.affine),
            mask=to_ants(mask[box], t1w.affine),
            p=_PATCH_RADIUS_VOX,
            r=_SEARCH_RADIUS_VOX,
            noise_model='Rician',
        )
    ).data
    out = t1w.data.copy()
    out[box] = np.where(mask[box], cleaned, out[box])
    return Volume(out, t1w.affine)


def _box_around(mask: NDArray[np.bool_], *, margin: int) -> tuple[slice, ...]:
    """Slices of the smallest box that holds the mask, `margin` voxels wider on each side."""
    box = []
    for axis, size in enumerate(mask.shape):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        (inside,) = np.nonzero(mask.any(axis=others))
        if not inside.size:
            msg = f'mask of shape {mask.shape} has no voxel set'
            raise ValueError(msg)
        box.append(slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, size)))
    return tuple(box)
