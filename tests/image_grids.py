"""Grids on which the tiny head is drawn: every orientation, isotropic and not."""

import nibabel as nb
import numpy as np

from bids_inpaint.image.resample import Grid

_COARSE = ((42, 48, 40), (4.0, 4.0, 4.0))
_FLAT = ((40, 68, 58), (4.5, 2.5, 3.0))
GRIDS = {
    'RAS': ('RAS', _COARSE),
    'LAS': ('LAS', _FLAT),
    'LPS': ('LPS', _COARSE),
    'PSR': ('PSR', _FLAT),
    'oblique': ('LAS', _FLAT),
}


def grid_of(name: str) -> Grid:
    """Grid around the middle of the head."""
    codes, (shape, zooms) = GRIDS[name]
    axes = np.zeros((3, 3))
    for column, (row, sign) in enumerate(nb.orientations.axcodes2ornt(codes)):
        axes[int(row), column] = sign
    if name == 'oblique':
        axes = nb.eulerangles.euler2mat(*np.deg2rad([14, -9, 12])) @ axes
    affine = np.eye(4)
    affine[:3, :3] = axes * zooms
    affine[:3, 3] = np.array([2.0, -18, 9]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)
