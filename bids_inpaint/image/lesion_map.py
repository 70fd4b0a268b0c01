"""Find lesions in what a network changed."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SURE_PROBABILITY = 0.9
"""Of the template, above which a voxel's tissue is taken for granted."""
# Voxels that touch by a face, an edge or a corner belong to one lesion.
_CONNECTIVITY = ndimage.generate_binary_structure(3, 3)


def white_matter_of(
    inpainted: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    grey_probability: NDArray[np.float32],
    white_probability: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Find the white matter of an inpainted volume.

    Parameters
    ----------
    inpainted : (X, Y, Z) float32
        Lesion-free T1w on the template grid; lesions are as bright as white matter in it.
    brain_mask : (X, Y, Z) bool
        Where to look.
    grey_probability, white_probability : (X, Y, Z) float32
        Of the template. They tell how bright the tissues of this brain are, where they are sure.

    Returns
    -------
    (X, Y, Z) bool
        Voxels brighter than half way between the medians of grey and white matter.

    Raises
    ------
    ValueError
        If the brain mask lies where the template is not sure of these tissues.

    """
    grey, white = (
        tissue_median(inpainted, brain_mask, probability)
        for probability in (grey_probability, white_probability)
    )
    return brain_mask & (inpainted > (grey + white) / 2)


def tissue_median(
    t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_], probability: NDArray[np.float32]
) -> float:
    """Median of the voxels (X, Y, Z) of a brain where the template is sure of a tissue.

    Raises
    ------
    ValueError
        If there is no such voxel.

    """
    sure = brain_mask & (probability > SURE_PROBABILITY)
    if not sure.any():
        msg = f'no voxel of sure tissue in a brain mask of {brain_mask.sum()} voxels'
        raise ValueError(msg)
    return float(np.median(t1w[sure]))


def map_lesions(
    difference: NDArray[np.float32],
    white_matter: NDArray[np.bool_],
    *,
    threshold: float,
    min_size_vox: float,
) -> NDArray[np.bool_]:
    """Find lesions: large absolute differences in white matter, without small specks.

    Parameters
    ----------
    difference : (X, Y, Z) float32
        Inpainted minus given volume, in units of the mean of the brain.
    white_matter : (X, Y, Z) bool
        Of the inpainted volume.
    threshold : float
        In the units of `difference`.
    min_size_vox : float
        Lesions of fewer voxels are left out.

    """
    labels, _ = label_lesions((np.abs(difference) > threshold) & white_matter)
    large = np.bincount(labels.ravel()) >= min_size_vox
    large[0] = False
    return np.asarray(large[labels])


def label_lesions(lesion_mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label connected lesions from 1, (X, Y, Z) int32, 0 outside them; and count them."""
    labels, number = ndimage.label(lesion_mask, _CONNECTIVITY)
    return np.asarray(labels, dtype=np.int32), int(number)


def count_lesions(lesion_mask: NDArray[np.bool_]) -> int:
    """Count connected lesions."""
    return label_lesions(lesion_mask)[1]
