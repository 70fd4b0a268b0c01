"""The fixed examples to validate and test with, the same at each call."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.examples.simulate import conceal, draw_box, hide, simulate, take_anatomy
from bids_inpaint.training.split import TEST_SEED


def draw_examples(
    brains: Sequence[Brain],
    masks: Sequence[NDArray[np.bool_]],
    config: LesionConfig,
    *,
    seed: int,
    per_brain: int,
    hidden: bool = False,
) -> Iterator[tuple[Brain, Example]]:
    """Draw whole volumes with lesions, the same ones at each call.

    Parameters
    ----------
    brains, masks
        To draw from.
    config : LesionConfig
        What lesions are like; none of these examples is without.
    seed : int
        Of the drawing.
    per_brain : int
        Examples of each brain.
    hidden : bool
        Hide the lesions, as the non-blind network needs it, instead of darkening them.

    """
    for brain in brains:
        for number in range(per_brain):
            rng = np.random.default_rng((seed, *_numbers(brain.participant), number))
            box = draw_box(brain.t1w.shape, 0, rng)
            anatomy = take_anatomy(brain, box)
            if not hidden:
                yield brain, simulate(anatomy, masks, box, rng, config)
                continue
            example = hide(anatomy, masks, box, rng, config)
            lesioned = conceal(example.target, example.share > 0)
            yield brain, example._replace(lesioned=lesioned)


def _numbers(participant: str) -> tuple[int, ...]:
    """Make numbers of a label, to seed with: the label itself if it is one."""
    return (int(participant),) if participant.isdecimal() else tuple(participant.encode())


def validation_examples(
    brains: Sequence[Brain], masks: Sequence[NDArray[np.bool_]], config: TrainingConfig
) -> list[Example]:
    """One lesioned volume of each validation brain."""
    hidden = config.task == 'nonblind'
    lesions = _always(config.lesions)
    drawn = draw_examples(brains, masks, lesions, seed=config.seed, per_brain=1, hidden=hidden)
    return [example for _, example in drawn]


def test_examples(
    brains: Sequence[Brain], masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[Brain, Example]]:
    """Two lesioned volumes of each test brain: the frozen test set of simulated lesions."""
    return draw_examples(brains, masks, _always(LesionConfig()), seed=TEST_SEED, per_brain=2)


def hidden_test_examples(
    brains: Sequence[Brain], masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[Brain, Example]]:
    """Two volumes of each test brain with lesions hidden: the frozen test set for filling."""
    return draw_examples(brains, masks, LesionConfig(), seed=TEST_SEED, per_brain=2, hidden=True)


def _always(config: LesionConfig) -> LesionConfig:
    """Return the same lesions, in every image."""
    return LesionConfig(**{**vars(config), 'healthy_share': 0.0})
