"""How close an inpainted volume is to the truth: one function per metric."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.volume import box_around

_PEAK_PERCENTILE = 99.9
_SSIM_K = (0.01, 0.03)
_SSIM_SIGMA_VOX = 1.5
# Beyond this the window of the structural similarity is zero.
_SSIM_REACH_VOX = 6


def psnr(
    truth: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    peak: Literal['p99.9', 'max'] = 'p99.9',
) -> float:
    """Peak signal-to-noise ratio over the whole volume, in dB.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) float32
        In the same units.
    peak : {'p99.9', 'max'}
        The 99.9th percentile of the truth, which a single bright voxel does not move, or its
        maximum.

    Returns
    -------
    float
        Infinite if nothing differs.

    """
    difference = truth.astype(np.float64) - predicted
    mean_square = float(np.mean(difference**2))
    if mean_square == 0:
        return float('inf')
    return float(10 * np.log10(peak_of(truth, peak) ** 2 / mean_square))


def peak_of(truth: NDArray[np.floating], peak: Literal['p99.9', 'max'] = 'p99.9') -> float:
    """Return the peak for `psnr`."""
    return float(truth.max() if peak == 'max' else np.percentile(truth, _PEAK_PERCENTILE))


def correlation(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Pearson correlation over the whole volume."""
    return float(np.corrcoef(truth.ravel().astype(np.float64), predicted.ravel())[0, 1])


def dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Dice overlap of two masks; 1 if both are empty, as they agree."""
    total = int(truth.sum()) + int(predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else 1.0


def lesion_error(
    truth: NDArray[np.floating],
    predicted: NDArray[np.floating],
    lesioned: NDArray[np.floating],
    lesion_mask: NDArray[np.bool_],
) -> float:
    """Error left in lesions, relative to that of doing nothing.

    Parameters
    ----------
    truth, predicted, lesioned : (X, Y, Z) float32
        Lesion-free, inpainted and given volume.
    lesion_mask : (X, Y, Z) bool
        Voxels to count.

    Returns
    -------
    float
        Sum of absolute differences to the truth, divided by that of `lesioned`: 0 is perfect, 1 is
        doing nothing.

    Raises
    ------
    ValueError
        If the lesions do not differ from the truth.

    """
    inside = truth[lesion_mask].astype(np.float64)
    before = np.abs(lesioned[lesion_mask] - inside).sum()
    if before == 0:
        msg = f'no difference to the truth in the {lesion_mask.sum()} voxels of the lesion mask'
        raise ValueError(msg)
    return float(np.abs(predicted[lesion_mask] - inside).sum() / before)


def ssim(
    truth: NDArray[np.floating], predicted: NDArray[np.floating], mask: NDArray[np.bool_]
) -> float:
    """Mean structural similarity in a mask; NaN if the mask is empty.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) float32
        In the same units.
    mask : (X, Y, Z) bool
        Voxels of the mean.

    References
    ----------
    Wang Z. et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Trans. Image Process. 2004, 13(4):600-612, equation 13, with its constants and a Gaussian
    window of 1.5 voxels.

    """
    if not mask.any():
        return float('nan')
    box = box_around(mask, margin=_SSIM_REACH_VOX)
    x, y = truth[box].astype(np.float64), predicted[box].astype(np.float64)
    stabilisers = [(k * peak_of(truth)) ** 2 for k in _SSIM_K]

    def smooth(volume: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(volume, _SSIM_SIGMA_VOX, truncate=3.5))

    mean_x, mean_y = smooth(x), smooth(y)
    products = 2 * mean_x * mean_y + stabilisers[0]
    covariance = 2 * (smooth(x * y) - mean_x * mean_y) + stabilisers[1]
    squares = mean_x**2 + mean_y**2 + stabilisers[0]
    variances = smooth(x**2) - mean_x**2 + smooth(y**2) - mean_y**2 + stabilisers[1]
    return float((products * covariance / (squares * variances))[mask[box]].mean())
