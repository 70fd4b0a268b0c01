"""Healthy brains made of labels: properties that hold for each that is drawn."""

from dataclasses import replace

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.image.template import AFFINE, SHAPE, load_template
from bids_inpaint.training import data, label_maps
from bids_inpaint.training.examples.deform import DeformConfig
from bids_inpaint.training.examples.structures import (
    CLASSES,
    CORTEX,
    FLUID,
    OUTSIDE,
    STRUCTURES,
    VENTRICLES,
    WHITE_MATTER,
    class_table,
    draw_brightness,
)
from bids_inpaint.training.examples.synthetic import LabelMap, SyntheticConfig, draw_anatomy

STILL = DeformConfig(rotation_deg=0, scale=(1, 1), shift_vox=0, warp_vox=0)
PLAIN = SyntheticConfig(
    deform=STILL,
    regions=0,
    callosum=0,
    patches=(0, 0),
    texture=0,
    blur_vox=(0, 0),
    mask_vox=(2, 2),
)
FEW = settings(max_examples=15, deadline=None)


def _person(size=40):
    """Balls of fluid, white matter, cortex and head, about one centre."""
    distance = np.linalg.norm(np.indices((size,) * 3) - (size - 1) / 2, axis=0)
    labels = np.zeros((size,) * 3, np.uint16)
    for radius, label in ((18, 507), (15, 24), (14, 3), (11, 2), (4, 4)):
        labels[distance < radius] = label
    return LabelMap('made', labels)


PERSON = _person()
WHOLE = (slice(0, 40),) * 3


def test_each_structure_lies_between_fluid_and_white_matter():
    for structure in STRUCTURES:
        low, high = structure.brightness
        assert -1.05 <= low <= high <= 1.05, structure.name
    table = class_table()
    assert len({label for s in STRUCTURES for label in s.labels}) == sum(
        len(s.labels) for s in STRUCTURES
    )
    assert table[[24, 4, 3, 2]].tolist() == [FLUID, VENTRICLES, CORTEX, WHITE_MATTER]
    assert table[507] >= OUTSIDE
    assert table.max() == CLASSES - 1 < 32  # a code has five bits for the class


@FEW
@given(seed=st.integers(0, 9999), white=st.floats(1.1, 1.75), fluid=st.floats(0.1, 0.65))
def test_brightness_is_drawn_within_its_range(seed, white, fluid):
    bright = draw_brightness(np.random.default_rng(seed), white, fluid)
    assert bright.shape == (CLASSES,)
    assert bright.dtype == np.float32
    assert bright[CORTEX] == pytest.approx(1)
    assert bright[WHITE_MATTER] == pytest.approx(white)
    brain = bright[:OUTSIDE]
    assert fluid - 0.05 <= brain.min() <= brain.max() <= white + 0.05 * (white - 1) + 1e-6


