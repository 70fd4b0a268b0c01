"""The whole loop on tiny volumes."""

import csv
from dataclasses import replace

import keras
import nibabel as nb
import numpy as np
import pytest
from scipy import ndimage

from bids_inpaint.image.template import SPACE, Template, load_template
from bids_inpaint.network.card import read_card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.weights import save_weights
from bids_inpaint.training import __main__ as command
from bids_inpaint.training import assess, batches, examples, loop, pipeline, ventricles
from bids_inpaint.training.configs import Stage, TrainingConfig, blind, data_split
from bids_inpaint.training.deform import DeformConfig
from bids_inpaint.training.lesions import LesionConfig
from bids_inpaint.training.loop import (
    CHECKPOINT_FILE,
    LOG_FILE,
    compile_network,
    is_over,
    load_checkpoint,
    train,
)
from bids_inpaint.training.schedule import ConstantThenLinear

SHAPE = (24, 24, 24)
CONFIG = TrainingConfig(
    architecture=UNetConfig(filters=2, levels=2, reconstruction_filters=2, window_vox=16),
    lesions=LesionConfig(
        healthy_share=0,
        deform=DeformConfig(rotation_deg=20, scale=(0.8, 1.3), shift_vox=1, warp_vox=3),
        dots_per_image=(2, 3),
    ),
    stages=(
        Stage(until=2, crop_vox=16),
        Stage(until=4, crop_vox=0),
    ),
    mixed_precision=False,
)


@pytest.fixture
def brains():
    t1w = np.full(SHAPE, 1.4, np.float16)
    t1w[:3] = 0
    t1w[12:14] = 0.9
    return [pipeline.Brain('made', name, t1w, 1.4, 1.15) for name in ('01', '02')]


@pytest.fixture
def masks():
    mask = np.zeros(SHAPE, bool)
    mask[8:11, 8:16, 8:16] = True
    return [mask]


@pytest.fixture(autouse=True)
def _white_matter_in_the_middle(monkeypatch):
    monkeypatch.setattr(pipeline, '_white_matter_voxels', lambda: np.array([[12, 12, 12]]))
    monkeypatch.setattr(pipeline, '_brain_box', lambda: np.array([[0, 0, 0], SHAPE]))


def test_batches_are_the_same_at_the_same_number(brains, masks):
    whole = batches.Batches(brains, masks, CONFIG)
    late = batches.Batches(brains, masks, CONFIG, first=3)
    assert (len(whole), len(late)) == (4, 1)
    for first, second in zip(whole[3], late[0], strict=True):
        for a, b in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(whole[0][0], whole[1][0])
    assert whole[0][0].shape == (1, 16, 16, 16, 1)
    assert whole[2][1]['reconstructed'].shape == (1, *SHAPE, 2)


def test_more_workers_make_the_same(brains, masks):
    config = replace(CONFIG, learning_rate=0.0, stages=(Stage(until=6, crop_vox=16),))
    losses = []
    for workers in (1, 3):
        network = compile_network(config, config.stages[0])
        made = batches.Batches(brains, masks, config, workers=workers)
        losses.append(network.fit(made, shuffle=False, verbose=0).history['loss'])
    assert losses[0] == losses[1]


def test_boxes_lie_around_white_matter_or_in_that_of_the_brain(monkeypatch):
    monkeypatch.setattr(pipeline, '_brain_box', lambda: np.array([[4, 2, 0], [14, 7, 20]]))
    rng = np.random.default_rng(0)
    drawn = [pipeline.draw_box(SHAPE, 8, rng) for _ in range(200)]
    around = [box for box in drawn if box == (slice(8, 16),) * 3]
    assert 70 < len(around) < 130
    for x, y, z in (box for box in drawn if box not in around):
        assert 4 <= x.start < x.stop <= 14
        assert y == slice(2, 10)  # larger than the brain
        assert 0 <= z.start < z.stop <= 20


def test_lesions_lie_in_white_matter(brains, masks):
    box = pipeline.draw_box(SHAPE, 0, np.random.default_rng(0))
    config = LesionConfig(healthy_share=0, rim_sigma_vox=(0.01, 0.01))
    example = pipeline.simulate(brains[0], masks, box, np.random.default_rng(0), config)
    assert example.share.any()
    assert (example.target[example.share > 0] > 1.15).all()
    np.testing.assert_array_equal(
        example.lesioned[example.share == 0], example.target[example.share == 0]
    )


