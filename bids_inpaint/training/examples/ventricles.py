"""Ventricles of training brains: where they are, and wider ones."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.template import load_template
from bids_inpaint.image.ventricles import template_ventricles
from bids_inpaint.image.volume import box_around
from bids_inpaint.training.examples.anatomy import Anatomy
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.fields import smooth_field

# Darker than this share of white matter is fluid.
_FLUID_BELOW = 0.5
# Of what is found, the brighter part is half tissue.
_FLUID_PERCENTILE = 20
# A voxel with more fluid than this is no white matter.
_ANY_FLUID = 0.1
_VARY_VOX = 8
# Nothing that is drawn around ventricles reaches further.
_FAR_VOX = 31
_FEATURE_VOX = 24


def distance_from_ventricles(
    t1w: NDArray[np.float32], white_matter_mean: float
) -> NDArray[np.float16]:
    """Find the fluid of the ventricles of a brain on the template grid.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        A whole brain, zero outside it.
    white_matter_mean : float
        Of this brain.

    Returns
    -------
    (X, Y, Z) float16
        Distance from that fluid in voxels, 0 inside; infinite far from it.

    """
    fluid = is_fluid(t1w, white_matter_mean) & _near_ventricles()
    distance = np.full(t1w.shape, np.inf, np.float16)
    if fluid.any():
        box = box_around(fluid, margin=_FAR_VOX)
        distance[box] = ndimage.distance_transform_edt(~fluid[box])
    return distance


def is_fluid(t1w: NDArray[np.float32], white_matter_mean: float) -> NDArray[np.bool_]:
    """Find the voxels of a brain that are as dark as CSF."""
    return np.asarray((t1w > 0) & (t1w < _FLUID_BELOW * white_matter_mean))


def widen(anatomy: Anatomy, rng: np.random.Generator, config: AugmentConfig) -> Anatomy:
    """Let the ventricles of a brain reach further, by a width that varies over 2 cm.

    Those who train are young; ventricles of patients are wider, and no lesions. The brain around
    is not pushed away but taken off, which costs less, and is as good an anatomy to learn from.

    Parameters
    ----------
    anatomy : Anatomy
        A healthy brain; nothing is done where there are no ventricles.
    rng : numpy.random.Generator
        Draws the width, and whether there is a change at all.
    config : AugmentConfig
        How often, and by how much; where the width is drawn below zero nothing changes.

    """
    if not config.widen_probability or rng.random() >= config.widen_probability:
        return anatomy
    t1w, distance = anatomy.t1w, anatomy.ventricle_vox
    ventricles = (distance == 0) & (t1w > 0)
    if not ventricles.any():
        return anatomy
    coarse = rng.uniform(*config.widen_vox, [n // _FEATURE_VOX + 2 for n in t1w.shape])
    width = np.maximum(smooth_field(coarse, t1w.shape), 0)
    # Within the ventricle the old border and the plexus go too, where it is widened.
    share = np.clip(width - distance + 1, 0, 1) * (width > 0) * (t1w > 0)
    fluid = np.float32(np.percentile(t1w[ventricles], _FLUID_PERCENTILE))
    widened = t1w + share.astype(np.float32) * np.minimum(fluid - t1w, 0)
    return anatomy._replace(
        t1w=widened,
        white_matter=anatomy.white_matter & (share < _ANY_FLUID),
        ventricle_vox=np.maximum(distance - width, 0),
    )


@cache
def _near_ventricles() -> NDArray[np.bool_]:
    """Where ventricles are in most brains on the template grid, (X, Y, Z)."""
    ventricles = template_ventricles(load_template())
    return np.asarray(ndimage.binary_dilation(ventricles, iterations=_VARY_VOX))
