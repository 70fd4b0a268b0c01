"""Intensities of tissues, where the template is certain of them."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

SURE_PROBABILITY = 0.9
"""Probability in the template above which the tissue of a voxel is certain."""


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
        Lesion-free T1w on the template grid, in which lesions are as bright as white matter.
    brain_mask : (X, Y, Z) bool
        Where to look.
    grey_probability, white_probability : (X, Y, Z) float32
        Of the template. Tissue intensities of this brain are measured where they are certain.

    Returns
    -------
    (X, Y, Z) bool
        Voxels brighter than half way between the medians of grey and white matter.

    Raises
    ------
    ValueError
        If the brain mask has no voxel with certain tissue.

    """
    sure = certain_tissues(inpainted, brain_mask, grey_probability, white_probability)
    grey, white = map(np.median, sure)
    return brain_mask & (inpainted > (grey + white) / 2)


def certain_tissues(
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    grey_probability: NDArray[np.float32],
    white_probability: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values of grey and of white matter, where the template is certain of them.

    Arguments and errors are those of `white_matter_of`, `t1w` being any volume.
    """
    grey, white = (_sure(t1w, brain_mask, p) for p in (grey_probability, white_probability))
    return grey, white


def tissue_contrast(grey: NDArray[np.float32], white: NDArray[np.float32]) -> float:
    """Median of white matter less that of grey matter; values as of `certain_tissues`."""
    return float(np.median(white)) - float(np.median(grey))


def joint_variation(grey: NDArray[np.float32], white: NDArray[np.float32]) -> float:
    """Coefficient of joint variation: spread of both tissues, as a share of their difference.

    It rises with noise, motion and fields that N4 left. Spreads are median absolute deviations,
    scaled to standard deviations of normal values. Values are as of `certain_tissues`; infinite
    without contrast.

    Source: Ganzetti et al. 2016, doi:10.3389/fninf.2016.00010, with robust spreads.
    """
    spread = sum(float(stats.median_abs_deviation(v, scale='normal')) for v in (grey, white))
    difference = abs(tissue_contrast(grey, white))
    return spread / difference if difference else math.inf


def tissue_median(
    t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_], probability: NDArray[np.float32]
) -> float:
    """Median of the voxels (X, Y, Z) of a brain where the template is certain of a tissue.

    Raises
    ------
    ValueError
        If there is no such voxel.

    """
    return float(np.median(_sure(t1w, brain_mask, probability)))


def _sure(
    t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_], probability: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values where the template is certain of a tissue."""
    sure = brain_mask & (probability > SURE_PROBABILITY)
    if not sure.any():
        msg = f'no voxel of certain tissue in a brain mask of {brain_mask.sum()} voxels'
        raise ValueError(msg)
    return t1w[sure]
