"""How close an inpainted volume is to the truth: one function per metric."""

import numpy as np
from numpy.typing import NDArray

_PEAK_PERCENTILE = 99.9


def psnr(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio over the whole volume, in dB.

    Parameters
    ----------
    truth, predicted : (X, Y, Z) float32
        In the same units.

    Returns
    -------
    float
        The peak is the 99.9th percentile of the truth, which a single bright voxel does not
        move; infinite if nothing differs.

    """
    difference = truth.astype(np.float64) - predicted
    mean_square = float(np.mean(difference**2))
    if mean_square == 0:
        return float('inf')
    peak = float(np.percentile(truth, _PEAK_PERCENTILE))
    return float(10 * np.log10(peak**2 / mean_square))


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
    """Error that is left in lesions, as a share of that of doing nothing.

    Parameters
    ----------
    truth, predicted, lesioned : (X, Y, Z) float32
        Lesion-free, inpainted and given volume.
    lesion_mask : (X, Y, Z) bool
        Voxels to count.

    Returns
    -------
    float
        Sum of absolute differences to the truth over the same sum for `lesioned`: 0 is perfect,
        1 as good as doing nothing.

    Raises
    ------
    ValueError
        If the lesions differ nowhere from the truth: the share has no meaning.

    """
    inside = truth[lesion_mask].astype(np.float64)
    before = np.abs(lesioned[lesion_mask] - inside).sum()
    if before == 0:
        msg = f'no difference to the truth in the {lesion_mask.sum()} voxels of the lesion mask'
        raise ValueError(msg)
    return float(np.abs(predicted[lesion_mask] - inside).sum() / before)
