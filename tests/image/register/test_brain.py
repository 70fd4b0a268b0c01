from pathlib import Path

import numpy as np
import pytest
from head_phantoms import acquire, known_xfm, native_grid, template_head
from scipy import ndimage

from bids_inpaint.image.register.brain import brain_mask_on_template, has_scalp
from bids_inpaint.image.register.coarse import align_coarsely
from bids_inpaint.image.register.flatten import flatten
from bids_inpaint.image.template import AFFINE, SHAPE, load_template
from bids_inpaint.image.volume import Volume, load

DATA = Path(__file__).parents[4] / 'shared' / 'data'


def swollen(mask, by_vox):
    """The brain grown (or shrunk, if negative) as no affine map can follow."""
    change = ndimage.binary_dilation if by_vox > 0 else ndimage.binary_erosion
    return change(mask, iterations=abs(by_vox))


def head_around(brain):
    """A head on the template grid: brain 1, ventricle 0.3, fluid, bone, bright scalp."""
    depth = ndimage.distance_transform_edt(~brain)
    head = brain.astype(np.float32)
    head[85:97, 100:140, 80:90] = 0.3
    for near, far, value in ((0, 2, 0.3), (2, 8, 0.1), (8, 14, 2.0)):
        head[(depth > near) & (depth <= far)] = value
    return head


def is_skull_stripped(t1w):
    """As the registration tells it."""
    head = flatten(t1w, spacing_mm=2.0)
    return not has_scalp(head, align_coarsely(head).xfm)


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.slow
@pytest.mark.parametrize('by_vox', [-2, 2])
def test_mask_of_a_head_follows_the_brain(by_vox):
    brain = swollen(load_template().brain_mask, by_vox)
    gain = np.linspace(0.7, 1.3, SHAPE[1], dtype=np.float32)[None, :, None]
    mask = brain_mask_on_template(400 * head_around(brain) * gain, skull_stripped=False)
    assert dice(mask, brain) > 0.97 > dice(load_template().brain_mask, brain)
    assert (mask & brain).sum() > 0.995 * brain.sum()
    assert mask[91, 120, 85], 'the ventricle is part of the mask'
    scalp = ndimage.distance_transform_edt(~brain) > 8
    assert (mask & scalp).sum() < 0.002 * mask.sum()


def test_mask_of_an_extracted_brain_is_the_dilated_template_within_it():
    template = load_template().brain_mask
    source = swollen(template, 4)
    source[:, :60] = False
    t1w = np.where(source, 300, 0).astype(np.float32)
    t1w[90, 120, 85] = 0  # a dark voxel inside
    mask = brain_mask_on_template(t1w, skull_stripped=True)
    filled = source | (np.indices(SHAPE)[1] < 0)
    assert np.array_equal(mask, swollen(template, 2) & filled)


def test_mask_of_an_empty_volume_is_that_of_the_template():
    mask = brain_mask_on_template(np.zeros(SHAPE, np.float32), skull_stripped=False)
    assert np.array_equal(mask, load_template().brain_mask)
    mask[:] = False  # a copy: the shared one stays


@pytest.mark.slow
@pytest.mark.parametrize('stripped', [True, False])
def test_extracted_brains_are_recognised_by_their_missing_scalp(stripped):
    truth = known_xfm()
    std = load_template().t1w / np.float32(200) if stripped else template_head()
    t1w = acquire(std, native_grid('LPS', truth), truth, noise=0 if stripped else 0.05)
    assert is_skull_stripped(t1w) is stripped


@pytest.mark.slow
def test_scalp_is_looked_for_above_the_base_only():
    brain = load_template().brain_mask
    around = (ndimage.distance_transform_edt(~brain) < 18).astype(np.float32)
    below = around.copy()
    below[:, :, 90:] = 0
    assert has_scalp(Volume(around, AFFINE), np.eye(4))
    assert not has_scalp(Volume(below, AFFINE), np.eye(4))


@pytest.mark.slow
def test_remains_of_the_face_do_not_make_a_head():
    truth = known_xfm()
    std = load_template().t1w / np.float32(200)
    std[40:140, 120:210, 10:40] = 1.5
    t1w = acquire(std, native_grid('RAS', truth), truth, noise=0)
    assert is_skull_stripped(t1w)


@pytest.mark.slow
def test_noise_around_an_extracted_brain_does_not_make_a_head():
    truth = known_xfm()
    std = load_template().t1w / np.float32(200)
    assert is_skull_stripped(acquire(std, native_grid('RAS', truth), truth, noise=0.03))


def test_empty_volume_counts_as_stripped():
    assert is_skull_stripped(Volume(np.zeros((20, 20, 20), np.float32), np.diag([8.0, 8, 8, 1])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('pattern', 'stripped'),
    [('openms/*/*/anat/*_T1w.nii.gz', False), ('ms-mni/**/anat/*_T1w.nii.gz', True)],
)
def test_real_volumes_are_told_apart(pattern, stripped):
    paths = sorted(DATA.glob(pattern))
    if not paths:
        pytest.skip('development data are not here')
    assert {is_skull_stripped(load(path)) for path in paths} == {stripped}
