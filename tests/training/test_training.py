"""The whole loop on tiny volumes."""

import csv
import json
from dataclasses import replace

import keras
import nibabel as nb
import numpy as np
import pytest
from scipy import ndimage

from bids_inpaint.bids.names import TEMPLATE_SPACE
from bids_inpaint.image.template import Template, load_template
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.card import read_card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.weights import save_weights
from bids_inpaint.training import __main__ as command
from bids_inpaint.training import data, loop, split, tasks, thresholds
from bids_inpaint.training.configs import Stage, TrainingConfig, blind
from bids_inpaint.training.examples import batches, frozen, simulate, ventricles
from bids_inpaint.training.examples.deform import DeformConfig
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.loop import (
    CHECKPOINT_FILE,
    LOG_FILE,
    compile_network,
    is_over,
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
    return [data.Brain('made', name, t1w, 1.4, 1.15) for name in ('01', '02')]


@pytest.fixture
def masks():
    mask = np.zeros(SHAPE, bool)
    mask[8:11, 8:16, 8:16] = True
    return [mask]


def _sources(brains, masks):
    return batches.Sources(brains=brains, masks=masks)


@pytest.fixture(autouse=True)
def _white_matter_in_the_middle(monkeypatch):
    monkeypatch.setattr(simulate, '_white_matter_voxels', lambda: np.array([[12, 12, 12]]))
    monkeypatch.setattr(simulate, '_brain_box', lambda: np.array([[0, 0, 0], SHAPE]))
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones((1, 1, 1), bool))


def test_batches_are_the_same_at_the_same_number(brains, masks):
    whole = batches.Batches(batches.Sources(brains=brains, masks=masks), CONFIG)
    late = batches.Batches(batches.Sources(brains=brains, masks=masks), CONFIG, first=3)
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
        made = batches.Batches(
            batches.Sources(brains=brains, masks=masks), config, workers=workers
        )
        losses.append(network.fit(made, shuffle=False, verbose=0).history['loss'])
    assert losses[0] == losses[1]


def test_boxes_lie_around_white_matter_or_in_that_of_the_brain(monkeypatch):
    monkeypatch.setattr(simulate, '_brain_box', lambda: np.array([[4, 2, 0], [14, 7, 20]]))
    rng = np.random.default_rng(0)
    drawn = [simulate.draw_box(SHAPE, 8, rng) for _ in range(200)]
    around = [box for box in drawn if box == (slice(8, 16),) * 3]
    assert 70 < len(around) < 130
    for x, y, z in (box for box in drawn if box not in around):
        assert 4 <= x.start < x.stop <= 14
        assert y == slice(2, 10)  # larger than the brain
        assert 0 <= z.start < z.stop <= 20


def test_lesions_lie_in_white_matter(brains, masks):
    box = simulate.draw_box(SHAPE, 0, np.random.default_rng(0))
    config = LesionConfig(healthy_share=0, rim_sigma_vox=(0.01, 0.01))
    example = simulate.simulate(
        simulate.take_anatomy(brains[0], box), masks, box, np.random.default_rng(0), config
    )
    assert example.share.any()
    assert (example.target[example.share > 0] > 1.15).all()
    np.testing.assert_array_equal(
        example.lesioned[example.share == 0], example.target[example.share == 0]
    )


def test_what_is_hidden_is_told_and_the_rest_is_left(brains, masks):
    config = replace(CONFIG, task='nonblind')
    inputs, targets = batches.Batches(batches.Sources(brains=brains, masks=masks), config)[0]
    t1w, share = np.moveaxis(targets['reconstructed'], -1, 0)
    hidden = share == 1
    assert hidden.any()
    assert set(np.unique(share)) == {0, 1}
    assert (inputs[..., 0][hidden] == simulate.HIDDEN).all()
    np.testing.assert_array_equal(inputs[..., 0][~hidden], t1w[~hidden])
    assert (t1w[hidden] > 0).all()


def test_white_matter_is_equally_bright_where_lesions_are_hidden(brains, masks):
    config = replace(CONFIG, task='nonblind')
    dark = [replace(brain, t1w=brain.t1w * np.float16(0.7)) for brain in brains]
    dark = [replace(brain, white_matter_mean=0.98, white_matter_lowest=0.8) for brain in dark]
    for group in (brains, dark):
        made = batches.Batches(batches.Sources(brains=group, masks=masks), config)
        targets = [made[number][1]['reconstructed'][..., 0] for number in range(4)]
        medians = [np.median(target[target > 1.2]) for target in targets]
        np.testing.assert_allclose(medians, 1.4, atol=0.03)


