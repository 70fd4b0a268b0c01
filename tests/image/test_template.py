import nibabel as nb
import numpy as np
import pytest
from nilearn import datasets
from scipy import ndimage

from bids_inpaint.image import template
from bids_inpaint.image.template import AFFINE, SHAPE, load_template


def test_maps_are_those_of_nilearn_at_the_same_places():
    img = datasets.load_mni152_template(resolution=1)  # rescaled by nilearn, same grid
    voxels = np.argwhere(load_template().grey_matter > 0.9)[::5000]
    theirs = (
        nb.affines.apply_affine(np.linalg.inv(img.affine) @ AFFINE, voxels).round().astype(int)
    )
    ours = load_template().t1w[tuple(voxels.T)]
    there = img.get_fdata()[tuple(theirs.T)]
    assert np.corrcoef(ours, there)[0, 1] > 0.999


def test_maps_have_their_shapes_types_and_ranges():
    maps = load_template()
    assert {m.shape for m in vars(maps).values()} == {SHAPE}
    assert [m.dtype for m in vars(maps).values()] == ['float32', 'float32', 'float32', 'bool']
    assert 0.99 < maps.white_matter.max() <= 1
    assert 0.99 < maps.grey_matter.max() <= 1


def test_brain_mask_is_one_solid_body_of_the_right_size():
    mask = load_template().brain_mask
    assert ndimage.label(mask)[1] == 1
    assert ndimage.label(~mask)[1] == 1
    assert 1.8e6 < mask.sum() < 2.0e6
    assert not load_template().t1w[~mask].any()
    assert mask[load_template().white_matter > 0.5].mean() > 0.999


def test_left_and_right_are_symmetric():
    mask = load_template().brain_mask[:181]  # x runs from -90 to 90 mm, and one voxel beyond
    assert (mask & mask[::-1]).sum() > 0.999 * mask.sum()


def test_shared_maps_cannot_be_changed():
    with pytest.raises(ValueError, match='read-only'):
        load_template().t1w[0] = 1
    assert load_template() is load_template()


def test_missing_nilearn_is_said(monkeypatch):
    monkeypatch.setattr(template, 'find_spec', lambda _: None)
    with pytest.raises(ModuleNotFoundError, match='nilearn'):
        template._map_file('t1')
