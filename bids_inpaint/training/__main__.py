"""Command line of training: `python -m bids_inpaint.training blind --brains DIR --masks DIR ...`.

`blind` trains, chooses the thresholds on validation data, and writes weights and card;
`nonblind` trains the network that fills lesions that a mask tells it of;
`average` averages networks of which one began with the other, to go on from;
`calibrate` sets how much a blind network changes, on validation data;
`assess` measures a network on the frozen test set, and writes the figures into its card;
`masks` brings expert masks to the template grid, as `--masks` of the others needs them.
"""

import argparse
import importlib
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
from threadpoolctl import threadpool_limits

from bids_inpaint.network.card import read_card, write_card
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import assess
from bids_inpaint.training.average import average_networks
from bids_inpaint.training.calibrate import calibrate
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.configs.override import override
from bids_inpaint.training.examples import (
    Side,
    hidden_test_examples,
    load_brains,
    load_masks,
    test_examples,
    validation_examples,
)
from bids_inpaint.training.expert_masks import bring_masks
from bids_inpaint.training.loop import train
from bids_inpaint.training.patients import Patient, load_patients
from bids_inpaint.training.pipeline import Brain, Example

LOGGER = logging.getLogger(__name__)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        '--brains',
        type=Path,
        nargs='+',
        required=True,
        help='derivatives of healthy T1w, each in a folder with the name of its dataset',
    )
    data.add_argument('--masks', type=Path, required=True, help='derivatives with lesion masks')
    data.add_argument('--out', type=Path, required=True, help='folder of weights and card')
    parser = argparse.ArgumentParser(
        prog='python -m bids_inpaint.training', description='Train a network, or measure it.'
    )
    tasks = parser.add_subparsers(dest='task', required=True)
    train_options = argparse.ArgumentParser(add_help=False, parents=[data])
    train_options.add_argument('--work', type=Path, required=True, help='of checkpoint and log')
    train_options.add_argument(
        '--interval', type=int, default=500, help='steps between checkpoints'
    )
    train_options.add_argument(
        '--config', default=None, help='module of bids_inpaint.training.configs (default: task)'
    )
    train_options.add_argument(
        '--set',
        nargs='+',
        default=[],
        metavar='NAME=VALUE',
        help='choices of the config to replace, as architecture.filters=40',
    )
    train_options.add_argument(
        '--start', type=Path, help='network to begin with instead of random weights'
    )
    train_options.add_argument(
        '--workers',
        type=int,
        default=1,
        help='threads that make examples; more where a GPU would wait for them (default: 1)',
    )
    train_options.add_argument(
        '--patients',
        type=Path,
        help='derivatives of T1w of patients whose masks are among --masks: they train the blind '
        'network as the config says, with what --nonblind puts into their lesions as target',
    )
    train_options.add_argument(
        '--nonblind', type=Path, help='non-blind network that fills the lesions of --patients'
    )
    for task in ('blind', 'nonblind'):
        tasks.add_parser(task, parents=[train_options], help=f'train the {task} network')
    assessed = tasks.add_parser('assess', parents=[data], help='measure a network on the test set')
    assessed.add_argument(
        '--choose-thresholds',
        action='store_true',
        help='choose its thresholds anew beforehand, on validation data, and measure it there',
    )
    averaged = tasks.add_parser('average', help='average the weights of networks')
    averaged.add_argument('--models', type=Path, nargs='+', required=True, help='folders')
    averaged.add_argument(
        '--shares', type=float, nargs='+', required=True, help='how much each counts'
    )
    averaged.add_argument('--out', type=Path, required=True, help='folder of the average')
    tasks.add_parser('calibrate', parents=[data], help='set how much a blind network changes')
    masks = tasks.add_parser('masks', help='bring expert masks to the template grid')
    masks.add_argument('--source', type=Path, required=True, help='BIDS dataset with masks')
    masks.add_argument(
        '--derivatives', type=Path, required=True, help='what this app wrote for its T1w'
    )
    masks.add_argument('--out', type=Path, required=True, help='folder of what is written')
    return parser.parse_args(argv)


def _commit() -> str:
    """Commit of the code, or 'unknown' outside a checkout."""
    command = ['git', 'rev-parse', 'HEAD']  # in a checkout git is on the path
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or 'unknown'


def _load_config(name: str) -> TrainingConfig:
    """Call `get_config` of a module of `bids_inpaint.training.configs`."""
    module = importlib.import_module(f'bids_inpaint.training.configs.{name}')
    config: TrainingConfig = module.get_config()
    return config


