"""Numbers that tell whether an inpainted image may be trusted, and their limits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image import template
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.volume import Volume

# Outside the changed voxels nothing may change; and what is left to the template and back, which
# only blurs, must not beat it by more than this (limits of the DKT connectome pipeline, step 1.1).
MIN_OUTSIDE_CORRELATION = 0.995
MAX_CORRELATION_DROP = 0.01
# The largest lesion loads in multiple sclerosis are about 100 ml; a tenth of the brain is more
# than the network was made for.
MAX_CHANGE_MM3 = 150_000.0
# Healthy heads have at most 0.0001, the demo's 0.0023. Of nine images of patients five have up to
# 0.0086, four 0.015 to 0.073; two of these were looked at, and a horn is filled in part.
MAX_VENTRICLE_CHANGE = 0.01
# Masks err at the surface of the brain by some voxels; by more, it is not of this image.
MAX_UNFILLED_SHARE = 0.1


def volume_mm3(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> float:
    """Volume of a mask in mm3; `affine` (4, 4) takes voxels to millimetres."""
    return float(mask.sum() * abs(np.linalg.det(affine[:3, :3])))


def correlation_within(
    first: NDArray[np.float32], second: NDArray[np.float32], mask: NDArray[np.bool_]
) -> float:
    """Pearson correlation of two volumes (X, Y, Z) in a mask; NaN if one of them is constant."""
    a, b = first[mask].astype(np.float64), second[mask].astype(np.float64)
    if a.size < 2 or a.std() == 0 or b.std() == 0:
        return float('nan')
    return float(np.corrcoef(a, b)[0, 1])


def there_and_back(t1w: Volume, anat2std_xfm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map a T1w to the template grid and back, as the control of what interpolation alone does.

    Parameters
    ----------
    t1w : Volume
        Native grid.
    anat2std_xfm : (4, 4) float64
        Maps T1w RAS mm to template RAS mm.

    Returns
    -------
    (X, Y, Z) float32
        On the grid of `t1w`.

    """
    moved = resample(t1w, Grid(template.SHAPE, template.AFFINE), anat2std_xfm, order=3)
    native = Grid(t1w.data.shape, t1w.affine)
    return resample(Volume(moved, template.AFFINE), native, inverse(anat2std_xfm), order=3)


def change_problems(numbers: Mapping[str, float]) -> list[str]:
    """Say in a sentence each what is wrong with the numbers of one scan.

    Parameters
    ----------
    numbers : mapping
        With `outside_correlation`, `control_correlation` and `change_volume_mm3`; where it was
        measured, `ventricle_change`; of a lesion mask, `lesion_mask_volume_mm3` and
        `lesion_mask_unfilled_mm3`.

    """
    problems = []
    outside = numbers['outside_correlation']
    if not outside >= MIN_OUTSIDE_CORRELATION:
        problems.append(
            f'outside the changed voxels the image correlates with its source by {outside:.4f}, '
            f'less than {MIN_OUTSIDE_CORRELATION}'
        )
    drop = numbers['control_correlation'] - outside
    if not drop <= MAX_CORRELATION_DROP:
        problems.append(
            f'outside the changed voxels the correlation is {drop:.4f} below that of resampling '
            f'alone, more than {MAX_CORRELATION_DROP}'
        )
    changed = numbers['change_volume_mm3']
    if changed > MAX_CHANGE_MM3:
        problems.append(f'{changed:.0f} mm3 were changed, more than {MAX_CHANGE_MM3:.0f} mm3')
    ventricles = numbers.get('ventricle_change', 0.0)
    if ventricles > MAX_VENTRICLE_CHANGE:
        problems.append(
            f'the fluid of the ventricles was taken for lesion, by {ventricles:.3f} of the mean '
            f'of the brain, more than {MAX_VENTRICLE_CHANGE}: look at their borders'
        )
    unfilled = numbers.get('lesion_mask_unfilled_mm3', 0.0)
    if unfilled > MAX_UNFILLED_SHARE * numbers.get('lesion_mask_volume_mm3', np.inf):
        problems.append(
            f'{unfilled:.0f} mm3 of the lesion mask lie outside the brain, and were left as they '
            f'are'
        )
    return problems
