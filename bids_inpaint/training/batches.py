"""Training batches, made from numbers alone: each is the same whenever it is drawn."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.augment import augment
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.patients import Patient, cut_patient
from bids_inpaint.training.pipeline import (
    Brain,
    Example,
    conceal,
    draw_box,
    grow,
    hide,
    restore_white_matter,
    simulate,
)


class Batches(keras.utils.PyDataset):
    """Training batches, each drawn from the seed and its own number, in any order.

    Parameters
    ----------
    brains, masks
        To draw from.
    config : TrainingConfig
        How.
    first : int
        Number of the first batch: a training that was stopped goes on with the batches that it
        would have had.
    until : int
        Number of the batch that it ends before; the config's last if not given.
    patients : sequence of Patient
        To draw `config.patient_share` of the examples from.
    workers : int
        Threads that make batches; what they make is the same with any number of them.

    """

    def __init__(
        self,
        brains: Sequence[Brain],
        masks: Sequence[NDArray[np.bool_]],
        config: TrainingConfig,
        *,
        first: int = 0,
        until: int | None = None,
        patients: Sequence[Patient] = (),
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers, max_queue_size=2 * workers + 6)
        self.brains, self.masks, self.config, self.first = brains, masks, config, first
        self.until = config.steps if until is None else until
        self.patients = patients

    def __len__(self) -> int:
        """Batches left."""
        return self.until - self.first

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """One batch: (B, X, Y, Z, 1), and the targets (B, X, Y, Z, 2) of both outputs."""
        step = self.first + index
        size, number = self.config.stage_at(step).crop_vox, step * self.config.batch_size
        examples = [self._example(number + i, size) for i in range(self.config.batch_size)]
        inputs = np.stack([e.lesioned for e in examples])[..., None]
        targets = np.stack([np.stack([e.target, e.share], axis=-1) for e in examples])
        return inputs, {'reconstructed': targets, 'subvolumes': targets}

    def _example(self, number: int, size: int) -> Example:
        rng = np.random.default_rng((self.config.seed, number))
        hidden, changes = self.config.task == 'nonblind', self.config.augment
        example = self._draw(size, rng)
        lesioned, target = augment((example.lesioned, example.target), rng, changes)
        if hidden:
            target = target * restore_white_matter(target, example.target)
            grown = grow(example.share > 0, rng, self.config.lesions) & (target > 0)
            lesioned = conceal(target, grown)
            example = example._replace(share=grown.astype(np.float32))
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        return Example(*(np.ascontiguousarray(v[flip]) for v in (lesioned, target, example.share)))

    def _draw(self, size: int, rng: np.random.Generator) -> Example:
        """Draw a patient, or a healthy brain with lesions."""
        config = self.config
        if self.patients and rng.random() < config.patient_share:
            patient = self.patients[int(rng.integers(len(self.patients)))]
            box = draw_box(patient.given.shape, size, rng)
            return cut_patient(patient, box, rng, config.augment)
        brain = self.brains[int(rng.integers(len(self.brains)))]
        box = draw_box(brain.t1w.shape, size, rng)
        make = hide if config.task == 'nonblind' else simulate
        return make(brain, self.masks, box, rng, config.lesions, config.augment)
