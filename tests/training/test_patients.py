"""Patients as examples: what the non-blind network put into their lesions is the target."""

import nibabel as nb
import numpy as np
import pytest

from bids_inpaint.bids.names import TEMPLATE_SPACE
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import save_weights
from bids_inpaint.training.configs import Stage, TrainingConfig
from bids_inpaint.training.data import Brain
from bids_inpaint.training.examples import batches, ventricles
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.patients import Patient, cut_patient, load_patients

SHAPE = (24, 24, 24)
BOX = (slice(2, 22),) * 3


@pytest.fixture
def patient():
    given = np.random.default_rng(0).uniform(1.2, 1.4, SHAPE).astype(np.float16)
    given[:3] = 0
    lesions = np.zeros(SHAPE, bool)
    lesions[10:14, 10:14, 10:14] = True
    filled = given.copy()
    given[lesions] = 0.7
    return Patient('01', given, filled, lesions)


def _write(folder, suffix, data):
    anat = folder / 'sub-x1' / 'anat'
    anat.mkdir(parents=True, exist_ok=True)
    image = nb.Nifti1Image(data, np.eye(4))
    image.to_filename(anat / f'sub-x1_space-{TEMPLATE_SPACE}_{suffix}.nii.gz')


@pytest.fixture
def dataset(tmp_path, patient, monkeypatch):
    # The template is larger than these brains.
    monkeypatch.setattr('bids_inpaint.training.examples.patients.tissue_median', lambda *_: 1.4)
    _write(tmp_path / 't1w', 'desc-preproc_T1w', patient.given.astype(np.float32))
    _write(tmp_path / 'masks', 'label-lesion_mask', patient.lesion_mask.astype(np.uint8))
    architecture = UNetConfig(
        filters=2, levels=2, reconstruction_filters=2, window_vox=16, hidden_base=1.3
    )
    card = {'name': 'nonblind', 'architecture': architecture}
    save_weights(build_unet(architecture), tmp_path / 'nonblind', card)
    return tmp_path


def test_lesions_are_filled_by_the_network_and_nothing_else_changes(dataset, patient):
    (loaded,) = load_patients(dataset / 't1w', dataset / 'masks', dataset / 'nonblind')
    assert loaded.participant == 'x1'
    np.testing.assert_array_equal(loaded.lesion_mask, patient.lesion_mask)
    inside = loaded.lesion_mask
    np.testing.assert_array_equal(loaded.filled[~inside], patient.given[~inside])
    np.testing.assert_allclose(loaded.filled[inside], 1.3, atol=1e-2)  # new weights change nothing


def test_a_patient_without_a_mask_or_no_patient_is_an_error(dataset, monkeypatch):
    (mask,) = (dataset / 'masks').rglob('*.nii.gz')
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r'x1.*needs a lesion mask'):
        load_patients(dataset / 't1w', dataset / 'masks', dataset / 'nonblind')
    monkeypatch.setattr('bids_inpaint.training.examples.patients.side_of_mask', lambda _: 'test')
    with pytest.raises(FileNotFoundError, match='no patient'):
        load_patients(dataset / 't1w', dataset / 'masks', dataset / 'nonblind')


@pytest.mark.parametrize('probability', [0.0, 1.0])
def test_image_target_and_mask_of_a_patient_are_cut_alike(patient, probability):
    config = AugmentConfig(deform_probability=probability)
    example = cut_patient(patient, BOX, np.random.default_rng(0), config)
    assert {volume.shape for volume in example} == {(20, 20, 20)}
    assert {volume.dtype for volume in example} == {np.dtype(np.float32)}
    differ = np.abs(example.lesioned - example.target) > 0.3
    assert differ.any()
    # A linear sample reaches one voxel further than the nearest one.
    inside = example.share > 0
    assert (differ & inside).sum() > 0.7 * inside.sum()
    assert (differ & ~inside).sum() <= 0.5 * inside.sum()
    if not probability:
        np.testing.assert_array_equal(differ, inside)


@pytest.mark.parametrize(('share', 'drawn'), [(0.0, 0), (1.0, 8)])
def test_patients_are_drawn_as_often_as_the_config_says(patient, share, drawn, monkeypatch):
    monkeypatch.setattr(batches, 'draw_box', lambda *_: (slice(0, 16),) * 3)
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones((1, 1, 1), bool))
    calls = []
    original = batches.cut_patient
    monkeypatch.setattr(batches, 'cut_patient', lambda *a: calls.append(1) or original(*a))
    config = TrainingConfig(patient_share=share, stages=(Stage(until=8, crop_vox=16),))
    brain = Brain('made', '01', patient.filled, 1.3, 1.1)
    sources = batches.Sources(brains=[brain], masks=[patient.lesion_mask], patients=[patient])
    made = batches.Batches(sources, config)
    shapes = {made[number][0].shape for number in range(8)}
    assert shapes == {(1, 16, 16, 16, 1)}
    assert len(calls) == drawn
