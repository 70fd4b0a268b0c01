"""Batches from all sources: real and made brains, a library, a second target."""

from dataclasses import replace

import numpy as np
import pytest

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.training import loop
from bids_inpaint.training.configs import Stage, TrainingConfig
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples import batches, simulate, ventricles
from bids_inpaint.training.examples.batches import LEAST_DARKENING, Batches, Sources, visible_share
from bids_inpaint.training.examples.deform import DeformConfig
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.examples.synthetic import LabelMap
from bids_inpaint.training.loop import finish_in, take_weights, train

SHAPE = (24, 24, 24)
TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2, window_vox=16, lesion_output=True)
CONFIG = TrainingConfig(
    architecture=TINY,
    lesions=LesionConfig(
        healthy_share=0,
        deform=DeformConfig(rotation_deg=20, scale=(0.8, 1.3), shift_vox=1, warp_vox=3),
        dots_per_image=(2, 3),
    ),
    stages=(Stage(until=2, crop_vox=16),),
    mixed_precision=False,
)


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    monkeypatch.setattr(simulate, '_white_matter_voxels', lambda: np.array([[12, 12, 12]]))
    monkeypatch.setattr(simulate, '_brain_box', lambda: np.array([[0, 0, 0], SHAPE]))
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones((1, 1, 1), bool))


@pytest.fixture
def sources():
    t1w = np.full(SHAPE, 1.4, np.float16)
    t1w[:3] = 0
    t1w[12:14] = 0.9
    labels = np.full(SHAPE, 2, np.uint16)
    labels[:3], labels[12:14] = 24, 3
    mask = np.zeros(SHAPE, bool)
    mask[8:11, 8:16, 8:16] = True
    return Sources(
        brains=[Brain('made', '01', t1w, 1.4, 1.15)],
        masks=[mask],
        label_maps=[LabelMap('seg01', labels)],
    )


@pytest.mark.parametrize(('share', 'made'), [(0.0, 0), (1.0, 6)])
def test_brains_are_made_as_often_as_the_config_says(sources, share, made, monkeypatch):
    calls = []
    original = batches.draw_anatomy
    monkeypatch.setattr(batches, 'draw_anatomy', lambda *a: calls.append(1) or original(*a))
    config = replace(CONFIG, synthetic_share=share, stages=(Stage(until=6, crop_vox=16),))
    drawn = Batches(sources, config)
    shapes = {drawn[number][0].shape for number in range(6)}
    assert shapes == {(1, 16, 16, 16, 1)}
    assert len(calls) == made


def test_without_label_maps_all_brains_are_real(sources):
    config = replace(CONFIG, synthetic_share=1.0)
    inputs, _ = Batches(replace(sources, label_maps=()), config)[0]
    assert inputs.any()


def test_the_second_target_is_what_can_be_seen(sources):
    inputs, targets = Batches(sources, CONFIG)[0]
    t1w, share = np.moveaxis(targets['reconstructed'], -1, 0)
    lesion = targets['lesion_logit'][..., 0]
    darker = t1w - inputs[..., 0]
    assert lesion.any()
    np.testing.assert_array_equal(lesion > 0, (share > 0) & (darker > LEAST_DARKENING))
    np.testing.assert_array_equal(lesion[lesion > 0], np.minimum(share[lesion > 0], 1))


def test_an_old_architecture_has_no_second_target(sources):
    config = replace(CONFIG, architecture=replace(TINY, lesion_output=False))
    assert set(Batches(sources, config)[0][1]) == {'reconstructed', 'subvolumes'}


def test_a_share_is_seen_from_two_hundredths_on():
    target = np.ones((1, 1, 4), np.float32)
    lesioned = target - np.array([0, 0.019, 0.021, 0.5], np.float32)
    share = np.array([[[0.5, 0.5, 0.5, 1.2]]], np.float32)
    np.testing.assert_allclose(visible_share(Example(lesioned, target, share)), [[[0, 0, 0.5, 1]]])


@pytest.mark.slow
def test_both_outputs_learn_and_an_end_can_be_set(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, 'validate', lambda *_: {'validation_loss': 0.0})
    open_end = replace(CONFIG, stages=(Stage(until=1000, crop_vox=16),), decay_share=0.0)
    work = tmp_path / 'work'
    begun = replace(open_end, stages=(Stage(until=2, crop_vox=16),))
    before = train(begun, sources, [], work, interval=1)
    assert np.asarray(before.get_layer('lesion_subvolumes').kernel).any()
    config = finish_in(open_end, work, 3)
    assert config.steps == 5
    assert config.decay_share * config.steps == pytest.approx(3)
    network = train(config, sources, [], work, interval=1)
    assert int(network.optimizer.iterations) == 5
    # Given once more, or by a run that was stopped, it ends where it was to end.
    assert finish_in(open_end, work, 3) == config


def test_weights_of_a_network_without_second_output_are_taken():
    old = build_unet(replace(TINY, lesion_output=False))
    network = build_unet(TINY)
    take_weights(network, old)
    taken = {v.path: np.asarray(v) for v in network.variables}
    for variable in old.variables:
        np.testing.assert_array_equal(taken[variable.path], np.asarray(variable))
    np.testing.assert_array_equal(taken['lesion_subvolumes/bias'], -4)


@pytest.mark.parametrize('other', [{'filters': 3}, {'levels': 3}])
def test_weights_of_another_architecture_are_refused(other):
    with pytest.raises(ValueError, match=r'no .* of shape'):
        take_weights(build_unet(TINY), build_unet(replace(TINY, **other)))


def test_an_end_can_be_set_before_the_first_step(tmp_path):
    open_end = replace(CONFIG, stages=(Stage(until=1000, crop_vox=16),), decay_share=0.0)
    assert finish_in(open_end, tmp_path / 'new', 3).steps == 3
