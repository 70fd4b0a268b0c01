"""Healthy anatomy for simulated lesions, real or synthetic; and effects of age."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.examples.fields import smooth_field

_FEATURE_VOX = 20
# Brightness of the CSF in a perivascular space, relative to white matter.
_SPACE_FLUID = 0.4
_SPACE_STEP_VOX = 0.5


class Anatomy(NamedTuple):
    """A box of a healthy brain, each (X, Y, Z).

    `t1w` is float32, in units of the mean of the brain and zero outside it; `white_matter` is
    bool, where lesions may lie; `ventricle_vox` is the distance from the fluid of the ventricles,
    0 inside; `white_mean` is how bright white matter is, `grey_mean` grey matter.
    """

    t1w: NDArray[np.float32]
    white_matter: NDArray[np.bool_]
    ventricle_vox: NDArray[np.floating]
    white_mean: float
    grey_mean: float


@dataclass(frozen=True, kw_only=True)
class AgeConfig:
    """Features of older brains that are not lesions; they stay in the target.

    With `rim_probability` white matter is pale along the ventricles, the more the nearer, by a
    depth that varies along them: in shares of the contrast of white and grey matter, and over
    `rim_width_vox`. With `space_probability` there are perivascular spaces: thin lines of fluid,
    of which a voxel holds a part.
    """

    rim_probability: float = 0.0
    rim_width_vox: tuple[float, float] = (0.6, 4.0)
    rim_depth: tuple[float, float] = (0.1, 0.6)
    space_probability: float = 0.0
    spaces_per_box: tuple[int, int] = (1, 40)
    space_length_vox: tuple[float, float] = (3.0, 20.0)
    space_share: tuple[float, float] = (0.1, 0.5)


def grow_old(anatomy: Anatomy, rng: np.random.Generator, config: AgeConfig) -> Anatomy:
    """Draw pale rims around the ventricles, and perivascular spaces."""
    t1w = anatomy.t1w
    if config.rim_probability and rng.random() < config.rim_probability:
        t1w = t1w - _pale_rim(anatomy, rng, config)
    if config.space_probability and rng.random() < config.space_probability:
        t1w = _open_spaces(anatomy._replace(t1w=t1w), rng, config)
    return anatomy._replace(t1w=t1w)


def _pale_rim(
    anatomy: Anatomy, rng: np.random.Generator, config: AgeConfig
) -> NDArray[np.float32]:
    """How much darker white matter is along the ventricles."""
    contrast = max(anatomy.white_mean - anatomy.grey_mean, 0.0)
    width, depth = rng.uniform(*config.rim_width_vox), rng.uniform(*config.rim_depth)
    if width > 2:  # what is wide and dark is a lesion
        depth *= 2 / width
    coarse = rng.uniform(0.2, 1, [n // _FEATURE_VOX + 2 for n in anatomy.t1w.shape])
    share = np.exp(-anatomy.ventricle_vox.astype(np.float32) / np.float32(width))
    pale = share * smooth_field(coarse, anatomy.t1w.shape) * np.float32(depth * contrast)
    return np.where(anatomy.white_matter, pale, np.float32(0))


def _open_spaces(
    anatomy: Anatomy, rng: np.random.Generator, config: AgeConfig
) -> NDArray[np.float32]:
    """Darken thin lines that begin in white matter."""
    inside = np.flatnonzero(anatomy.white_matter)
    if not inside.size:
        return anatomy.t1w
    number = int(rng.integers(config.spaces_per_box[0], config.spaces_per_box[1] + 1))
    starts = np.stack(
        np.unravel_index(rng.choice(inside, number), anatomy.t1w.shape), axis=-1
    ).astype(float)
    directions = rng.standard_normal((number, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(*config.space_length_vox, number)
    steps = np.arange(0, config.space_length_vox[1], _SPACE_STEP_VOX)
    places = np.rint(starts[:, None] + directions[:, None] * steps[:, None]).astype(int)
    kept = (steps < lengths[:, None]) & (places >= 0).all(axis=-1)
    kept &= (places < anatomy.t1w.shape).all(axis=-1)
    shares = np.broadcast_to(rng.uniform(*config.space_share, (number, 1)), kept.shape)[kept]
    x, y, z = places[kept].T
    opened = anatomy.t1w.copy()
    fluid = np.float32(_SPACE_FLUID * anatomy.white_mean)
    here = anatomy.t1w[x, y, z]
    darker = here + shares.astype(np.float32) * np.minimum(fluid - here, 0)
    opened[x, y, z] = np.where(anatomy.white_matter[x, y, z], darker, here)
    return opened