@pytest.mark.parametrize('margin', [0, 2])
def test_what_is_hidden_reaches_beyond_lesions_by_a_margin(masks, margin):
    config = replace(CONFIG.lesions, hidden_margin_vox=(margin, margin))
    grown = simulate.grow(masks[0], np.random.default_rng(0), config)
    assert (grown.sum() == masks[0].sum()) == (margin == 0)
    distance = ndimage.distance_transform_cdt(~masks[0], 'taxicab')
    np.testing.assert_array_equal(grown, distance <= margin)


@pytest.mark.parametrize(('beyond', 'anywhere'), [(0.0, False), (1.0, True)])
def test_some_of_what_is_hidden_lies_beyond_white_matter(brains, masks, beyond, anywhere):
    config = replace(CONFIG.lesions, beyond_white_matter=beyond)
    box = simulate.draw_box(SHAPE, 0, np.random.default_rng(0))
    anatomy = simulate.take_anatomy(brains[0], box)
    drawn = [
        simulate.hide(anatomy, masks, box, np.random.default_rng(seed), config)
        for seed in range(8)
    ]
    assert any((e.target[e.share > 0] < 1).any() for e in drawn) == anywhere
    assert all((e.target[e.share > 0] > 0).all() for e in drawn)


def test_white_matter_is_paler_around_what_is_hidden_if_the_config_says_so(brains, masks):
    box = simulate.draw_box(SHAPE, 0, np.random.default_rng(0))
    anatomy = simulate.take_anatomy(brains[0], box)
    pale = replace(CONFIG.lesions, halo_probability=1.0, halo_depth=(0.2, 0.2))
    made = [
        simulate.hide(anatomy, masks, box, np.random.default_rng(1), config)
        for config in (CONFIG.lesions, pale)
    ]
    np.testing.assert_array_equal(made[0].share, made[1].share)
    ratio = made[1].target[anatomy.white_matter] / made[0].target[anatomy.white_matter]
    assert 0.79 < ratio.min() < 0.95
    others = ~anatomy.white_matter
    np.testing.assert_array_equal(made[1].target[others], made[0].target[others])


def test_filling_is_measured_where_it_was_hidden():
    target = np.ones(SHAPE, np.float32)
    target[:12] = 2
    share = np.zeros(SHAPE, np.float32)
    share[4:8, 4:8, 4:8] = 1
    example = data.Example(simulate.conceal(target, share > 0), target, share)
    everywhere = target + np.float32(0.1)  # outside the mask it does not count
    figures = thresholds.measure_filling([_predicted(example, everywhere)])
    assert figures['error_inside'] == pytest.approx(0.1, abs=1e-6)
    gained = figures['psnr_after_db'] - figures['psnr_before_db']
    assert gained == pytest.approx(20 * np.log10(3 / 0.1), abs=1e-3)
    assert figures['correlation_before'] < figures['correlation_after'] < 1


def test_a_network_to_begin_with_is_taken(tmp_path, brains, masks):
    config = replace(CONFIG, stages=(Stage(until=1, crop_vox=16),), learning_rate=0.0)
    begun = compile_network(replace(config, seed=5), config.stages[0])
    card = {'name': 'blind', 'architecture': config.architecture}
    save_weights(begun, tmp_path / 'start', card)
    drawn = frozen.validation_examples(brains[:1], masks, CONFIG)
    network = train(
        config, _sources(brains, masks), drawn, tmp_path / 'work', start=tmp_path / 'start'
    )
    for a, b in zip(network.variables, begun.variables, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-3)  # stored as fp16


def test_some_examples_are_healthy(brains, masks):
    config = replace(CONFIG.lesions, healthy_share=1.0)
    box = simulate.draw_box(SHAPE, 0, np.random.default_rng(0))
    example = simulate.simulate(
        simulate.take_anatomy(brains[0], box), masks, box, np.random.default_rng(0), config
    )
    np.testing.assert_array_equal(example.lesioned, example.target)


def test_lesion_error_of_cores_leaves_the_rim_out():
    before = _prediction(0.0)
    share = before.example.share.copy()
    share[7, 8:14, 8:14] = 0.2
    lesioned = np.where(share > 0, before.example.target - 0.4 * share, before.example.target)
    example = data.Example(lesioned.astype(np.float32), before.example.target, share)
    filled = np.where(share > 0.5, example.target, example.lesioned)
    assert thresholds.pooled_lesion_error([(example, filled)], thresholds.LESION_SHARE) == 0
    assert thresholds.pooled_lesion_error([(example, filled)]) == pytest.approx(0.032, abs=1e-3)


