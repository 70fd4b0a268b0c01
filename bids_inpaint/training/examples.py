"""Who is on which side of the split, and the fixed examples to validate and test with."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.configs import TrainingConfig, data_split
from bids_inpaint.training.lesions import LesionConfig
from bids_inpaint.training.pipeline import (
    Brain,
    Example,
    conceal,
    draw_box,
    find_brains,
    find_masks,
    hide,
    load_brain,
    load_mask,
    participant_of,
    simulate,
)

Side = Literal['training', 'validation', 'test']


def side_of_brain(dataset: str, participant: str) -> Side:
    """On which side of the split a healthy participant is."""
    if participant in data_split.TEST_PARTICIPANTS.get(dataset, ()):
        return 'test'
    held_back = data_split.VALIDATION_PARTICIPANTS.get(dataset, ())
    return 'validation' if participant in held_back else 'training'


def side_of_mask(participant: str) -> Side:
    """On which side of the split the lesions of a patient are."""
    if participant in data_split.TEST_MASKS:
        return 'test'
    return 'validation' if participant in data_split.VALIDATION_MASKS else 'training'


def load_brains(folders: Sequence[Path], side: Side) -> list[Brain]:
    """Read the healthy brains of one side of the split, of several derivative datasets."""
    found = []
    for folder in folders:
        dataset = folder.resolve().name
        for path in find_brains(folder):
            if side_of_brain(dataset, participant_of(path)) == side:
                found.append(load_brain(path, dataset))
    return found


def load_masks(
    folder: Path, side: Side, *, without: Collection[str] = ()
) -> list[NDArray[np.bool_]]:
    """Read the lesion masks of one side of the split, but for those of some patients."""
    return [
        load_mask(path)
        for path in find_masks(folder)
        if side_of_mask(participant_of(path)) == side and participant_of(path) not in without
    ]


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
            rng = np.random.default_rng((seed, int(brain.participant), number))
            box = draw_box(brain.t1w.shape, 0, rng)
            if not hidden:
                yield brain, simulate(brain, masks, box, rng, config)
                continue
            example = hide(brain, masks, box, rng, config)
            lesioned = conceal(example.target, example.share > 0)
            yield brain, example._replace(lesioned=lesioned)


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
    return draw_examples(
        brains, masks, _always(LesionConfig()), seed=data_split.TEST_SEED, per_brain=2
    )


def hidden_test_examples(
    brains: Sequence[Brain], masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[Brain, Example]]:
    """Two volumes of each test brain with lesions hidden: the frozen test set for filling."""
    return draw_examples(
        brains, masks, LesionConfig(), seed=data_split.TEST_SEED, per_brain=2, hidden=True
    )


def _always(config: LesionConfig) -> LesionConfig:
    """Return the same lesions, in every image."""
    return LesionConfig(**{**vars(config), 'healthy_share': 0.0})
