"""Training batches, determined by the seed and their number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples.anatomy import grow_old
from bids_inpaint.training.examples.augment import AugmentConfig, augment
from bids_inpaint.training.examples.patients import Patient, cut_patient
from bids_inpaint.training.examples.shapes import ShapeLibrary
from bids_inpaint.training.examples.simulate import (
    conceal,
    draw_box,
    draw_deformed,
    grow,
    hide,
    restore_white_matter,
    simulate,
)
from bids_inpaint.training.examples.synthetic import LabelMap, draw_anatomy

# A voxel that lesions darken by less, in units of the mean of the brain, is not lesion: invisible.
LEAST_DARKENING = 0.02


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What examples are drawn from.

    Attributes
    ----------
    brains : sequence of Brain
        Healthy, real.
    masks : sequence of (X, Y, Z) bool
        Lesions of patients, on the template grid.
    label_maps : sequence of LabelMap
        To make healthy brains from.
    library : ShapeLibrary, optional
        Single lesions.
    patients : sequence of Patient
        With what the non-blind network puts into their lesions.

    """

    brains: Sequence[Brain]
    masks: Sequence[NDArray[np.bool_]]
    label_maps: Sequence[LabelMap] = ()
    library: ShapeLibrary | None = None
    patients: Sequence[Patient] = ()


class Batches(keras.utils.PyDataset):
    """Training batches, each drawn from the seed and its own number, in any order.

    Parameters
    ----------
    sources : Sources
        To draw from.
    config : TrainingConfig
        How.
    first : int
        Number of the first batch: a resumed training continues with the same batches.
    until : int
        Number of the batch that it ends before; the config's last if not given.
    workers : int
        Threads that make batches; what they make is the same with any number of them.

    """

    def __init__(
        self,
        sources: Sources,
        config: TrainingConfig,
        *,
        first: int = 0,
        until: int | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers, max_queue_size=2 * workers + 6)
        self.sources, self.config, self.first = sources, config, first
        self.until = config.steps if until is None else until

    def __len__(self) -> int:
        """Batches left."""
        return self.until - self.first

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """One batch, as `stack` makes it."""
        number = (self.first + index) * self.config.batch_size
        examples = [self.example(number + i) for i in range(self.config.batch_size)]
        return stack(examples, self.config)

    def example(self, number: int) -> Example:
        """Draw one example, by its number."""
        size = self.config.stage_at(number // self.config.batch_size).crop_vox
        rng = np.random.default_rng((self.config.seed, number))
        hidden = self.config.task == 'nonblind'
        example, changes = self._draw(size, rng)
        lesioned, target = augment((example.lesioned, example.target), rng, changes)
        if hidden:
            target = target * restore_white_matter(target, example.target)
            grown = grow(example.share > 0, rng, self.config.lesions) & (target > 0)
            lesioned = conceal(target, grown)
            example = example._replace(share=grown.astype(np.float32))
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        return Example(*(np.ascontiguousarray(v[flip]) for v in (lesioned, target, example.share)))

    def _draw(self, size: int, rng: np.random.Generator) -> tuple[Example, AugmentConfig]:
        """Draw a patient, or a healthy brain, real or made, with lesions; and how it may vary."""
        config, sources = self.config, self.sources
        if sources.patients and rng.random() < config.patient_share:
            patient = sources.patients[int(rng.integers(len(sources.patients)))]
            box = draw_box(patient.given.shape, size, rng)
            return cut_patient(patient, box, rng, config.augment), config.augment
        made = bool(sources.label_maps) and rng.random() < config.synthetic_share
        changes = config.augment
        if made:
            label_map = sources.label_maps[int(rng.integers(len(sources.label_maps)))]
            box = draw_box(label_map.labels.shape, size, rng)
            anatomy = draw_anatomy(label_map, box, rng, config.synthetic)
            # The contrast of tissues was drawn already.
            changes = replace(changes, low_contrast_probability=0.0)
        else:
            brain = sources.brains[int(rng.integers(len(sources.brains)))]
            box = draw_box(brain.t1w.shape, size, rng)
            anatomy = draw_deformed(brain, box, rng, config.augment)
        anatomy = grow_old(anatomy, rng, config.age)
        make = hide if config.task == 'nonblind' else simulate
        return make(anatomy, sources.masks, box, rng, config.lesions, sources.library), changes


def stack(
    examples: Sequence[Example], config: TrainingConfig
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Make a batch: (B, X, Y, Z, 1), and the targets (B, X, Y, Z, 2) of both outputs.

    With a second output its target besides, (B, X, Y, Z, 1): the share of lesion where it darkens
    what can be seen.
    """
    inputs = np.stack([e.lesioned for e in examples])[..., None]
    targets = np.stack([np.stack([e.target, e.share], axis=-1) for e in examples])
    outputs = {'reconstructed': targets, 'subvolumes': targets}
    if config.architecture.lesion_output:
        outputs['lesion_logit'] = np.stack([visible_share(e) for e in examples])[..., None]
    return inputs, outputs


def visible_share(example: Example) -> NDArray[np.float32]:
    """Share of lesion (X, Y, Z) where it darkens the image by what can be seen, else 0."""
    seen = example.target - example.lesioned > LEAST_DARKENING
    return np.where(seen, np.clip(example.share, 0, 1), np.float32(0))
