"""The commands of training."""

import argparse
import importlib
import logging
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from bids_inpaint.files import write_json
from bids_inpaint.network.card import Card, read_card, write_card
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import calibrate as calibration
from bids_inpaint.training import loop, thresholds
from bids_inpaint.training import score as scoring
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.configs.override import override
from bids_inpaint.training.data import (
    Example,
    find_brains,
    load_brain,
    load_brains,
    load_label_maps,
    load_masks,
)
from bids_inpaint.training.examples.batches import Sources
from bids_inpaint.training.examples.frozen import (
    hidden_test_examples,
    test_examples,
    validation_examples,
)
from bids_inpaint.training.examples.patients import Patient, load_patients
from bids_inpaint.training.examples.shapes import load_shapes
from bids_inpaint.training.split import Side

LOGGER = logging.getLogger(__name__)


def train(arguments: argparse.Namespace) -> None:
    """Train a network, and write it; `score` then chooses the thresholds of a blind one."""
    config = load_config(arguments.config or arguments.task)
    for assignment in arguments.set:
        config = override(config, assignment)
    if arguments.finish_in:
        config = loop.finish_in(config, arguments.work, arguments.finish_in)
    patients = _load_patients(arguments, config)
    start = read_card(arguments.start) if arguments.start else None
    seen = {patient.participant for patient in patients} | (start.patients if start else set())
    maps, shapes = arguments.label_maps, arguments.shapes
    sources = Sources(
        brains=load_brains(arguments.brains, 'training'),
        masks=load_masks(arguments.masks, 'training'),
        label_maps=load_label_maps(maps, 'training') if maps else (),
        library=load_shapes(shapes) if shapes else None,
        patients=patients,
    )
    validation = load_brains(arguments.brains, 'validation')
    step = max(len(validation) // config.validation_volumes, 1)
    masks = load_masks(arguments.masks, 'validation', without=seen)
    examples = validation_examples(validation[::step], masks, config)
    LOGGER.info(
        '%d brains, %d label maps, %d masks, %d scans of patients, %d volumes to validate',
        len(sources.brains),
        len(sources.label_maps),
        len(sources.masks),
        len(patients),
        len(examples),
    )
    network = loop.train(
        config,
        sources,
        examples,
        arguments.work,
        interval=arguments.interval,
        start=arguments.start,
        workers=arguments.workers,
    )
    card = {
        'name': arguments.task,
        'architecture': config.architecture,
        **_first_thresholds(config),
        'training': {
            'commit': _commit(),
            'start': start.sha256 if start else None,
            'config': asdict(config),
            'brains': [f'{brain.dataset}/sub-{brain.participant}' for brain in sources.brains],
            'label_maps': [person.participant for person in sources.label_maps],
            'shapes': len(sources.library.sizes_vox) if sources.library else 0,
            'masks': len(sources.masks),
            'patients': sorted(seen),
            'backend': keras.backend.backend(),
        },
        'metrics': {},
    }
    save_weights(network, arguments.out, card)
    if config.task == 'nonblind':
        _write_figures(arguments, 'validation')


def score(arguments: argparse.Namespace) -> None:
    """Choose the operating point of the blind network of `--out`, and log its score."""
    measured = _choose(arguments, keep_card=arguments.keep_card)
    if arguments.report:
        write_json(arguments.report, measured)


def calibrate(arguments: argparse.Namespace) -> None:
    """Calibrate the blind network of `--out`."""
    card = read_card(arguments.out)
    brains = load_brains(arguments.brains, 'validation')
    masks = load_masks(arguments.masks, 'validation', without=card.patients)
    examples = validation_examples(brains, masks, load_config(card.name))
    chosen = calibration.calibrate(arguments.out, examples, brains)
    LOGGER.info('gain %.2f, offset %.4f of the mean of the brain', *chosen)


def assess(arguments: argparse.Namespace) -> None:
    """Measure the network of `--out` on the frozen test set."""
    _write_figures(arguments, 'test')


def load_config(name: str) -> TrainingConfig:
    """Call `get_config` of a module of `bids_inpaint.training.configs`."""
    module = importlib.import_module(f'bids_inpaint.training.configs.{name}')
    config: TrainingConfig = module.get_config()
    return config


def _commit() -> str:
    """Commit of the code, or 'unknown' outside a checkout."""
    command = ['git', 'rev-parse', 'HEAD']  # in a checkout git is on the path
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or 'unknown'


def _first_thresholds(config: TrainingConfig) -> dict[str, float]:
    """Return thresholds until they are chosen: of a probability, or of a difference."""
    if config.task == 'nonblind':
        return {}
    names = ('change_edge_threshold', 'change_core_threshold', 'lesion_threshold')
    first = (0.5, 0.8, 0.5) if config.architecture.lesion_output else (0.04, 0.25, 0.08)
    return dict(zip(names, first, strict=True))


def _load_patients(arguments: argparse.Namespace, config: TrainingConfig) -> list[Patient]:
    """Read the patients to train on, if the config has a share for them."""
    if not config.patient_share:
        return []
    if not (arguments.patients and arguments.nonblind):
        msg = (
            f'{config.patient_share:.0%} of the examples are patients: give --patients, --nonblind'
        )
        raise SystemExit(msg)
    return load_patients(arguments.patients, arguments.masks, arguments.nonblind)


def _choose(arguments: argparse.Namespace, *, keep_card: bool = False) -> dict[str, Any]:
    """Choose the thresholds of the network of `--out`, and write them into its card."""
    network, card = _load_network(arguments.out)
    maps, scans = arguments.label_maps, arguments.scans
    validation = scoring.ValidationSet(
        brains=load_brains(arguments.brains, 'validation'),
        label_maps=load_label_maps(maps, 'validation') if maps else (),
        patients=[load_brain(path, scans.name) for path in find_brains(scans)] if scans else (),
        masks=load_masks(arguments.masks, 'validation', without=card.patients),
    )
    measured = scoring.score(network, card, validation)
    choice = measured['choice']
    LOGGER.info('score %.4f, excess %.2f: %s', choice['error'], choice['excess'], choice)
    if not keep_card:
        chosen: dict[str, Any] = {
            'change_edge_threshold': choice['edge'],
            'change_core_threshold': choice['core'],
            'lesion_threshold': measured['lesion_threshold'],
            'probability_curve': tuple(measured['probability_curve']),
            'metrics': {**card.metrics, 'score': measured},
        }
        write_card(replace(card, **chosen), arguments.out)
    return measured


def _write_figures(arguments: argparse.Namespace, side: Side) -> None:
    """Measure the network of `--out`, and write the figures into its card."""
    network, card = _load_network(arguments.out)
    brains = load_brains(arguments.brains, side)
    masks = load_masks(arguments.masks, side, without=card.patients)
    window, curve = card.architecture.window_vox, card.probability_curve

    def predicted(examples: Iterator[Example] | list[Example]) -> list[thresholds.Predicted]:
        return list(thresholds.predict(network, examples, window, curve))

    if side == 'validation':
        examples = validation_examples(brains, masks, load_config(card.name))
    else:
        make = hidden_test_examples if card.name == 'nonblind' else test_examples
        examples = [example for _, example in make(brains, masks)]
    if card.name == 'nonblind':
        figures = thresholds.measure_filling(predicted(examples))
    else:
        figures = thresholds.measure(
            predicted(examples),
            predicted(thresholds.healthy(brains)),
            edge_threshold=card.change_edge_threshold,
            core_threshold=card.change_core_threshold,
        )
    for name, value in figures.items():
        LOGGER.info('%s %s: %.4g', side, name, value)
    write_card(replace(card, metrics={**card.metrics, side: figures}), arguments.out)


def _load_network(folder: Path) -> tuple[keras.Model, Card]:
    """Load a network to predict with."""
    network, card = load_weights(folder)
    network.compile(jit_compile=False)
    return network, card
