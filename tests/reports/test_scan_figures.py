"""Figures show sides where they are, and stay small on fine grids."""

import base64
import io
import re

import nibabel as nb
import numpy as np
import pytest
from image_grids import GRIDS, grid_of
from PIL import Image
from scipy import ndimage

from bids_inpaint.image.native import conform
from bids_inpaint.image.volume import Volume
from bids_inpaint.reports import scan
from bids_inpaint.reports.draw import Overlay, mosaic
from bids_inpaint.reports.planes import Cut
from bids_inpaint.reports.scan import draw_scan
from bids_inpaint.reports.views import Maps, View

LARGEST_MB = 10  # of one scan


def images_of(svg):
    found = re.findall(r'data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)"', svg)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def whole(data):
    return tuple(slice(0, n) for n in data.shape)


@pytest.mark.parametrize('name', GRIDS)
def test_right_is_drawn_on_the_right_and_called_so(name):
    shape, affine = grid_of(name)
    place = nb.affines.apply_affine(affine, np.stack(np.indices(shape), axis=-1))
    x = place[..., 0]
    image = conform(nb.Nifti1Image((x > np.median(x)).astype(np.float32), affine))
    middle = Cut(2, image.data.shape[2] // 2)
    svg = mosaic(image, [[middle]], whole(image.data), (0, 1))
    (picture,) = images_of(svg)
    grey = np.asarray(picture, float)
    half = grey.shape[1] // 2
    assert grey[:, half:].mean() > grey[:, :half].mean() + 100
    letters = re.findall(r'x="([\d.]+)"[^>]*>([LR])<|translate\(([\d.]+) [^)]*\)">([LR])<', svg)
    sides = {a or c: float(b or d) for b, a, d, c in letters}
    assert sides['L'] < sides['R']


def test_image_without_colours_has_one_channel_and_one_with_colours_keeps_them():
    image = conform(nb.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)))
    change = np.full((8, 8, 8), 0.5, np.float32)
    overlay = Overlay(change, change > 0, 'RdBu_r', (-1, 1), 'change')
    cuts = [[Cut(2, 4)]]
    grey, red, _bar = images_of(mosaic(image, cuts, whole(change), (0, 2), overlay=overlay))
    assert (grey.mode, red.mode) == ('L', 'RGBA')
    assert np.asarray(grey).max() == 128
    channels = np.asarray(red).reshape(-1, 4)[0]
    assert channels[0] > channels[2]


@pytest.mark.slow
def test_head_of_fine_voxels_is_drawn_in_little_room(monkeypatch):
    shape, zoom = (228, 364, 364), 0.7
    affine = nb.affines.from_matvec(np.eye(3) * zoom, -zoom * np.array(shape) / 2)
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.linspace(-1.25, 1.25, n) for n in shape], indexing='ij'))
    brain = (grid**2).sum(0) < 1
    data = (100 * brain + rng.normal(0, 5, shape)).astype(np.float32)
    spots = rng.random(tuple(n // 7 + 1 for n in shape)) > 0.99
    lesions = spots.repeat(7, 0).repeat(7, 1).repeat(7, 2)[tuple(map(slice, shape))] & brain
    image = conform(nb.Nifti1Image(data, affine))
    view = View(
        before=image,
        after=image,
        difference=np.where(lesions, 0.3, 0).astype(np.float32),
        brain=brain,
        lesions=lesions,
        probability=ndimage.gaussian_filter(lesions.astype(np.float32), 1.5),
        space='T1w',
        rebuilt=False,
        anat2std_xfm=np.eye(4),
    )
    monkeypatch.setattr(scan, 'load_view', lambda *_args, **_options: view)
    monkeypatch.setattr(scan, 'load_maps', lambda _files: Maps(image, image, brain))
    drawn = draw_scan({}, {})
    assert len(drawn.pictures) == 8
    assert len(drawn.lesions) > 100
    size = sum(len(picture.svg.encode()) for picture in drawn.pictures) / 1e6
    assert size < LARGEST_MB


def test_pixels_keep_their_proportions():
    zooms = (1.0, 2.0, 6.0)
    image = Volume(np.random.default_rng(0).random((36, 20, 9), 'f4'), np.diag([*zooms, 1.0]))
    rows = [[Cut(axis, 4), Cut(axis, 6)] for axis in range(3)]
    svg = mosaic(image, rows, whole(image.data), (0, 1))
    drawn = re.findall(r'<image [^>]*transform="matrix\(([-\d.]+) 0 0 -([-\d.]+) ', svg)
    ratios = [float(height) / float(width) for width, height in drawn]
    np.testing.assert_allclose(ratios, [3, 3, 6, 6, 2, 2], rtol=1e-3)