def _train(arguments: argparse.Namespace) -> None:
    """Train a network, and write it with thresholds chosen on validation data."""
    config = _load_config(arguments.config or arguments.task)
    for assignment in arguments.set:
        config = override(config, assignment)
    patients = _load_patients(arguments, config)
    start = read_card(arguments.start) if arguments.start else None
    seen = {patient.participant for patient in patients} | (start.patients if start else set())
    brains = load_brains(arguments.brains, 'training')
    masks = load_masks(arguments.masks, 'training')
    validation = load_brains(arguments.brains, 'validation')
    validation_masks = load_masks(arguments.masks, 'validation', without=seen)
    examples = validation_examples(validation, validation_masks, config)
    LOGGER.info(
        '%d brains, %d masks, %d scans of patients, %d volumes to validate',
        len(brains),
        len(masks),
        len(patients),
        len(examples),
    )
    network = train(
        config,
        brains,
        masks,
        examples,
        arguments.work,
        interval=arguments.interval,
        start=arguments.start,
        patients=patients,
        workers=arguments.workers,
    )
    thresholds: dict[str, float] = {}
    metrics: dict[str, Any] = {}
    if config.task == 'blind':
        thresholds = _choose_thresholds(network, examples, validation, config)
        metrics['validation_lesion_dice'] = thresholds.pop('lesion_dice')
    card = {
        'name': arguments.task,
        'architecture': config.architecture,
        **thresholds,
        'training': {
            'commit': _commit(),
            'start': start.sha256 if start else None,
            'config': asdict(config),
            'brains': [f'{brain.dataset}/sub-{brain.participant}' for brain in brains],
            'masks': len(masks),
            'patients': sorted(seen),
            'backend': keras.backend.backend(),
        },
        'metrics': metrics,
    }
    save_weights(network, arguments.out, card)
    _assess(arguments, 'validation')


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


def _choose_thresholds(
    network: keras.Model, examples: Sequence[Example], brains: Sequence[Brain], config: Any
) -> dict[str, float]:
    """Choose the thresholds of change and lesion map on validation data."""
    window = config.architecture.window_vox
    lesioned = assess.predict(network, examples, window)
    unlesioned = assess.predict(network, assess.healthy(brains), window)
    chosen = assess.choose_change_thresholds(lesioned, unlesioned)
    edge, core = chosen['change_edge_threshold'], chosen['change_core_threshold']
    return chosen | assess.choose_lesion_threshold(
        lesioned, edge_threshold=edge, core_threshold=core
    )


def _calibrate(arguments: argparse.Namespace) -> None:
    """Calibrate the blind network of `--out`."""
    card = read_card(arguments.out)
    brains = load_brains(arguments.brains, 'validation')
    masks = load_masks(arguments.masks, 'validation', without=card.patients)
    examples = validation_examples(brains, masks, _load_config(card.name))
    chosen = calibrate(arguments.out, examples, brains)
    LOGGER.info('gain %.2f, offset %.4f of the mean of the brain', *chosen)


def _choose_again(arguments: argparse.Namespace) -> None:
    """Choose the thresholds of the blind network of `--out` anew, and put them into its card."""
    network, card = load_weights(arguments.out)
    network.compile(jit_compile=False)
    config = _load_config(card.name)
    brains = load_brains(arguments.brains, 'validation')
    masks = load_masks(arguments.masks, 'validation', without=card.patients)
    examples = validation_examples(brains, masks, config)
    chosen = _choose_thresholds(network, examples, brains, config)
    metrics = {**card.metrics, 'validation_lesion_dice': chosen.pop('lesion_dice')}
    measured: dict[str, Any] = {**chosen, 'metrics': metrics}
    write_card(replace(card, **measured), arguments.out)
    _assess(arguments, 'validation')


def _assess(arguments: argparse.Namespace, side: Side) -> None:
    """Measure the network of `--out`, and write the figures into its card."""
    network, card = load_weights(arguments.out)
    network.compile(jit_compile=False)
    brains = load_brains(arguments.brains, side)
    masks = load_masks(arguments.masks, side, without=card.patients)
    window, hidden = card.architecture.window_vox, card.name == 'nonblind'
    if side == 'test':
        examples = [
            e for _, e in (hidden_test_examples if hidden else test_examples)(brains, masks)
        ]
    else:
        examples = validation_examples(brains, masks, _load_config(card.name))
    predictions = assess.predict(network, examples, window)
    if hidden:
        figures = assess.measure_filling(predictions)
    else:
        figures = assess.measure(
            predictions,
            assess.predict(network, assess.healthy(brains), window),
            edge_threshold=card.change_edge_threshold,
            core_threshold=card.change_core_threshold,
        )
    for name, value in figures.items():
        LOGGER.info('%s %s: %.4g', side, name, value)
    write_card(replace(card, metrics={**card.metrics, side: figures}), arguments.out)


def main(argv: Sequence[str] | None = None) -> int:
    """Train or measure, as the arguments say."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format='%(asctime)s %(message)s')
    arguments = _parse(argv)
    # The small matrix products of examples would keep all cores busy waiting for one another.
    with threadpool_limits(limits=1, user_api='blas'):
        if arguments.task == 'masks':
            bring_masks(arguments.source, arguments.derivatives, arguments.out)
        elif arguments.task == 'average':
            average_networks(arguments.models, arguments.shares, arguments.out)
        elif arguments.task == 'calibrate':
            _calibrate(arguments)
        elif arguments.task == 'assess':
            if arguments.choose_thresholds:
                _choose_again(arguments)
            _assess(arguments, 'test')
        else:
            _train(arguments)
    return 0


if __name__ == '__main__':
    sys.exit(main())