def test_what_is_hidden_is_told_and_the_rest_is_left(brains, masks):
    config = replace(CONFIG, task='nonblind')
    inputs, targets = batches.Batches(brains, masks, config)[0]
    t1w, share = np.moveaxis(targets['reconstructed'], -1, 0)
    hidden = share == 1
    assert hidden.any()
    assert set(np.unique(share)) == {0, 1}
    assert (inputs[..., 0][hidden] == pipeline.HIDDEN).all()
    np.testing.assert_array_equal(inputs[..., 0][~hidden], t1w[~hidden])
    assert (t1w[hidden] > 0).all()


def test_white_matter_is_equally_bright_where_lesions_are_hidden(brains, masks):
    config = replace(CONFIG, task='nonblind')
    dark = [replace(brain, t1w=brain.t1w * np.float16(0.7)) for brain in brains]
    dark = [replace(brain, white_matter_mean=0.98, white_matter_lowest=0.8) for brain in dark]
    for group in (brains, dark):
        made = batches.Batches(group, masks, config)
        targets = [made[number][1]['reconstructed'][..., 0] for number in range(4)]
        medians = [np.median(target[target > 1.2]) for target in targets]
        np.testing.assert_allclose(medians, 1.4, atol=0.03)


@pytest.mark.parametrize('margin', [0, 2])
def test_what_is_hidden_reaches_beyond_lesions_by_a_margin(masks, margin):
    config = replace(CONFIG.lesions, hidden_margin_vox=(margin, margin))
    grown = pipeline.grow(masks[0], np.random.default_rng(0), config)
    assert (grown.sum() == masks[0].sum()) == (margin == 0)
    distance = ndimage.distance_transform_cdt(~masks[0], 'taxicab')
    np.testing.assert_array_equal(grown, distance <= margin)


@pytest.mark.parametrize(('beyond', 'anywhere'), [(0.0, False), (1.0, True)])
def test_some_of_what_is_hidden_lies_beyond_white_matter(brains, masks, beyond, anywhere):
    config = replace(CONFIG.lesions, beyond_white_matter=beyond)
    box = pipeline.draw_box(SHAPE, 0, np.random.default_rng(0))
    drawn = [
        pipeline.hide(brains[0], masks, box, np.random.default_rng(seed), config)
        for seed in range(8)
    ]
    assert any((e.target[e.share > 0] < 1).any() for e in drawn) == anywhere
    assert all((e.target[e.share > 0] > 0).all() for e in drawn)


def test_filling_is_measured_where_it_was_hidden():
    target = np.ones(SHAPE, np.float32)
    target[:12] = 2
    share = np.zeros(SHAPE, np.float32)
    share[4:8, 4:8, 4:8] = 1
    example = pipeline.Example(pipeline.conceal(target, share > 0), target, share)
    everywhere = target + np.float32(0.1)  # outside the mask it does not count
    figures = assess.measure_filling(
        [assess.Prediction(example, everywhere, np.ones(SHAPE, bool))]
    )
    assert figures['error_inside'] == pytest.approx(0.1, abs=1e-6)
    gained = figures['psnr_after_db'] - figures['psnr_before_db']
    assert gained == pytest.approx(20 * np.log10(3 / 0.1), abs=1e-3)
    assert figures['correlation_before'] < figures['correlation_after'] < 1


def test_a_network_to_begin_with_is_taken(tmp_path, brains, masks):
    config = replace(CONFIG, stages=(Stage(until=1, crop_vox=16),), learning_rate=0.0)
    begun = compile_network(replace(config, seed=5), config.stages[0])
    card = {'name': 'blind', 'architecture': config.architecture}
    save_weights(begun, tmp_path / 'start', card)
    drawn = examples.validation_examples(brains[:1], masks, CONFIG)
    network = train(config, brains, masks, drawn, tmp_path / 'work', start=tmp_path / 'start')
    for a, b in zip(network.variables, begun.variables, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-3)  # stored as fp16


def test_some_examples_are_healthy(brains, masks):
    config = replace(CONFIG.lesions, healthy_share=1.0)
    box = pipeline.draw_box(SHAPE, 0, np.random.default_rng(0))
    example = pipeline.simulate(brains[0], masks, box, np.random.default_rng(0), config)
    np.testing.assert_array_equal(example.lesioned, example.target)


