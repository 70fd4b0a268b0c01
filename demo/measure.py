"""What the app changed in one participant of the demo, measured on the grid of the T1w image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.bids.names import ending
from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.metrics import lesion_error
from bids_inpaint.image.volume import Volume, load
from demo.contrast import find_lesions, mean_contrast, white_matter

STRONG_CHANGE = 0.1
"""Of the mean of the brain."""
EXPERT_MARGIN_VOX = 2
"""Precision of borders drawn by experts."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was changed in one participant.

    Attributes
    ----------
    lesion_ml : float
        Volume of the known lesions.
    changed_ml, strong_ml : float
        Volume of the voxels that differ; of those that differ by more than `STRONG_CHANGE`.
    outside_ml, outside_strong_ml : float
        The same outside the lesions, of a patient further than `EXPERT_MARGIN_VOX` from them.
    contrast : (float, float), optional
        Of the lesions drawn by experts, before and after; in the units of the image.
    error_left : float, optional
        Share of the error in lesions: 1 is doing nothing, 0 is the truth.

    """

    lesion_ml: float
    changed_ml: float
    strong_ml: float
    outside_ml: float
    outside_strong_ml: float
    contrast: tuple[float, float] | None = None
    error_left: float | None = None


def volumes_changed(
    difference: NDArray[np.float32],
    lesion_mask: NDArray[np.bool_],
    *,
    zooms_mm: Sequence[float],
    margin_vox: int = 0,
) -> Change:
    """Measure how much of an image was changed, and where.

    Parameters
    ----------
    difference : (X, Y, Z) float32
        What was added, in units of the mean of the brain; 0 where nothing was. The smallest of it
        may be lost in an image of integers.
    lesion_mask : (X, Y, Z) bool
        Known lesions.
    zooms_mm : (3,) float
        Edge lengths of a voxel.
    margin_vox : int
        How far around lesions a change does not count as outside of them.

    """
    changed = difference != 0
    strong = np.abs(difference) > STRONG_CHANGE
    outside = ~lesion_mask
    if margin_vox:
        outside = ~ndimage.binary_dilation(lesion_mask, iterations=margin_vox)

    def volume_ml(mask: NDArray[np.bool_]) -> float:
        return float(mask.sum() * np.prod(zooms_mm) / 1000)

    return Change(
        lesion_ml=volume_ml(lesion_mask),
        changed_ml=volume_ml(changed),
        strong_ml=volume_ml(strong),
        outside_ml=volume_ml(changed & outside),
        outside_strong_ml=volume_ml(strong & outside),
    )


def find_one(folder: Path, pattern: str) -> Path:
    """Only file of a folder that matches a pattern.

    Raises
    ------
    FileNotFoundError
        If there is none, or more than one.

    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        msg = f'{folder} has {len(found)} files {pattern}, not one; was the demo built?'
        raise FileNotFoundError(msg)
    return found[0]


def measure_contrast(
    given: Volume, inpainted: Volume, lesion_mask: NDArray[np.bool_], stem: Path
) -> tuple[float, float]:
    """Contrast of lesions before and after; derivatives are found by `stem`, their common path."""
    brain_mask = load(find_one(stem.parent, f'{stem.name}_desc-brain_mask.nii*')).data > 0
    xfm_file = Path(f'{stem}{ending("anat2std_xfm")}')
    white = white_matter(given, brain_mask, read_xfm(xfm_file, back=True))
    zooms = nb.affines.voxel_sizes(given.affine)
    lesions = list(find_lesions(lesion_mask, white, zooms))
    return mean_contrast(lesions, given.data), mean_contrast(lesions, inpainted.data)


def measure_participant(product: Path, bids: Path, truth: Path, group: str) -> Change:
    """Measure what was changed in one participant of the demo.

    Parameters
    ----------
    product : Path
        The inpainted image on the grid of the T1w image, among the other derivatives.
    bids, truth : Path
        The demo dataset, and its truth.
    group : {'patient', 'healthy', 'simulated'}
        Determines the reference.

    """
    sub = product.name.split('_')[0]
    stem, known = product.parent / sub, truth / sub / 'anat'
    given = load(find_one(bids / sub / 'anat', f'{sub}_T1w.nii*'))
    inpainted = load(product)
    lesion_mask = np.zeros(given.data.shape, bool)
    if group != 'healthy':
        lesion_mask = load(find_one(known, f'{sub}_label-lesion_mask.nii*')).data > 0
    change = volumes_changed(
        load(find_one(stem.parent, f'{sub}_desc-difference_T1w.nii*')).data,
        lesion_mask,
        zooms_mm=nb.affines.voxel_sizes(given.affine),
        margin_vox=EXPERT_MARGIN_VOX if group == 'patient' else 0,
    )
    if group == 'patient':
        return replace(change, contrast=measure_contrast(given, inpainted, lesion_mask, stem))
    if group == 'simulated':
        lesion_free = load(find_one(known, f'{sub}_desc-lesionfree_T1w.nii*')).data
        error = lesion_error(lesion_free, inpainted.data, given.data, lesion_mask)
        return replace(change, error_left=error)
    return change
