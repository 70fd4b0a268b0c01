"""Heads and brains made of the template, for which the right registration is known."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import Volume

_AXES = {
    'RAS': np.eye(3),
    'LAS': np.diag([-1.0, 1, 1]),
    'LPS': np.diag([-1.0, -1, 1]),
    'PIR': np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]),
    'oblique': Rotation.from_euler('xyz', [12, -17, 9], degrees=True).as_matrix(),
}
ORIENTATIONS = tuple(_AXES)


def known_xfm(*, angles_deg=(9, -7, 12), scale=1.12, shift_mm=(8, -12, 15)):
    """T1w RAS mm to template RAS mm: rotated, scaled by another factor on each axis, shifted."""
    rotation = Rotation.from_euler('xyz', angles_deg, degrees=True).as_matrix()
    xfm = np.eye(4)
    xfm[:3, :3] = rotation @ np.diag([scale, 0.97 * scale, 1.03 * scale])
    xfm[:3, 3] = shift_mm
    return xfm


def native_grid(orientation, xfm, *, zooms_mm=(2, 2, 2), field_mm=(200, 230, 200)):
    """A grid around the place where `xfm` puts the template's brain; fields are along RAS."""
    axes = _AXES[orientation] * np.asarray(zooms_mm, dtype=float)
    along = np.abs(_AXES[orientation]).round().astype(int)
    shape = tuple(int(n) for n in (along.T @ np.asarray(field_mm)) / zooms_mm)
    affine = np.eye(4)
    affine[:3, :3] = axes
    centre = (np.linalg.inv(xfm) @ [0, -18, 8, 1])[:3]
    affine[:3, 3] = centre - axes @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def template_head(*, scalp=1.8):
    """The template's brain in fluid, bone and scalp; (182, 218, 182) float32, white matter 1."""
    template = load_template()
    depth = ndimage.distance_transform_edt(~template.brain_mask)
    head = template.t1w / np.percentile(template.t1w[template.brain_mask], 90)
    for near, far, value in ((0, 3, 0.3), (3, 8, 0.1), (8, 16, scalp)):
        head[(depth > near) & (depth <= far)] = value
    return head.astype(np.float32)


def acquire(std, grid, xfm, *, noise=0.05, bias=0.4, seed=0):
    """Take an image of the template grid to a scanner: grid, smooth bias, Rician noise, units."""
    rng = np.random.default_rng(seed)
    clean = resample(Volume(std, AFFINE), grid, np.linalg.inv(xfm))
    field = np.exp(bias * np.linspace(-1, 1, grid.shape[1]))[None, :, None]
    real, imaginary = rng.standard_normal((2, *grid.shape)) * noise
    return Volume(
        (500 * np.hypot(clean * field + real, imaginary)).astype(np.float32), grid.affine
    )


def displacement_mm(found, truth):
    """Mean distance, in T1w mm, between where two maps take the template's brain from."""
    points = np.argwhere(load_template().brain_mask)[::500] @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    points = np.c_[points, np.ones(len(points))]
    apart = points @ (np.linalg.inv(found) - np.linalg.inv(truth)).T
    return float(np.linalg.norm(apart[:, :3], axis=1).mean())