def test_lesion_error_of_cores_leaves_the_rim_out():
    before = _prediction(0.0)
    share = before.example.share.copy()
    share[7, 8:14, 8:14] = 0.2
    lesioned = np.where(share > 0, before.example.target - 0.4 * share, before.example.target)
    example = pipeline.Example(lesioned.astype(np.float32), before.example.target, share)
    filled = np.where(share > 0.5, example.target, example.lesioned)
    assert assess.pooled_lesion_error([(example, filled)], assess.LESION_SHARE) == 0
    assert assess.pooled_lesion_error([(example, filled)]) == pytest.approx(0.032, abs=1e-3)


@pytest.mark.slow
def test_running_average_validates_and_is_the_result(tmp_path, brains, masks, monkeypatch):
    config = replace(CONFIG, average=0.5, stages=(Stage(until=2, crop_vox=16),))
    validated = []
    monkeypatch.setattr(
        loop,
        'validate',
        lambda network, *_: validated.append(network.get_weights()) or {'validation_loss': 0.0},
    )
    plain = train(replace(config, average=0.0), brains, masks, [], tmp_path / 'plain', interval=1)
    validated.clear()
    averaged = train(config, brains, masks, [], tmp_path / 'averaged', interval=1)
    with np.load(tmp_path / 'averaged' / CHECKPOINT_FILE) as last:
        for variable, other in zip(averaged.variables, plain.variables, strict=True):
            # The training itself goes on with the weights of the last step.
            np.testing.assert_array_equal(last[f'network/{variable.path}'], np.asarray(other))
    first, second = validated
    halfway = [(a + b) / 2 for a, b in zip(first, plain.get_weights(), strict=True)]
    for got, shown, wanted in zip(averaged.get_weights(), second, halfway, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        np.testing.assert_array_equal(got, shown)
    again = train(config, brains, masks, [], tmp_path / 'averaged', interval=1)
    for got, wanted in zip(again.get_weights(), averaged.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, brains, masks):
    drawn = examples.validation_examples(brains[:1], masks, CONFIG)
    whole = train(CONFIG, brains, masks, drawn, tmp_path / 'whole', interval=2)

    class StoppedError(Exception):
        pass

    stopped = replace(CONFIG, stages=CONFIG.stages[:1])
    train(stopped, brains, masks, drawn, tmp_path / 'parts', interval=2)
    # The learning rate of the shorter config falls earlier: compare with the same config.
    again = train(stopped, brains, masks, drawn, tmp_path / 'again', interval=1)
    twice = compile_network(stopped, stopped.stages[0])
    assert load_checkpoint(twice, tmp_path / 'parts' / CHECKPOINT_FILE) == 2
    for a, b in zip(again.variables, twice.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert len(whole.variables) == len(twice.variables)
    with (tmp_path / 'whole' / LOG_FILE).open() as stream:
        assert [row['step'] for row in csv.DictReader(stream)] == ['2', '4']


@pytest.mark.slow
def test_killed_training_resumes_with_the_same_weights(tmp_path, brains, masks, monkeypatch):
    drawn = examples.validation_examples(brains[:1], masks, CONFIG)
    config = replace(CONFIG, stages=(Stage(until=4, crop_vox=16),))
    whole = train(config, brains, masks, drawn, tmp_path / 'whole', interval=2)
    calls = []

    def fail_at_third(self, number, size):
        calls.append(number)
        if number == 3:
            raise KeyboardInterrupt
        return original(self, number, size)

    original = batches.Batches._example
    monkeypatch.setattr(batches.Batches, '_example', fail_at_third)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - Keras may wrap it
        train(config, brains, masks, drawn, tmp_path / 'parts', interval=2)
    monkeypatch.setattr(batches.Batches, '_example', original)
    resumed = train(config, brains, masks, drawn, tmp_path / 'parts', interval=2)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=a.path)
    assert int(resumed.optimizer.iterations) == 4


@pytest.mark.parametrize(
    ('losses', 'over'),
    [([], False), ([3, 2], False), ([2, 3, 2], True), ([3, 2, 1], False), ([1, 3, 2, 0.5], False)],
)
def test_a_training_is_over_when_nothing_was_gained_for_long(losses, over):
    assert is_over(losses, replace(CONFIG, patience=2)) == over
    assert not is_over(losses, CONFIG)


@pytest.mark.slow
def test_training_stops_early_and_gives_the_best(tmp_path, brains, masks, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    monkeypatch.setattr(loop, 'validate', lambda *_: {'validation_loss': next(losses)})
    config = replace(CONFIG, patience=2, stages=(Stage(until=9, crop_vox=16),))
    network = train(config, brains, masks, [], tmp_path, interval=1)
    with (tmp_path / LOG_FILE).open() as stream:
        assert [row['step'] for row in csv.DictReader(stream)] == ['1', '2', '3', '4']
    assert int(network.optimizer.iterations) == 2
    assert int(train(config, brains, masks, [], tmp_path, interval=1).optimizer.iterations) == 2


def test_learning_rate_rises_stays_and_falls_to_zero():
    rate = ConstantThenLinear(1e-3, 1000, 0.5)
    assert float(rate(0)) == pytest.approx(1e-5)
    assert float(rate(100)) == float(rate(499)) == pytest.approx(1e-3)
    assert float(rate(750)) == pytest.approx(5e-4)
    assert float(rate(1000)) == float(rate(2000)) == 0
    assert ConstantThenLinear(**rate.get_config()).get_config() == rate.get_config()


def test_stage_of_each_step():
    assert [CONFIG.stage_at(step).crop_vox for step in (0, 1, 2, 3, 9)] == [16, 16, 0, 0, 0]
    assert CONFIG.steps == 4
    assert blind.get_config().steps == blind.get_config().stages[-1].until


def test_the_split_has_each_participant_once():
    sides = [(data_split.TEST_MASKS, data_split.VALIDATION_MASKS)]
    for dataset, held_back in data_split.VALIDATION_PARTICIPANTS.items():
        sides.append((data_split.TEST_PARTICIPANTS[dataset], held_back))
    for test, validation in sides:
        assert not set(test) & set(validation)
    # What the owners of the data set aside for testing.
    assert {'openms26', 'mslesseg18'} <= set(data_split.TEST_MASKS)
    assert len(data_split.TEST_MASKS) == 8
    assert examples.side_of_brain('ds002748', '06') == 'test'
    assert examples.side_of_brain('ds000011', '09') == 'validation'
    assert examples.side_of_brain('ds000011', '06') == 'training'
    assert examples.side_of_brain('other', '06') == 'training'
    assert examples.side_of_mask('mslesseg14') == 'validation'
    assert examples.side_of_mask('openms01') == 'training'


def test_derivatives_are_found_by_their_names(tmp_path):
    anat = tmp_path / 'sub-a1' / 'ses-2' / 'anat'
    anat.mkdir(parents=True)
    mask = nb.Nifti1Image(np.eye(3, dtype=np.uint8)[None], np.eye(4))
    mask.to_filename(anat / f'sub-a1_ses-2_space-{SPACE}_label-lesion_mask.nii.gz')
    (found,) = pipeline.find_masks(tmp_path)
    assert pipeline.participant_of(found) == 'a1'
    assert pipeline.load_mask(found).sum() == 3
    with pytest.raises(FileNotFoundError, match=r'no file .*desc-preproc_T1w'):
        pipeline.find_brains(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no file .*label-lesion_mask'):
        pipeline.find_masks(tmp_path / 'sub-none')


def _prediction(filled):
    ramp = np.linspace(1.2, 1.4, SHAPE[0], dtype=np.float32)
    target = np.broadcast_to(ramp[:, None, None], SHAPE).copy()
    share = np.zeros(SHAPE, np.float32)
    share[8:14, 8:14, 8:14] = 1
    lesioned = np.where(share > 0, target - np.float32(0.4), target)
    inpainted = lesioned + np.float32(filled) * (target - lesioned) + np.float32(0.01)
    return assess.Prediction(
        pipeline.Example(lesioned, target, share), inpainted, np.ones(SHAPE, bool)
    )


@pytest.fixture
def no_ventricles(monkeypatch):
    nowhere = np.zeros(SHAPE, np.float32)
    maps = Template(nowhere, nowhere, nowhere, np.ones(SHAPE, bool))
    monkeypatch.setattr(assess, 'load_template', lambda: maps)


def test_a_change_is_taken_where_the_app_takes_it(monkeypatch):
    def half(t1w, brain_mask, maps):
        np.testing.assert_array_equal(t1w, prediction.example.lesioned)
        assert maps is load_template()
        return brain_mask & (np.indices(SHAPE)[0] < 11)

    prediction = _prediction(0.9)
    monkeypatch.setattr(assess, 'brain_without_ventricles', half)
    _, changed = assess.apply_thresholds(prediction, edge_threshold=0.1, core_threshold=0.2)
    assert changed[10].any()
    assert not changed[11:].any()


@pytest.mark.usefixtures('no_ventricles')
def test_thresholds_keep_lesions_and_drop_small_changes():
    lesioned = _prediction(0.9)
    healthy = replace(
        lesioned,
        example=lesioned.example._replace(lesioned=lesioned.example.target),
        inpainted=lesioned.example.target + np.float32(0.03),
    )
    chosen = assess.choose_change_thresholds([lesioned], [healthy])
    assert chosen['change_core_threshold'] > 0.03
    figures = assess.measure(
        [lesioned],
        [healthy],
        edge_threshold=chosen['change_edge_threshold'],
        core_threshold=chosen['change_core_threshold'],
    )
    assert figures['healthy_change_ml'] == 0
    assert figures['lesion_error'] == pytest.approx(0.075, abs=1e-3)
    assert figures['lesion_error_composite'] == pytest.approx(0.075, abs=1e-3)
    assert figures['lesion_core_error'] == pytest.approx(0.075, abs=1e-3)
    assert figures['healthy_psnr_db'] == pytest.approx(20 * np.log10(1.4 / 0.03), abs=0.01)


def test_caps_touch_the_ventricle(brains, monkeypatch):
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones(SHAPE, bool))
    dark = brains[0].t1w.copy()
    dark[10:14, 10:14, 10:14] = 0.3
    brain = replace(brains[0], t1w=dark)
    config = replace(
        CONFIG.lesions,
        masks_per_image=(0, 0),
        dots_per_image=(0, 0),
        healthy_share=0,
        caps_probability=1,
        cap_width_vox=(2.0, 3.0),
    )
    box = (slice(6, 18),) * 3
    example = pipeline.simulate(brain, [], box, np.random.default_rng(0), config)
    fluid = example.target < 0.5
    assert fluid.any()
    np.testing.assert_array_equal(example.lesioned[fluid], example.target[fluid])
    rim = ndimage.binary_dilation(fluid) & ~fluid
    assert (example.lesioned[rim] < example.target[rim]).mean() > 0.9


def test_thresholds_are_chosen_anew_and_written(tmp_path, monkeypatch):
    card = {'name': 'blind', 'architecture': CONFIG.architecture, 'metrics': {'old': 1}}
    card['training'] = {'patients': ['p']}
    save_weights(compile_network(CONFIG, CONFIG.stages[0]), tmp_path, card)
    chosen = {
        'change_edge_threshold': 0.04,
        'change_core_threshold': 0.3,
        'lesion_threshold': 0.08,
        'lesion_dice': 0.5,
    }
    sides = []
    monkeypatch.setattr(command, 'load_brains', lambda _, side: sides.append(side) or [])
    left_out = []
    monkeypatch.setattr(command, 'load_masks', lambda *_, without: left_out.append(without) or [])
    monkeypatch.setattr(command, '_choose_thresholds', lambda *_: dict(chosen))
    monkeypatch.setattr(command, '_assess', lambda _, side: sides.append(side))
    data = ['--brains', 'b', '--masks', 'm', '--out', str(tmp_path)]
    assert command.main(['assess', '--choose-thresholds', *data]) == 0
    after = read_card(tmp_path)
    assert sides == ['validation', 'validation', 'test']
    assert left_out == [{'p'}], 'whoever trained it does not validate it'
    assert (after.change_edge_threshold, after.change_core_threshold) == (0.04, 0.3)
    assert after.lesion_threshold == 0.08
    assert after.metrics == {'old': 1, 'validation_lesion_dice': 0.5}


def test_brains_that_come_back_unchanged_do_not_spoil_the_mean():
    assert assess._pooled([np.inf, 40.0]) == pytest.approx(40 + 10 * np.log10(2))
