from dataclasses import replace

import numpy as np
import pytest
from tiny_brains import SHAPE, flat_brain, healthy_brain

from bids_inpaint.evaluation import cases, methods
from bids_inpaint.evaluation.cases import (
    anat2std_of,
    healthy_cases,
    patient_cases,
    simulated_cases,
)
from bids_inpaint.evaluation.memory import Memory
from bids_inpaint.evaluation.methods import Network, all_methods, native_grid, there_and_back
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.card import read_card, write_card


def test_the_way_there_and_back_blurs_but_does_not_move():
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    turn[:3, 3] = [3.3, -2.6, 1.4]
    returned = there_and_back(flat_brain(), turn)
    assert 0 < np.abs(returned - flat_brain())[4:-4, 4:-4, 4:-4].max() < 0.3
    inside = flat_brain() > 0
    assert np.corrcoef(returned[inside], flat_brain()[inside])[0, 1] > 0.95
    np.testing.assert_allclose(there_and_back(flat_brain(), np.eye(4)), flat_brain(), atol=1e-5)


def test_the_grid_between_holds_the_template():
    scale = np.diag([2.0, 1.0, 0.5, 1.0])  # the head is half as wide, and twice as high
    grid = native_grid(scale, SHAPE)
    assert grid.shape == (13, 24, 47)
    np.testing.assert_array_equal(grid.affine[:3, :3], np.eye(3))


def test_a_network_is_asked_once(make_network, tmp_path, monkeypatch):
    calls = []

    def inpaint(t1w, brain_mask, **_):
        calls.append(1)
        return Prediction(np.where(brain_mask, t1w + np.float32(0.5), t1w)), {}

    monkeypatch.setattr(methods, 'inpaint_on_device', inpaint)
    network = Network(make_network('blind'), Memory(tmp_path / 'work'), threads=1)
    t1w, mask = healthy_brain(), healthy_brain() > 0
    for _ in range(2):
        inpainted = network.apply(t1w, mask).inpainted
        np.testing.assert_allclose(inpainted, np.where(mask, t1w + 0.5, t1w), atol=1e-6)
    assert len(calls) == 1
    network.apply(t1w * 2, mask)
    assert len(calls) == 2


def test_filling_changes_nothing_outside_the_mask(make_network, tmp_path, monkeypatch):
    def fill(t1w, _, *, fill_mask, **__):
        return Prediction(np.where(fill_mask, np.float32(1), t1w)), {}

    monkeypatch.setattr(methods, 'inpaint_on_device', fill)
    network = Network(make_network('nonblind'), Memory(tmp_path / 'work'), threads=1)
    lesions = np.zeros(SHAPE, bool)
    lesions[10:12, 10:12, 10:12] = True
    filled = network.fill(healthy_brain(), lesions, healthy_brain() > 0)
    np.testing.assert_array_equal(filled[lesions], 1)
    np.testing.assert_array_equal(filled[~lesions], healthy_brain()[~lesions])
    nothing = network.fill(healthy_brain(), lesions & False, healthy_brain() > 0)
    np.testing.assert_array_equal(nothing, healthy_brain())


def test_users_get_only_changes_above_the_thresholds(setup, monkeypatch):
    def inpaint(t1w, *_, **__):
        changed = t1w + np.float32(0.01)
        changed[10:12, 10:12, 10:12] += 0.4
        return Prediction(changed), {}

    monkeypatch.setattr(methods, 'inpaint_on_device', inpaint)
    network = Network(setup.models / 'blind', setup.memory, threads=1)
    (case,) = healthy_cases(setup)
    volumes, changed = all_methods(network, case)
    assert list(volumes) == ['nothing', 'resampling', 'network', 'inpainted']
    np.testing.assert_array_equal(volumes['nothing'], case.given)
    np.testing.assert_array_equal(volumes['inpainted'][~changed], case.given[~changed])
    assert changed[10:12, 10:12, 10:12].all()
    assert not changed[:8].any()


def test_cases_are_those_of_their_side(setup):
    assert [case.name for case in healthy_cases(setup)] == ['ds002748/sub-06']
    assert [case.name for case in healthy_cases(setup, 'validation')] == ['ds002748/sub-46']
    names = {case.name: case.side for case in patient_cases(setup)}
    assert names == {'openms26': 'test', 'mslesseg14_ses-1': 'validation'}
    (patient,) = patient_cases(setup, 'test')
    assert patient.share.sum() == 48
    assert patient.white_matter == pytest.approx(1.4, abs=0.01)


def test_a_patient_whom_the_network_has_learnt_from_validates_nothing(setup, monkeypatch):
    card = read_card(setup.models / 'blind')
    learnt = replace(card, training={'patients': ['mslesseg14']})
    write_card(learnt, setup.models / 'blind')
    assert [case.side for case in patient_cases(setup)] == ['training', 'test']
    assert list(patient_cases(setup, 'validation')) == []
    left_out = []
    monkeypatch.setattr(cases, 'load_masks', lambda *_, without: left_out.append(without))
    monkeypatch.setattr(cases, 'validation_examples', lambda *_: [])
    assert list(simulated_cases(setup, 'validation')) == []
    assert left_out == [{'mslesseg14'}]


def test_a_patient_needs_a_mask(setup):
    (mask,) = setup.masks.glob('sub-openms26/**/*mask.nii.gz')
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r'sub-openms26.* expert mask.* missing'):
        list(patient_cases(setup))


def test_the_map_to_the_template_must_be_one(tmp_path):
    t1w = tmp_path / 'sub-1_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz'
    with pytest.raises(FileNotFoundError, match=r'needs one .* found 0'):
        anat2std_of(t1w)
