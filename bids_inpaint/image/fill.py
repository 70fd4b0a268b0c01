"""Fill a lesion mask on the grid of a T1w image from a volume on the template grid.

A voxel of the mask gets the predicted intensity with the noise of the source, and nothing of the
lesion; voxels outside the mask are not changed.
"""

from itertools import product
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.volume import Volume

# A voxel of the template grid is hidden from the network if this share of it, by linear
# interpolation, is lesion: a visible dark rim would be continued into the hole.
_LEAST_SHARE = 0.1
# Lesions are in the brain: up to this distance, in voxels of 1 mm, the brain mask is in error.
_REACH_VOX = 3
# Sum of the weights of linear interpolation, up to rounding, if all its voxels were filled.
_WHOLE = 0.999


def hidden_region(
    lesions: Volume, onto: Grid, anat2std_xfm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Find the voxels of the template grid from which a lesion mask is filled.

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
        All voxels to which lesions contribute, and all that linear interpolation at any voxel of
        the mask reads, whatever the voxel size, so that none is filled in part.

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
    """Add to a brain mask the part of a lesion mask at its edge; both (X, Y, Z)."""
    near = ndimage.binary_dilation(brain_mask, iterations=_REACH_VOX)
    return np.asarray(brain_mask | (region & near))


class Filled(NamedTuple):
    """Filling of a T1w image, each (X, Y, Z) on its grid.

    `change` is to be added, float32 in the units of the T1w, 0 where nothing is filled; `changed`
    is bool: the mask without voxels outside the brain, which the network did not predict.
    `difference` is the change in units of the mean of the brain, float32.
    """

    change: NDArray[np.float32]
    changed: NDArray[np.bool_]
    difference: NDArray[np.float32]


def change_to_fill(
    inpainted: Volume,
    weights: NDArray[np.float32],
    scale: NDArray[np.float32],
    denoised: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    onto: Grid,
    std2anat_xfm: NDArray[np.float64],
) -> Filled:
    """Compute the change that fills the lesions of a T1w image.

    Parameters
    ----------
    inpainted : Volume
        The filled volume on the template grid, in units of the mean of the brain.
    weights, scale : float32
        On the template grid: 1 where it was filled, and the factor to the units of the T1w.
    denoised : (X, Y, Z) float32
        T1w without noise, on its grid: its difference to the T1w is the noise to keep.
    mask : (X, Y, Z) bool
        What to fill, on the same grid.
    onto : Grid
        That grid.
    std2anat_xfm : (4, 4) float64
        Maps template RAS mm to T1w RAS mm.

    """
    filled, share, unit = (
        resample(Volume(data, inpainted.affine), onto, std2anat_xfm)
        for data in (inpainted.data * scale, weights, scale)
    )
    changed = mask & (share > _WHOLE)
    change = np.where(changed, filled - denoised, np.float32(0))
    difference = np.divide(change, unit, out=np.zeros_like(change), where=changed)
    return Filled(change, changed, difference)
