"""Examples used several times: what is varied, what is drawn, and a training with them."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

from bids_inpaint.training.configs import ReplayConfig
from bids_inpaint.training.data import Example
from bids_inpaint.training.examples import simulate, ventricles
from bids_inpaint.training.examples.batches import Batches
from bids_inpaint.training.loop import LOG_FILE, train
from bids_inpaint.training.replay import FalseVoxels, Memory, drawn_by_processes, vary
from tests.training import test_batches

CONFIG = replace(
    test_batches.CONFIG, batch_size=2, replay=ReplayConfig(examples=4, least=3, draws=1.5)
)
sources = test_batches.sources


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    monkeypatch.setattr(simulate, '_white_matter_voxels', lambda: np.array([[12, 12, 12]]))
    monkeypatch.setattr(simulate, '_brain_box', lambda: np.array([[0, 0, 0], (24, 24, 24)]))
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones((1, 1, 1), bool))


@pytest.fixture
def example():
    target = np.full((8, 8, 8), 1.4, np.float16)
    target[0] = 0
    share = np.zeros_like(target)
    share[3:5] = 1
    share[4, 0] = 0.5
    lesioned = target - np.float16(0.5) * share
    lesioned[6, 6, 6] = 1.2  # noise that is in the image alone
    return Example(lesioned, target, share)


def test_lesions_get_paler_or_darker_and_nothing_else_changes(example):
    rng = np.random.default_rng(1)
    config = ReplayConfig(strength=(0.5, 1.5), strength_probability=1, healthy_probability=0)
    depths = set()
    for _ in range(20):
        varied = vary(example, rng, config)
        if varied.target[-1].max() == 0:  # mirrored
            varied = Example(*(volume[::-1] for volume in varied))
        np.testing.assert_array_equal(varied.target, example.target.astype(np.float32))
        np.testing.assert_array_equal(varied.share, example.share.astype(np.float32))
        outside = example.share == 0
        np.testing.assert_array_equal(varied.lesioned[outside], example.lesioned[outside])
        depth = 1.4 - varied.lesioned[3, 4, 4]
        assert 1.4 - varied.lesioned[4, 0, 4] == pytest.approx(depth / 2, abs=2e-3)
        depths.add(float(depth))
    assert len(depths) == 20
    assert min(depths) >= 0.249
    assert max(depths) <= 0.751


def test_some_are_drawn_without_their_lesions(example):
    config = ReplayConfig(healthy_probability=1)
    varied = vary(example, np.random.default_rng(2), config)
    assert varied.share.max() == 0
    inside = (varied.target > 0) & (np.abs(varied.lesioned - varied.target) > 0.01)
    assert inside.sum() == 1  # the noise


def test_memory_keeps_the_newest_and_asks_for_more_in_time(example):
    memory = Memory(CONFIG.replay, np.random.default_rng(3))
    asked = []
    for _ in range(6):
        asked.append(0)
        while memory.is_hungry:
            memory.add(Example(*(volume * 0 + memory.added for volume in example)))
            asked[-1] += 1
        memory.draw(2)
    assert asked[0] == 3
    assert memory.drawn <= CONFIG.replay.draws * memory.added + 2
    newest = sorted(float(one.share.max()) for one in memory.examples)
    assert newest == [memory.added - 4 + i for i in range(4)]


def test_what_goes_wrong_is_drawn_more_often(example):
    config = ReplayConfig(examples=10, hard_vox=100, hardest=4)
    memory = Memory(config, np.random.default_rng(4))
    for _ in range(10):
        memory.add(example)
    memory.tell(np.arange(10), np.array([1e6] + [0] * 9, np.float32))
    places = np.concatenate([memory.draw(5)[0] for _ in range(400)])
    share = (places == 0).mean() / (places != 0).mean() * 9
    assert 2 < share < 4  # four times as often, but once in a batch at most
    memory.add(example)  # over the first
    assert memory.weights[0] == 1


@pytest.mark.parametrize('of', ['reconstructed', 'lesion_logit'])
def test_false_voxels_are_told_of_each_example(of):
    metric = FalseVoxels(of, 2)
    target = np.zeros((2, 4, 4, 4, 2 if of == 'reconstructed' else 1), np.float32)
    predicted = np.zeros((2, 4, 4, 4, 1), np.float32)
    if of == 'reconstructed':
        target[..., 0] = 1
        target[0, 0, ..., 1] = 1  # lesion
        target[1, 3, ..., 0] = 0  # outside the brain
        predicted[...] = 1.05
        predicted[0, :2] = 1.2
        predicted[1, 2:] = 1.2
    else:
        target[0, 0] = 1
        predicted[...] = -100
        predicted[0, :2] = 100
        predicted[1, 2] = 100
    metric.update_state(target, predicted)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(metric.each), [16, 16])
    assert float(metric.result()) == 16


def test_processes_draw_the_examples_of_the_batches(sources):
    batches = Batches(sources, CONFIG, first=1)
    with drawn_by_processes(batches, 2) as drawn:
        taken = [next(drawn) for _ in range(5)]
    for number, one in enumerate(taken, start=2):
        expected = batches.example(number)
        for made, wanted in zip(one, expected, strict=True):
            np.testing.assert_array_equal(made, wanted.astype(np.float16))


def test_training_with_replay_can_be_resumed(sources, tmp_path):
    examples = [Batches(sources, CONFIG).example(9)]
    whole = train(CONFIG, sources, examples, tmp_path, interval=1, workers=2)
    assert int(whole.optimizer.iterations) == 2
    longer = replace(CONFIG, stages=(replace(CONFIG.stages[0], until=3),))
    resumed = train(longer, sources, examples, tmp_path, interval=1, workers=2)
    assert int(resumed.optimizer.iterations) == 3
    with (tmp_path / LOG_FILE).open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    assert [row['step'] for row in rows] == ['1', '2', '3']
    assert all(np.isfinite(float(row['loss'])) for row in rows)
