"""Controls of an inpainted image: its source, and the source resampled there and back."""

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image import template
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.volume import Volume, box_around, cropped

_SPLINE_VOX = 12  # a voxel has next to no weight in cubic splines beyond
_EVERY = 2  # voxels of each axis: an eighth of the voxels has the same correlation, to 0.0001


def correlation_within(
    first: NDArray[np.float32], second: NDArray[np.float32], mask: NDArray[np.bool_]
) -> float:
    """Pearson correlation of two volumes (X, Y, Z) in a mask; NaN if one of them is constant."""
    a, b = first[mask].astype(np.float64), second[mask].astype(np.float64)
    if a.size < 2:
        return float('nan')
    for values in (a, b):
        values -= values.mean()
    # Less memory than np.corrcoef, whose matrix product depends on the number of threads too.
    spread = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / spread) if spread > 0 else float('nan')


def control_correlation(
    t1w: Volume, anat2std_xfm: NDArray[np.float64], mask: NDArray[np.bool_]
) -> float:
    """Correlate a T1w with itself after `there_and_back`, within a mask."""
    thin = (slice(None, None, _EVERY),) * 3
    back = there_and_back(t1w, anat2std_xfm, mask)
    return correlation_within(t1w.data[thin], back, mask[thin])


def there_and_back(
    t1w: Volume, anat2std_xfm: NDArray[np.float64], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Resample a T1w to the template grid and back, as a control of interpolation alone.

    Parameters
    ----------
    t1w : Volume
        Native grid.
    anat2std_xfm : (4, 4) float64
        Maps T1w RAS mm to template RAS mm.
    mask : (X, Y, Z) bool
        Of the brain, on the grid of `t1w`: what is outside its box is not needed.

    Returns
    -------
    (X, Y, Z) float32
        Every second voxel of each axis of `t1w`; zero outside the box.

    """
    thin = mask[::_EVERY, ::_EVERY, ::_EVERY]
    if not thin.any():
        return np.zeros(thin.shape, np.float32)
    near = cropped(t1w, box_around(mask, margin=_SPLINE_VOX))
    moved = resample(near, template.template_grid(), anat2std_xfm, order=3)
    onto = Grid(thin.shape, t1w.affine @ np.diag([_EVERY, _EVERY, _EVERY, 1.0]))
    back, box = inverse(anat2std_xfm), box_around(thin)
    return resample(Volume(moved, template.AFFINE), onto, back, order=3, within=box)
