"""Remove noise from a T1w volume."""

import numpy as np
from ants import denoise_image
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import from_ants, to_ants, unit_for_ants
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume, box_around

# Patches and neighbourhoods reach this far from a voxel. A neighbourhood of 2, the default of
# antspyx, takes three times as long, and removes 5 % more noise (docs/benchmarks.md).
_PATCH_RADIUS_VOX = 1
_SEARCH_RADIUS_VOX = 1
# Denoising extends this far beyond the brain of the template, to allow for an imperfect affine.
_MARGIN_VOX = 4


def around_brain(
    t1w: Volume, std2anat_xfm: NDArray[np.float64], brain_mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find the voxels to denoise: in and around the brain.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, native grid.
    std2anat_xfm : (4, 4) float64
        Maps template RAS mm to T1w RAS mm.
    brain_mask : bool
        Of the template, on its grid.

    Returns
    -------
    (X, Y, Z) bool
        On the native grid, without voxels that brain extraction or the scanner set to zero, which
        have no noise.

    """
    grown = ndimage.binary_dilation(brain_mask, iterations=_MARGIN_VOX).astype(np.float32)
    native = Grid(t1w.data.shape, t1w.affine)
    near = resample(Volume(grown, template.AFFINE), native, std2anat_xfm) > 0.5
    return np.asarray(near & (t1w.data != 0))


def denoise(t1w: Volume, mask: NDArray[np.bool_]) -> Volume:
    """Remove Rician noise by adaptive non-local means.

    Parameters
    ----------
    t1w : Volume
        (X, Y, Z) float32, native grid, scanner units.
    mask : (X, Y, Z) bool
        Where to denoise. The filter is the slowest step, so only the box around the mask is
        filtered; most voxels of a head are air, neck and face.

    Returns
    -------
    Volume
        The same grid and units; voxels outside `mask` are unchanged.

    References
    ----------
    Manjon J.V. et al., "Adaptive non-local means denoising of MR images with spatially varying
    noise levels", J. Magn. Reson. Imaging 2010, 31(1):192-203.

    """
    box = box_around(mask, margin=_PATCH_RADIUS_VOX + _SEARCH_RADIUS_VOX)
    unit = unit_for_ants(t1w.data[mask])
    cleaned = from_ants(
        denoise_image(
            to_ants(t1w.data[box] / unit, t1w.affine),
            mask=to_ants(mask[box], t1w.affine),
            p=_PATCH_RADIUS_VOX,
            r=_SEARCH_RADIUS_VOX,
            noise_model='Rician',
        )
    ).data
    out = t1w.data.copy()
    out[box] = np.where(mask[box], cleaned * unit, out[box])
    return Volume(out, t1w.affine)