@pytest.mark.slow
def test_running_average_validates_and_is_the_result(tmp_path, brains, masks, monkeypatch):
    config = replace(CONFIG, average=0.5, stages=(Stage(until=2, crop_vox=16),))
    validated = []
    monkeypatch.setattr(
        loop,
        'validate',
        lambda network, *_: validated.append(network.get_weights()) or {'validation_loss': 0.0},
    )
    plain = train(
        replace(config, average=0.0), _sources(brains, masks), [], tmp_path / 'plain', interval=1
    )
    validated.clear()
    averaged = train(config, _sources(brains, masks), [], tmp_path / 'averaged', interval=1)
    with np.load(tmp_path / 'averaged' / CHECKPOINT_FILE) as last:
        for variable, other in zip(averaged.variables, plain.variables, strict=True):
            # The training itself goes on with the weights of the last step.
            np.testing.assert_array_equal(last[f'network/{variable.path}'], np.asarray(other))
    first, second = validated
    halfway = [(a + b) / 2 for a, b in zip(first, plain.get_weights(), strict=True)]
    for got, shown, wanted in zip(averaged.get_weights(), second, halfway, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        np.testing.assert_array_equal(got, shown)
    again = train(config, _sources(brains, masks), [], tmp_path / 'averaged', interval=1)
    for got, wanted in zip(again.get_weights(), averaged.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, brains, masks):
    drawn = frozen.validation_examples(brains[:1], masks, CONFIG)
    whole = train(CONFIG, _sources(brains, masks), drawn, tmp_path / 'whole', interval=2)

    class StoppedError(Exception):
        pass

    stopped = replace(CONFIG, stages=CONFIG.stages[:1])
    train(stopped, _sources(brains, masks), drawn, tmp_path / 'parts', interval=2)
    # The learning rate of the shorter config falls earlier: compare with the same config.
    again = train(stopped, _sources(brains, masks), drawn, tmp_path / 'again', interval=1)
    twice = compile_network(stopped, stopped.stages[0])
    checkpoint = tmp_path / 'parts' / CHECKPOINT_FILE
    loop.load_checkpoint(twice, checkpoint)
    assert loop.steps_done(checkpoint) == 2
    for a, b in zip(again.variables, twice.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert len(whole.variables) == len(twice.variables)
    with (tmp_path / 'whole' / LOG_FILE).open() as stream:
        assert [row['step'] for row in csv.DictReader(stream)] == ['2', '4']


@pytest.mark.slow
def test_killed_training_resumes_with_the_same_weights(tmp_path, brains, masks, monkeypatch):
    drawn = frozen.validation_examples(brains[:1], masks, CONFIG)
    config = replace(CONFIG, stages=(Stage(until=4, crop_vox=16),))
    whole = train(config, _sources(brains, masks), drawn, tmp_path / 'whole', interval=2)
    calls = []

    def fail_at_third(self, number):
        calls.append(number)
        if number == 3:
            raise KeyboardInterrupt
        return original(self, number)

    original = batches.Batches.example
    monkeypatch.setattr(batches.Batches, 'example', fail_at_third)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - Keras may wrap it
        train(config, _sources(brains, masks), drawn, tmp_path / 'parts', interval=2)
    monkeypatch.setattr(batches.Batches, 'example', original)
    resumed = train(config, _sources(brains, masks), drawn, tmp_path / 'parts', interval=2)
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
    network = train(config, _sources(brains, masks), [], tmp_path, interval=1)
    with (tmp_path / LOG_FILE).open() as stream:
        assert [row['step'] for row in csv.DictReader(stream)] == ['1', '2', '3', '4']
    assert int(network.optimizer.iterations) == 2
    assert (
        int(train(config, _sources(brains, masks), [], tmp_path, interval=1).optimizer.iterations)
        == 2
    )


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
    sides = [(split.TEST_MASKS, split.VALIDATION_MASKS)]
    for dataset, held_back in split.VALIDATION_PARTICIPANTS.items():
        sides.append((split.TEST_PARTICIPANTS.get(dataset, ()), held_back))
    for test, validation in sides:
        assert not set(test) & set(validation)
    # What the owners of the data set aside for testing.
    assert {'openms26', 'mslesseg18'} <= set(split.TEST_MASKS)
    assert len(split.TEST_MASKS) == 8
    assert split.side_of_brain('ds002748', '06') == 'test'
    assert split.side_of_brain('ds000011', '09') == 'validation'
    assert split.side_of_brain('ds000011', '06') == 'training'
    assert split.side_of_brain('other', '06') == 'training'
    assert split.side_of_brain('other-scanners', 'aomic1') == 'validation'
    assert split.side_of_label_map('seg03') == 'validation'
    assert split.side_of_label_map('seg01') == 'training'
    assert split.side_of_mask('mslesseg14') == 'validation'
    assert split.side_of_mask('openms01') == 'training'


def test_derivatives_are_found_by_their_names(tmp_path):
    anat = tmp_path / 'sub-a1' / 'ses-2' / 'anat'
    anat.mkdir(parents=True)
    mask = nb.Nifti1Image(np.eye(3, dtype=np.uint8)[None], np.eye(4))
    mask.to_filename(anat / f'sub-a1_ses-2_space-{TEMPLATE_SPACE}_label-lesion_mask.nii.gz')
    (found,) = data.find_masks(tmp_path)
    assert data.participant_of(found) == 'a1'
    assert data.load_mask(found).sum() == 3
    with pytest.raises(FileNotFoundError, match=r'no file .*desc-preproc_T1w'):
        data.find_brains(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no file .*label-lesion_mask'):
        data.find_masks(tmp_path / 'sub-none')


def _prediction(filled):
    ramp = np.linspace(1.2, 1.4, SHAPE[0], dtype=np.float32)
    target = np.broadcast_to(ramp[:, None, None], SHAPE).copy()
    share = np.zeros(SHAPE, np.float32)
    share[8:14, 8:14, 8:14] = 1
    lesioned = np.where(share > 0, target - np.float32(0.4), target)
    inpainted = lesioned + np.float32(filled) * (target - lesioned) + np.float32(0.01)
    return _predicted(data.Example(lesioned, target, share), inpainted)


def _predicted(example, inpainted):
    return thresholds.Predicted(example, Prediction(inpainted), np.ones(SHAPE, bool))


@pytest.fixture
def no_ventricles(monkeypatch):
    nowhere = np.zeros(SHAPE, np.float32)
    maps = Template(nowhere, nowhere, nowhere, np.ones(SHAPE, bool))
    monkeypatch.setattr(thresholds, 'load_template', lambda: maps)


def test_a_change_is_taken_where_the_app_takes_it(monkeypatch):
    def half(t1w, brain_mask, maps, probability):
        np.testing.assert_array_equal(t1w, prediction.example.lesioned)
        assert maps is load_template()
        assert probability is prediction.prediction.probability
        return brain_mask & (np.indices(SHAPE)[0] < 11)

    prediction = _prediction(0.9)
    monkeypatch.setattr(thresholds, 'brain_without_ventricles', half)
    _, changed = prediction.composite(0.1, 0.2)
    assert changed[10].any()
    assert not changed[11:].any()


@pytest.mark.usefixtures('no_ventricles')
def test_the_operating_point_keeps_lesions_and_drops_small_changes():
    lesioned = _prediction(0.9)
    target = lesioned.example.target
    healthy = _predicted(lesioned.example._replace(lesioned=target), target + np.float32(0.03))
    healthy = replace(healthy, example=healthy.example._replace(share=0 * target))
    costs = [[thresholds.weigh_points(p)] for p in (lesioned, healthy)]
    chosen = thresholds.choose_point(*costs)
    assert chosen.excess <= 1
    assert chosen.point.core > 0.03 or chosen.point.edge > 0.03
    assert chosen.error == pytest.approx(0.075, abs=1e-3)
    figures = thresholds.measure(
        [lesioned],
        [healthy],
        edge_threshold=chosen.point.edge,
        core_threshold=max(chosen.point.core, 0.06),
    )
    assert figures['healthy_change_ml'] == 0
    assert figures['lesion_error'] == pytest.approx(0.075, abs=1e-3)
    assert figures['lesion_error_composite'] == pytest.approx(0.075, abs=1e-3)
    assert figures['lesion_core_error'] == pytest.approx(0.075, abs=1e-3)
    assert figures['healthy_psnr_db'] == pytest.approx(20 * np.log10(1.4 / 0.03), abs=0.01)


def _costs(**by_point):
    """Costs of a volume at points that are named by their edge."""
    points = {'low': thresholds.Point(0.2, 0.3), 'high': thresholds.Point(0.5, 0.8)}
    return {points[name]: thresholds.Cost(*cost) for name, cost in by_point.items()}


@pytest.mark.parametrize(
    ('low', 'high', 'edge', 'excess'),
    [
        ((0.0, 3.0, 1.0, 3.0), (0.0, 0.0, 0.0, 0.0), 0.2, 1.0),  # both may be: the less error
        ((0.0, 3.1, 0.0, 3.1), (0.0, 0.0, 0.0, 0.0), 0.5, 0.0),  # too much is changed
        ((0.0, 2.0, 1.1, 2.0), (0.0, 0.0, 0.0, 0.0), 0.5, 0.0),  # too much is changed by much
        ((0.0, 6.0, 4.0, 6.0), (0.0, 9.0, 2.0, 9.0), 0.5, 3.0),  # neither: exceeds least
    ],
)
def test_the_point_with_the_least_error_that_leaves_healthy_brains_alone(low, high, edge, excess):
    lesioned = [
        _costs(low=(0.1, 9, 9, 5), high=(0.3, 9, 9, 1)),
        _costs(low=(0.3, 9, 9, 5), high=(0.5, 9, 9, 1)),
    ]
    unchanged = _costs(low=(np.nan, 0, 0, 0), high=(np.nan, 0, 0, 0))
    chosen = thresholds.choose_point(lesioned, [unchanged, _costs(low=low, high=high)])
    assert chosen.point.edge == edge
    assert chosen.excess == pytest.approx(excess)
    assert chosen.error == pytest.approx({0.2: 0.2, 0.5: 0.4}[edge])


@pytest.mark.parametrize(('more', 'edge'), [(0.004, 0.5), (0.006, 0.2)])
def test_of_points_with_the_same_error_that_which_changes_least_outside(more, edge):
    lesioned = [_costs(low=(0.3, 9, 9, 4), high=(0.3 + more, 9, 9, 3))]
    healthy = [_costs(low=(np.nan, 0, 0, 0), high=(np.nan, 0, 0, 0))]
    assert thresholds.choose_point(lesioned, healthy).point.edge == edge


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
    example = simulate.simulate(
        simulate.take_anatomy(brain, box), [], box, np.random.default_rng(0), config
    )
    fluid = example.target < 0.5
    assert fluid.any()
    np.testing.assert_array_equal(example.lesioned[fluid], example.target[fluid])
    rim = ndimage.binary_dilation(fluid) & ~fluid
    assert (example.lesioned[rim] < example.target[rim]).mean() > 0.9


MEASURED = {
    'probability_curve': [[0.0, 0.0], [0.2, 0.5], [1.0, 1.0]],
    'calibration_error': 0.02,
    'choice': {'edge': 0.4, 'core': 0.7, 'error': 0.3, 'excess': 0.9},
    'lesion_threshold': 0.5,
    'lesion_dice': 0.6,
}


@pytest.mark.parametrize('keep', [False, True])
def test_thresholds_are_chosen_and_written(tmp_path, monkeypatch, keep):
    card = {'name': 'blind', 'architecture': CONFIG.architecture, 'metrics': {'old': 1}}
    card['training'] = {'patients': ['p']}
    save_weights(compile_network(CONFIG, CONFIG.stages[0]), tmp_path / 'net', card)
    sides = []
    monkeypatch.setattr(tasks, 'load_brains', lambda _, side: sides.append(side) or [])
    left_out = []
    monkeypatch.setattr(tasks, 'load_masks', lambda *_, without: left_out.append(without) or [])
    monkeypatch.setattr(tasks.scoring, 'score', lambda *_: MEASURED)
    report = tmp_path / 'reports' / 'score.json'
    options = ['--brains', 'b', '--masks', 'm', '--out', str(tmp_path / 'net')]
    options += ['--report', str(report), *(['--keep-card'] if keep else [])]
    assert command.main(['score', *options]) == 0
    after = read_card(tmp_path / 'net')
    assert sides == ['validation']
    assert left_out == [{'p'}], 'whoever trained it does not validate it'
    assert json.loads(report.read_text()) == MEASURED
    chosen = (after.change_edge_threshold, after.change_core_threshold, after.lesion_threshold)
    assert (chosen == (0.4, 0.7, 0.5)) != keep
    assert (after.probability_curve == ((0, 0), (0.2, 0.5), (1, 1))) != keep
    assert after.metrics == ({'old': 1} if keep else {'old': 1, 'score': MEASURED})


def test_brains_that_come_back_unchanged_do_not_spoil_the_mean():
    assert thresholds._pooled([np.inf, 40.0]) == pytest.approx(40 + 10 * np.log10(2))
