"""Fill a lesion mask of the grid of a T1w image by a volume of the template grid.

A voxel of the mask becomes what the network says of its place, with the noise of the source, and
nothing of the lesion is left in it; a voxel outside the mask is never touched.
"""

from itertools import product

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume

# A voxel of the template grid is hidden from the network if this share of it, by linear
# interpolation, is lesion: a dark rim would be continued into the hole.
_LEAST_SHARE = 0.1
# Lesions lie within the brain; so far beyond its mask, in voxels of 1 mm, the mask is what errs.
_REACH_VOX = 3
# Sum of the weights of linear interpolation, but for rounding, if all it reads was filled.
_WHOLE = 0.999


def hidden_region(
    lesions: Volume, onto: Grid, anat2std_xfm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the voxels of the template grid that a lesion mask is filled from.

    Parameters
    ----------
    lesions : Volume
        (X, Y, Z), not 0 in lesions; on the grid of the T1w.
    onto : Grid
        The template grid.
    anat2std_xfm : (4, 4) float64
        Maps T1w RAS mm to template RAS mm.

    Returns
    -------
    bool, of the shape of `onto`
        All that lesions contribute to, and all that linear interpolation at any voxel of the
        mask reads: none of these voxels is filled by halves, of whatever size voxels are.

    """
    region = resample(lesions, onto, anat2std_xfm) >= _LEAST_SHARE
    to_voxels = np.linalg.inv(onto.affine) @ anat2std_xfm @ lesions.affine
    places = nb.affines.apply_affine(to_voxels, np.argwhere(lesions.data))
    for corner in product((np.floor, np.ceil), repeat=3):
        near = np.stack([side(places[:, axis]) for axis, side in enumerate(corner)], axis=-1)
        inside = ((near >= 0) & (near < onto.shape)).all(axis=-1)
        region[tuple(near[inside].astype(int).T)] = True
    return region


def brain_with_lesions(
    brain_mask: NDArray[np.bool_], region: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Add to a brain mask what of a lesion mask lies at its edge; both (X, Y, Z)."""
    near = ndimage.binary_dilation(brain_mask, iterations=_REACH_VOX)
    return np.asarray(brain_mask | (region & near))


def change_to_fill(
    filled: NDArray[np.float32],
    filled_share: NDArray[np.float32],
    denoised: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Compute what is to be added to a T1w image so that its lesions are filled.

    Parameters
    ----------
    filled : (X, Y, Z) float32
        The filled volume on the grid of the T1w, in its units.
    filled_share : (X, Y, Z) float32
        Sum of the weights of the filled voxels that `filled` was interpolated from.
    denoised : (X, Y, Z) float32
        T1w without noise, on its own grid, so that the noise stays and the lesion does not.
    mask : (X, Y, Z) bool
        What to fill, on the same grid.

    Returns
    -------
    change : (X, Y, Z) float32
        In the units of the T1w; 0 where nothing is filled.
    changed : (X, Y, Z) bool
        The mask, less what the network was not asked for, as it is outside the brain.

    """
    changed = mask & (filled_share > _WHOLE)
    return np.where(changed, filled - denoised, np.float32(0)), changed
