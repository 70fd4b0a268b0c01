"""Command line of training: `python -m bids_inpaint.training blind --brains DIR --masks DIR ...`.

`blind` trains, chooses the thresholds on validation data, and writes weights and card;
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

from bids_inpaint.network.card import write_card
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import assess
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.examples import (
    Side,
    load_brains,
    load_masks,
    test_examples,
    validation_examples,
)
from bids_inpaint.training.expert_masks import bring_masks
from bids_inpaint.training.loop import train

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
    blind = tasks.add_parser('blind', parents=[data], help='train the blind network')
    blind.add_argument('--work', type=Path, required=True, help='folder of checkpoint and log')
    blind.add_argument('--interval', type=int, default=500, help='steps between checkpoints')
    tasks.add_parser('assess', parents=[data], help='measure a network on the test set')
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
    config = _load_config(arguments.task)
    brains = load_brains(arguments.brains, 'training')
    masks = load_masks(arguments.masks, 'training')
    validation = load_brains(arguments.brains, 'validation')
    examples = validation_examples(validation, load_masks(arguments.masks, 'validation'), config)
    LOGGER.info(
        '%d brains, %d masks, %d volumes to validate', len(brains), len(masks), len(examples)
    )
    network = train(config, brains, masks, examples, arguments.work, interval=arguments.interval)
    window = config.architecture.window_vox
    lesioned = assess.predict(network, examples, window)
    unlesioned = assess.predict(network, assess.healthy(validation), window)
    thresholds = assess.choose_change_thresholds(lesioned, unlesioned)
    edge, core = thresholds['change_edge_threshold'], thresholds['change_core_threshold']
    found = assess.choose_lesion_threshold(lesioned, edge_threshold=edge, core_threshold=core)
    card = {
        'name': arguments.task,
        'architecture': config.architecture,
        **thresholds,
        'lesion_threshold': found['lesion_threshold'],
        'training': {
            'commit': _commit(),
            'config': asdict(config),
            'brains': [brain.participant for brain in brains],
            'masks': len(masks),
            'backend': keras.backend.backend(),
        },
        'metrics': {'validation_lesion_dice': found['lesion_dice']},
    }
    save_weights(network, arguments.out, card)
    _assess(arguments, 'validation', examples=examples)


def _assess(arguments: argparse.Namespace, side: Side, examples: Any = None) -> None:
    """Measure the network of `--out`, and write the figures into its card."""
    network, card = load_weights(arguments.out)
    network.compile(jit_compile=False)
    brains = load_brains(arguments.brains, side)
    if examples is None:
        masks = load_masks(arguments.masks, side)
        examples = (example for _, example in test_examples(brains, masks))
    window = card.architecture.window_vox
    figures = assess.measure(
        assess.predict(network, examples, window),
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
        elif arguments.task == 'assess':
            _assess(arguments, 'test')
        else:
            _train(arguments)
    return 0


if __name__ == '__main__':
    sys.exit(main())
