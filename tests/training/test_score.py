"""The score: its validation set, calibration and choice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.image.template import Template
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.card import Card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.inference import follow_curve
from bids_inpaint.network.unet import build_unet
from bids_inpaint.training import score, thresholds
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples import ventricles
from bids_inpaint.training.examples.synthetic import LabelMap
from bids_inpaint.training.score import ValidationSet, calibration_bins, fit_curve
from bids_inpaint.training.thresholds import Predicted

SHAPE = (24, 24, 24)
TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2, window_vox=16, lesion_output=True)


@pytest.fixture(autouse=True)
def small_template(monkeypatch):
    brain = np.zeros(SHAPE, bool)
    brain[3:22, 2:23, 2:22] = True
    white = np.zeros(SHAPE, np.float32)
    white[6:20, 4:20, 4:12] = 1
    maps = Template(white, np.where(brain, 1 - white, 0).astype(np.float32), white, brain)
    for module in (score, thresholds):
        monkeypatch.setattr(module, 'load_template', lambda: maps)
    monkeypatch.setattr(thresholds, 'brain_without_ventricles', lambda _, mask, *__: mask)
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones((1, 1, 1), bool))
    monkeypatch.setattr(score, '_WHOLE', tuple(slice(0, n) for n in SHAPE))
    return maps


@pytest.fixture
def validation(small_template):
    t1w = np.where(small_template.brain_mask, np.float32(0.9), np.float32(0))
    t1w = np.where(small_template.white_matter > 0, np.float32(1.4), t1w).astype(np.float16)
    labels = np.zeros(SHAPE, np.uint16)
    labels[small_template.brain_mask] = 3
    labels[small_template.white_matter > 0] = 2
    mask = np.zeros(SHAPE, bool)
    mask[8:14, 8:14, 6:10] = True
    patients = [Brain('openms', '01', t1w, 1.4, 1.15, f'sub-01_ses-{s}') for s in (1, 2)]
    return ValidationSet(
        [Brain('ds', '01', t1w, 1.4, 1.15, 'sub-01')],
        [LabelMap('seg03', labels)],
        patients,
        [mask],
    )


def test_patients_are_validated_with_lesions_alone(validation):
    assert [name for name, _ in validation.healthy()] == ['ds/sub-01', 'label-maps/seg03']
    assert [name for name, _ in validation.lesioned()] == [
        'ds/sub-01',
        'label-maps/seg03',
        'openms/sub-01_ses-1',
        'openms/sub-01_ses-2',
    ]


def test_volumes_are_the_same_at_each_call_and_differ_by_scan(validation):
    first, second = (dict(validation.lesioned()) for _ in range(2))
    for name, example in first.items():
        for a, b in zip(example, second[name], strict=True):
            np.testing.assert_array_equal(a, b)
        assert example.share.max() > 0
    shares = [first[f'openms/sub-01_ses-{s}'].share for s in (1, 2)]
    assert not np.array_equal(*shares)


def test_healthy_volumes_have_no_lesion(validation):
    for _, example in validation.healthy():
        np.testing.assert_array_equal(example.lesioned, example.target)
        assert not example.share.any()


def test_a_network_is_scored_and_its_choice_told(validation):
    card = Card(name='blind', architecture=TINY, sha256='')
    network = build_unet(TINY)
    network.compile(jit_compile=False)
    measured = score.score(network, card, validation)
    # A network that knows nothing changes nothing.
    assert measured['choice']['error'] == pytest.approx(1)
    assert measured['choice']['excess'] == 0
    assert set(measured['healthy']) == {'ds/sub-01', 'label-maps/seg03'}
    assert len(measured['lesioned']) == 4
    assert measured['lesioned']['ds/sub-01']['changed_ml'] == 0
    assert 0 <= measured['lesion_dice'] < 0.2
    assert 0 <= measured['calibration_error'] <= 1
    assert measured['by_difference'].keys() == measured.keys() - {
        'probability_curve',
        'calibration_error',
        'bins',
        'by_difference',
    }
    assert measured['by_difference']['choice']['core'] in thresholds.DIFFERENCE_GRID[1]


def test_a_network_without_probability_has_a_score_too(validation):
    plain = replace(TINY, lesion_output=False)
    network = build_unet(plain)
    network.compile(jit_compile=False)
    measured = score.score(network, Card(name='old', architecture=plain, sha256=''), validation)
    assert measured['probability_curve'] == ()
    assert not measured.keys() & {'calibration_error', 'bins', 'by_difference'}
    assert measured['choice']['error'] == pytest.approx(1)


def _predicted(share, probability):
    volume = np.zeros(SHAPE, np.float32)
    example = Example(volume - share * np.float32(0.5), volume, share)
    return Predicted(example, Prediction(volume, probability), np.ones(SHAPE, bool))


@pytest.mark.parametrize('worth', [0.5, 1.0, 2.0])
def test_what_a_probability_is_worth_is_found(worth):
    lesioned = {}
    for name in ('one', 'two'):
        rng = np.random.default_rng([*name.encode()])
        said = rng.random(SHAPE, np.float32) ** 2
        share = (rng.random(SHAPE) < said**worth).astype(np.float32)
        lesioned[name] = _predicted(share, said)
    curve, left = fit_curve(lesioned)
    tried = np.array([0.1, 0.3, 0.5, 0.8], np.float32)
    np.testing.assert_allclose(follow_curve(tried, curve), tried**worth, atol=0.05)
    assert left['calibration_error'] < 0.03
    assert sum(one['vox'] for one in left['bins']) > 0
    assert (np.diff(curve, axis=0) >= 0).all()
    assert (curve[0], curve[-1]) == ((0, 0), (1, 1))


def test_the_calibration_error_is_of_images_that_did_not_make_the_curve():
    rng = np.random.default_rng(1)
    said = rng.random(SHAPE, np.float32)
    full, none = np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    _, left = fit_curve({'one': _predicted(full, said), 'two': _predicted(none, said)})
    assert left['calibration_error'] > 0.3


def test_a_curve_needs_a_probability():
    with pytest.raises(ValueError, match='one: the network gives no probability'):
        fit_curve({'one': _predicted(np.zeros(SHAPE, np.float32), None)})


@given(seed=st.integers(0, 99))
def test_what_is_said_truly_is_calibrated(seed):
    probability = np.random.default_rng(seed).random(5000)
    bins = calibration_bins(probability, probability)
    assert len(bins) == 10
    assert all(one['said'] == pytest.approx(one['true'], abs=1e-12) for one in bins)
    (one,) = calibration_bins(np.full(100, 0.35), np.full(100, 0.85))
    assert one == pytest.approx({'said': 0.35, 'true': 0.85, 'vox': 100})


def test_empty_bins_are_left_out():
    said, true = np.array([0.05, 0.95]), np.array([0.05, 0.75])
    low, high = calibration_bins(said, true)
    assert (low['said'], low['true'], high['said'], high['true']) == (0.05, 0.05, 0.95, 0.75)
    (highest,) = calibration_bins(np.array([1.0]), np.array([1.0]))
    assert highest == {'said': 1.0, 'true': 1.0, 'vox': 1}


BY_PROBABILITY = thresholds.Thresholds(edge=0.5, core=0.8, lesion=0.0, lesion_from='probability')


def _mapped(probability, share):
    volume = np.ones(SHAPE, np.float32)
    example = Example(volume, volume, share)
    return Predicted(example, Prediction(volume, probability), np.ones(SHAPE, bool))


def test_the_lesion_threshold_leaves_healthy_brains_alone():
    share, probability = (np.zeros(SHAPE, np.float32) for _ in range(2))
    share[20:30, 20:30, 20:30] = 1
    probability[20:30, 20:30, 20:30] = 0.9
    probability[20:30, 20:30, 23:30] = 0.45
    lesioned = [_mapped(probability, share)]
    alone = thresholds.choose_lesion_threshold(lesioned, BY_PROBABILITY)
    assert alone == {'lesion_threshold': 0.2, 'lesion_dice': 1, 'map_false_ml': 0}
    false_ml = [{0.2: 9.0, 0.3: 2.0, 0.4: 1, 0.5: 0, 0.6: 0, 0.7: 0, 0.8: 0}]
    chosen = thresholds.choose_lesion_threshold(lesioned, BY_PROBABILITY, false_ml)
    assert chosen == {'lesion_threshold': 0.3, 'lesion_dice': 1, 'map_false_ml': 2}
    flooded = [dict.fromkeys(false_ml[0], 5.0)]
    chosen = thresholds.choose_lesion_threshold(lesioned, BY_PROBABILITY, flooded)
    assert chosen['lesion_threshold'] == 0.8


def test_a_map_is_weighed_at_each_threshold():
    probability = np.zeros(SHAPE, np.float32)
    probability[8:18, 8:18, 8:18] = 0.55
    weighed = thresholds.weigh_maps(_mapped(probability, probability), BY_PROBABILITY)
    assert weighed == {0.2: 1, 0.3: 1, 0.4: 1, 0.5: 1, 0.6: 0, 0.7: 0, 0.8: 0}
