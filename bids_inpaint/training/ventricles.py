"""Ventricles of training brains: where they are, and wider ones."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.fluid import ventricles_of
from bids_inpaint.image.template import load_template
from bids_inpaint.training.augment import AugmentConfig
from bids_inpaint.training.fields import smooth_field

# Darker than this share of white matter is fluid.
_FLUID_BELOW = 0.5
# Of what is found, the brighter part is half tissue.
_FLUID_PERCENTILE = 20
_VARY_VOX = 8
_FEATURE_VOX = 24


def find_ventricles(
    t1w: NDArray[np.float32], box: tuple[slice, slice, slice], white_matter_mean: float
) -> NDArray[np.bool_]:
    """Find the fluid of ventricles in a box (X, Y, Z) of a brain on the template grid."""
    return is_fluid(t1w, white_matter_mean) & _near_ventricles()[box]


def is_fluid(t1w: NDArray[np.float32], white_matter_mean: float) -> NDArray[np.bool_]:
    """Tell the voxels of a brain that are dark as fluid is."""
    return np.asarray((t1w > 0) & (t1w < _FLUID_BELOW * white_matter_mean))


def widen(
    t1w: NDArray[np.float32],
    ventricles: NDArray[np.bool_],
    rng: np.random.Generator,
    config: AugmentConfig,
) -> NDArray[np.float32]:
    """Let the ventricles of a brain reach further, by a width that varies over 2 cm.

    Those who train are young; ventricles of patients are wider, and no lesions. The brain around
    is not pushed away but taken off, which costs less, and is as good an anatomy to learn from.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        A healthy brain, zero outside it.
    ventricles : (X, Y, Z) bool
        As `find_ventricles` finds them; nothing is done where there are none.
    rng : numpy.random.Generator
        Draws the width, and whether there is a change at all.
    config : AugmentConfig
        How often, and by how much; where the width is drawn below zero nothing changes.

    """
    if not config.widen_probability or rng.random() >= config.widen_probability:
        return t1w
    if not ventricles.any():
        return t1w
    coarse = rng.uniform(*config.widen_vox, [n // _FEATURE_VOX + 2 for n in t1w.shape])
    width = np.maximum(smooth_field(coarse, t1w.shape), 0)
    distance = ndimage.distance_transform_edt(~ventricles)
    # Within the ventricle the old border and the plexus go too, where it is widened.
    share = np.clip(width - distance + 1, 0, 1) * (width > 0) * (t1w > 0)
    fluid = np.float32(np.percentile(t1w[ventricles], _FLUID_PERCENTILE))
    widened = t1w + share * np.minimum(fluid - t1w, 0)
    return np.asarray(widened, dtype=np.float32)


@cache
def _near_ventricles() -> NDArray[np.bool_]:
    """Where ventricles are in most brains on the template grid, (X, Y, Z)."""
    ventricles = ventricles_of(load_template())
    return np.asarray(ndimage.binary_dilation(ventricles, iterations=_VARY_VOX))