@FEW
@given(seed=st.integers(0, 9999))
def test_the_same_seed_makes_the_same_brain(seed):
    box = (slice(4, 28), slice(8, 32), slice(6, 30))
    first, second = (
        draw_anatomy(PERSON, box, np.random.default_rng(seed), SyntheticConfig()) for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.t1w.dtype == np.float32
    assert first.t1w.shape == (24, 24, 24)


@FEW
@given(seed=st.integers(0, 9999))
def test_nothing_lies_outside_the_brain_and_lesions_may_lie_in_white_matter(seed):
    made = draw_anatomy(PERSON, WHOLE, np.random.default_rng(seed), SyntheticConfig())
    outside = ndimage.distance_transform_edt(~(made.ventricle_vox < 31)) > 0
    assert (made.t1w >= 0).all()
    assert (made.t1w[made.white_matter] > 0).all()
    assert not (made.white_matter & outside).any()
    # The corners of the box are head and air, which no mask of the brain reaches.
    assert not made.t1w[:4, :4, :4].any()


def test_tissues_are_where_the_labels_say_and_the_mean_of_the_brain_is_one():
    made = draw_anatomy(PERSON, WHOLE, np.random.default_rng(0), PLAIN)
    assert made.t1w[made.t1w > 0].mean() == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(made.white_matter, PERSON.labels == 2)
    np.testing.assert_allclose(made.t1w[made.white_matter], made.white_mean, rtol=1e-6)
    np.testing.assert_allclose(made.t1w[PERSON.labels == 3], made.grey_mean, rtol=1e-6)
    np.testing.assert_array_equal(made.ventricle_vox == 0, PERSON.labels == 4)
    reach = ndimage.distance_transform_edt(PERSON.labels == 24)[made.t1w > 0].max()
    assert reach <= 2


@pytest.mark.parametrize('voxels', [0, 3])
def test_the_mask_reaches_as_far_as_it_is_drawn(voxels):
    config = replace(PLAIN, mask_vox=(voxels, voxels))
    made = draw_anatomy(PERSON, WHOLE, np.random.default_rng(0), config)
    tissue = np.isin(PERSON.labels, (2, 3, 4))
    distance = ndimage.distance_transform_edt(~tissue)
    np.testing.assert_array_equal(made.t1w > 0, np.ceil(distance) <= voxels)


@pytest.mark.parametrize(
    'varied',
    [
        {'regions': 0.1},
        {'callosum': 0.2},
        {'patches': (0.1, 0.0)},
        {'patches': (0.0, 0.1)},
        {'texture': 0.1},
        {'blur_vox': (0.8, 0.8)},
    ],
)
def test_each_choice_of_the_config_varies_the_brain(varied):
    # The whole template, where lobes and callosum have their places.
    labels = np.where(load_template().brain_mask, np.uint16(2), np.uint16(0))
    box = (slice(80, 104), slice(100, 124), slice(80, 104))
    person = LabelMap('white', labels)
    plain, other = (
        draw_anatomy(person, box, np.random.default_rng(3), config)
        for config in (PLAIN, replace(PLAIN, **varied))
    )
    differ = np.abs(other.t1w - plain.t1w).max()
    # Blur alone changes nothing where all is alike.
    assert differ < 1e-5 if 'blur_vox' in varied else differ > 0.005


def test_partial_volume_comes_from_blur():
    sharp, soft = (
        draw_anatomy(PERSON, WHOLE, np.random.default_rng(0), replace(PLAIN, blur_vox=(b, b)))
        for b in (0.0, 0.9)
    )
    assert len(np.unique(sharp.t1w)) <= 6
    assert len(np.unique(soft.t1w)) > 100


def _write_labels(folder, labels, affine):
    folder.mkdir()
    img = nb.Nifti1Image(labels, affine)
    img.to_filename(folder / 'training_seg_07.nii.gz')


@pytest.mark.slow
def test_label_maps_are_brought_to_the_template(tmp_path):
    maps = load_template()
    labels = np.zeros(SHAPE, np.uint16)
    labels[maps.brain_mask] = 24
    labels[maps.grey_matter > 0.5] = 3
    labels[maps.white_matter > 0.5] = 2
    moved = AFFINE.copy()
    moved[:3, 3] += (12, -9, 6)
    _write_labels(tmp_path / 'maps', labels[::-1], moved @ np.diag([-1, 1, 1, 1]) @ _shift(-181))
    (path,) = label_maps.bring_label_maps(tmp_path / 'maps', tmp_path / 'out')
    assert path.name == 'sub-seg07_space-MNI152NLin2009aSym_dseg.nii.gz'
    (person,) = data.load_label_maps(tmp_path / 'out', 'training')
    assert person.participant == 'seg07'
    assert set(np.unique(person.labels)) <= {0, 2, 3, 24}
    same = (person.labels == 2) & (labels == 2)
    assert same.sum() > 0.8 * (labels == 2).sum()
    assert not data.load_label_maps(tmp_path / 'out', 'validation')


def _shift(voxels):
    matrix = np.eye(4)
    matrix[0, 3] = voxels
    return matrix


def test_without_label_maps_it_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no file \*_seg_\*\.nii\.gz'):
        label_maps.bring_label_maps(tmp_path, tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='dseg'):
        label_maps.find_label_maps(tmp_path)


def test_what_does_not_fit_the_template_is_refused(tmp_path, monkeypatch):
    _write_labels(tmp_path / 'maps', np.full((20, 20, 20), 2, np.uint16), np.eye(4))
    monkeypatch.setattr(label_maps, 'registration_problems', lambda _: ['Too small.'])
    monkeypatch.setattr(label_maps, 'register_to_template', lambda *_, **__: None)
    with pytest.raises(ValueError, match=r'training_seg_07.*does not fit the template: Too small'):
        label_maps.bring_label_maps(tmp_path / 'maps', tmp_path / 'out')
    assert not list((tmp_path / 'out').glob('**/*.nii.gz'))
