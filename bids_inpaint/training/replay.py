"""Examples drawn by many processes, kept in memory, and used several times: for a GPU.

A GPU learns from an example sooner than a core draws one. So examples are drawn all the time; each
stays in memory for a while, and batches are drawn from there: mirrored or not, their lesions
paler or darker than drawn, and more often what the network gets wrong in healthy tissue.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bids_inpaint.training.configs import ReplayConfig
from bids_inpaint.training.data import Example
from bids_inpaint.training.examples.batches import Batches, stack

# A change by more than this is what users see.
_SEEN_CHANGE = 0.1
# Examples on their way, for each process.
_AHEAD = 3
# What fluid is at least; zero is outside the brain.
_DARKEST = np.float32(1e-3)


class FalseVoxels(keras.metrics.Metric):
    """How much of its healthy tissue the network gets wrong, for each example of the last batch.

    Parameters
    ----------
    of : {'reconstructed', 'lesion_logit'}
        Output that it is a metric of: voxels changed by more than 0.1 of the mean of the brain, or
        the sum of their probabilities of lesion.
    batch_size : int
        Examples of a batch.

    """

    def __init__(self, of: str, batch_size: int) -> None:
        super().__init__(name='false_vox')
        self.of = of
        self.each = self.add_variable((batch_size,), 'zeros', name='each')

    def update_state(self, target: Any, predicted: Any, sample_weight: Any = None) -> None:  # noqa: ARG002
        """Measure a batch; Keras passes weights, of which there are none."""
        if self.of == 'lesion_logit':
            wrong = ops.where(target > 0, 0.0, ops.sigmoid(predicted))
        else:
            changed = ops.abs(predicted[..., 0] - target[..., 0]) > _SEEN_CHANGE
            healthy = (target[..., 1] <= 0) & (target[..., 0] > 0)
            wrong = ops.cast(changed & healthy, 'float32')
        axes = tuple(range(1, len(wrong.shape)))
        self.each.assign(ops.cast(ops.sum(wrong, axis=axes), self.each.dtype))

    def result(self) -> Any:
        """Mean over the batch."""
        return ops.mean(self.each)


class Memory:
    """The newest examples, and how hard each is.

    Parameters
    ----------
    config : ReplayConfig
        How many, and how often each is drawn.
    rng : numpy.random.Generator
        The only source of randomness.

    """

    def __init__(self, config: ReplayConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.examples: list[Example] = []
        self.weights = np.ones(config.examples)
        self.added = self.drawn = 0

    def add(self, example: Example) -> None:
        """Put an example in, in place of the oldest one if the memory is full."""
        place = self.added % self.config.examples
        self.examples[place : place + 1] = [example]
        self.weights[place] = 1
        self.added += 1

    @property
    def is_hungry(self) -> bool:
        """Whether there are too few new examples to draw another batch."""
        few = self.added < min(self.config.least, self.config.examples)
        return few or self.drawn > self.config.draws * self.added

    def draw(self, number: int) -> tuple[NDArray[np.int64], list[Example]]:
        """Draw a batch: the places of its examples, and the examples as they are varied."""
        weights = self.weights[: len(self.examples)]
        again = len(self.examples) < number
        shares = weights / weights.sum()
        places = self.rng.choice(len(self.examples), number, replace=again, p=shares)
        self.drawn += number
        return places, [vary(self.examples[i], self.rng, self.config) for i in places]

    def tell(self, places: NDArray[np.int64], false_vox: NDArray[np.float32]) -> None:
        """Draw those more often in which the network got more voxels wrong."""
        more = false_vox / self.config.hard_vox
        self.weights[places] = 1 + np.clip(more, 0, self.config.hardest - 1)


def vary(example: Example, rng: np.random.Generator, config: ReplayConfig) -> Example:
    """Mirror an example or not, and make its lesions paler or darker, or take them away.

    Returns
    -------
    Example
        float32. Outside lesions it is as it was.

    """
    flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
    lesioned, target, share = (volume[flip].astype(np.float32) for volume in example)
    strength = rng.uniform(*config.strength) if rng.random() < config.strength_probability else 1.0
    if rng.random() < config.healthy_probability:
        strength = 0.0
    changed = np.maximum(target + np.float32(strength) * (lesioned - target), _DARKEST)
    lesioned = np.where((share > 0) & (target > 0), changed, lesioned)
    return Example(lesioned, target, share if strength else np.zeros_like(share))


@contextmanager
def drawn_by_processes(batches: Batches, workers: int) -> Iterator[Iterator[Example]]:
    """Draw examples without end, in half precision, in the order of their numbers.

    Begin before the network is built: a process that uses a GPU must not be forked.
    """
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context('fork'), initializer=_begin, initargs=(batches,)
    )
    first = batches.first * batches.config.batch_size
    waiting = deque(pool.submit(_draw, first + i) for i in range(workers * _AHEAD))
    try:
        yield _in_order(pool, waiting, first + len(waiting))
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(batches: Batches) -> None:
    """Keep what a process draws from, and one core for it."""
    global _drawn_from
    _drawn_from = batches
    threadpool_limits(1)


_drawn_from: Batches


def _draw(number: int) -> Example:
    """Draw one example, in a process."""
    example = _drawn_from.example(number)
    return Example(*(np.asarray(volume, np.float16) for volume in example))  # type: ignore[arg-type]


def _in_order(
    pool: ProcessPoolExecutor, waiting: deque[Future[Example]], number: int
) -> Iterator[Example]:
    while True:
        yield waiting.popleft().result()
        waiting.append(pool.submit(_draw, number))
        number += 1


def fit_replayed(
    network: keras.Model,
    batches: Batches,
    drawn: Iterator[Example],
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train a network as `Model.fit` does, with examples that are used several times.

    Parameters
    ----------
    network : keras.Model
        Compiled with a `FalseVoxels` of each output that has one.
    batches : Batches
        Tells how many steps, and of what size.
    drawn : iterator of Example
        New examples, as `drawn_by_processes` gives them.
    callbacks : sequence of keras.callbacks.Callback
        Called at the start and at each step; one may stop the training.

    """
    config = batches.config
    memory = Memory(config.replay, np.random.default_rng((config.seed, batches.first)))
    called = keras.callbacks.CallbackList(callbacks, model=network, epochs=1, steps=len(batches))
    called.on_train_begin()
    network.stop_training = False
    for step in range(len(batches)):
        while memory.is_hungry:
            memory.add(next(drawn))
        places, examples = memory.draw(config.batch_size)
        logs = network.train_on_batch(*stack(examples, config), return_dict=True)
        memory.tell(places, _false_vox(network))
        called.on_train_batch_end(step, logs)
        if network.stop_training:
            break
    called.on_train_end()


def _false_vox(network: keras.Model) -> NDArray[np.float32]:
    """Return what the metrics say of each example of the last batch, summed over outputs."""
    metrics = [m for m in _flat(network.metrics) if isinstance(m, FalseVoxels)]
    each = np.stack([ops.convert_to_numpy(metric.each) for metric in metrics])
    return np.asarray(each.sum(axis=0))


def _flat(metrics: Sequence[Any]) -> Iterator[Any]:
    for metric in metrics:
        yield metric
        yield from _flat(getattr(metric, 'metrics', ()))
