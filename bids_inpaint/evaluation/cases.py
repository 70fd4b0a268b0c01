"""Test images: healthy brains, lesions simulated on them, and patients.

Test participants are fixed in `bids_inpaint.training.split`. Everything is on the template
grid, in units of the mean of the brain. Cases are made one at a time: a volume has 29 MB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import ending, of_same_scan
from bids_inpaint.evaluation.memory import Memory
from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.template import load_template
from bids_inpaint.image.tissue import tissue_median
from bids_inpaint.image.volume import load, load_mask
from bids_inpaint.network.card import read_card
from bids_inpaint.training.configs.blind import get_config
from bids_inpaint.training.data import (
    PREPROC,
    Brain,
    Example,
    find_brains,
    load_brain,
    load_brains,
    load_label_maps,
    load_masks,
    participant_of,
)
from bids_inpaint.training.examples.frozen import test_examples, validation_examples
from bids_inpaint.training.score import ValidationSet
from bids_inpaint.training.split import Side, side_of_brain, side_of_mask
from bids_inpaint.training.thresholds import healthy


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Arguments of the command line.

    Attributes
    ----------
    brains : tuple of Path
        Derivatives of healthy T1w, each in a folder with the name of its dataset.
    masks : Path
        Expert masks in template space.
    patients : Path or None
        Derivatives of patients' T1w.
    unlike : tuple of Path
        Derivatives of T1w images unlike the training data, healthy or not, without masks.
    label_maps : Path or None
        Label maps in template space.
    models, out : Path
        Folder of the networks; folder of tables and pictures.
    memory : Memory
        Of costly results.
    most : int or None
        Number of brains and patients of each kind, for a quick check.
    threads : int
        Of the network.

    """

    brains: tuple[Path, ...]
    masks: Path
    patients: Path | None
    models: Path
    out: Path
    memory: Memory
    most: int | None = None
    threads: int = 1
    unlike: tuple[Path, ...] = ()
    label_maps: Path | None = None

    @cached_property
    def trained_on(self) -> frozenset[str]:
        """Patients that trained the blind network, from its card."""
        return read_card(self.models / 'blind').patients

    def side_of(self, patient: str) -> Side:
        """Side of a patient."""
        return 'training' if patient in self.trained_on else side_of_mask(patient)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image to inpaint, and what is known of it.

    Attributes
    ----------
    name, participant : str
        Of the image; of the person, who may have several.
    side : {'training', 'validation', 'test'}
        Of the split.
    given : (X, Y, Z) float32
        The image.
    truth : (X, Y, Z) float32 or None
        Without lesions; None for patients.
    share : (X, Y, Z) float32
        Share of lesion in each voxel; of patients what experts drew, 0 or 1.
    brain_mask : (X, Y, Z) bool
        What the network is given.
    white_matter : float
        Median of normal white matter.
    anat2std_xfm : (4, 4) float64
        Maps T1w RAS mm to template RAS mm: how the image came to the template grid.

    """

    name: str
    participant: str
    side: Side
    given: NDArray[np.float32]
    truth: NDArray[np.float32] | None
    share: NDArray[np.float32]
    brain_mask: NDArray[np.bool_]
    white_matter: float
    anat2std_xfm: NDArray[np.float64]

    @property
    def example(self) -> Example:
        """As training has it; of a patient the target is the image itself."""
        return Example(self.given, self.given if self.truth is None else self.truth, self.share)


def brains_of(setup: Setup, side: Side) -> Iterator[tuple[str, Path, Brain]]:
    """Dataset, file and brain of each healthy T1w of a side of the split."""
    found = (
        (dataset, path, brain)
        for folder, dataset in ((folder, folder.resolve().name) for folder in setup.brains)
        for path, brain in zip(
            (p for p in find_brains(folder) if side_of_brain(dataset, participant_of(p)) == side),
            load_brains([folder], side),
            strict=True,
        )
    )
    return islice(found, setup.most)


def healthy_cases(setup: Setup, side: Side = 'test') -> Iterator[Case]:
    """Healthy brains, one per participant."""
    for dataset, path, brain in brains_of(setup, side):
        (example,) = healthy([brain])
        yield _of_brain(dataset, path, brain, side, example, 0)


def simulated_cases(setup: Setup, side: Side = 'test') -> Iterator[Case]:
    """Yield simulated lesions: the frozen test set, or what training validates with."""
    masks = load_masks(setup.masks, side, without=setup.trained_on)
    for dataset, path, brain in brains_of(setup, side):
        if side == 'test':
            examples = [example for _, example in test_examples([brain], masks)]
        else:
            examples = validation_examples([brain], masks, get_config())
        for number, example in enumerate(examples, start=1):
            yield _of_brain(dataset, path, brain, side, example, number)


def patient_cases(setup: Setup, *sides: Side) -> Iterator[Case]:
    """Patients with expert masks, each session on its own; all sides if none is given."""
    if setup.patients is None:
        return
    found = (
        path
        for path in find_brains(setup.patients)
        if (not sides or setup.side_of(participant_of(path)) in sides)
    )
    for path in islice(found, setup.most):
        mask = of_same_scan(path, 'preproc', 'lesion_mask').relative_to(setup.patients)
        mask_file = setup.masks / mask
        yield _patient(path, mask_file, setup.side_of(participant_of(path)))


def unlike_cases(folder: Path) -> Iterator[Case]:
    """Every T1w of a derivative dataset, of which nothing is known."""
    dataset = folder.resolve().name
    for path in find_brains(folder):
        brain = load_brain(path, dataset)
        (example,) = healthy([brain])
        yield _of_brain(dataset, path, brain, 'test', example, 0)


def label_map_cases(setup: Setup) -> Iterator[Case]:
    """Healthy brains of the people whose label maps validate, drawn as for the score."""
    if setup.label_maps is None:
        return
    people = load_label_maps(setup.label_maps, 'validation')
    for name, example in ValidationSet([], people, [], []).healthy():
        brain_mask = example.target > 0
        yield Case(
            name=name,
            participant=name,
            side='validation',
            given=example.lesioned,
            truth=example.target,
            share=example.share,
            brain_mask=brain_mask,
            white_matter=tissue_median(example.target, brain_mask, load_template().white_matter),
            anat2std_xfm=np.eye(4),
        )


def single_images(setup: Setup) -> Iterator[tuple[str, Case]]:
    """Yield images of `--unlike`, of label maps, and of patients, each with its dataset."""
    for folder in setup.unlike:
        for case in unlike_cases(folder):
            yield folder.resolve().name, case
    for case in label_map_cases(setup):
        yield 'label-maps', case
    for case in patient_cases(setup):
        yield setup.patients.resolve().name if setup.patients else '', case


def _of_brain(
    dataset: str, path: Path, brain: Brain, side: Side, example: Example, number: int
) -> Case:
    scan = f'{dataset}/{path.name.removesuffix(PREPROC)}'
    return Case(
        name=f'{scan} {number}' if number else scan,
        participant=f'{dataset}/sub-{brain.participant}',
        side=side,
        given=example.lesioned,
        truth=example.target,
        share=example.share,
        brain_mask=example.target > 0,
        white_matter=brain.white_matter_mean,
        anat2std_xfm=anat2std_of(path),
    )


def _patient(path: Path, mask_file: Path, side: Side) -> Case:
    given = load(path).data
    if not mask_file.is_file():
        msg = f'{path}: a patient needs an expert mask, but {mask_file} is missing'
        raise FileNotFoundError(msg)
    brain_mask = load_mask(of_same_scan(path, 'preproc', 'brain_mask'))
    lesions = load_mask(mask_file) & brain_mask
    name = path.name.removesuffix(PREPROC).removeprefix('sub-')
    return Case(
        name=name,
        participant=participant_of(path),
        side=side,
        given=given,
        truth=None,
        share=lesions.astype(np.float32),
        brain_mask=brain_mask,
        white_matter=tissue_median(given, brain_mask & ~lesions, load_template().white_matter),
        anat2std_xfm=anat2std_of(path),
    )


def anat2std_of(t1w_file: Path) -> NDArray[np.float64]:
    """Map (4, 4) of T1w RAS mm to template RAS mm, which the app wrote beside the T1w.

    Raises
    ------
    FileNotFoundError
        If there is not exactly one.

    """
    scan = t1w_file.name.removesuffix(PREPROC)
    pattern = f'{scan}*{ending("anat2std_xfm")}'
    found = sorted(t1w_file.parent.glob(pattern), key=lambda path: len(path.name))
    if not found or (len(found) > 1 and len(found[0].name) == len(found[1].name)):
        msg = f'{t1w_file}: needs one {pattern} beside it, found {len(found)}'
        raise FileNotFoundError(msg)
    return read_xfm(found[0])
