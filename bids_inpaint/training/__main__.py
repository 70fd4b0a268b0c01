"""Command line: `python -m bids_inpaint.training blind --brains DIR --masks DIR --out DIR`."""

import argparse
import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

from bids_inpaint.network.weights import save_weights
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.examples import (
    load_brains,
    load_masks,
    validation_examples,
)
from bids_inpaint.training.loop import train

# Until validation data say otherwise; in units of the mean of the brain.
_THRESHOLDS = {
    'change_core_threshold': 0.1,
    'change_edge_threshold': 0.03,
    'lesion_threshold': 0.15,
}


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bids_inpaint.training', description='Train a network.'
    )
    parser.add_argument('network', choices=['blind'], help='which network')
    parser.add_argument('--brains', type=Path, required=True, help='derivatives of healthy T1w')
    parser.add_argument('--masks', type=Path, required=True, help='derivatives with lesion masks')
    parser.add_argument('--out', type=Path, required=True, help='folder of weights and card')
    parser.add_argument('--work', type=Path, required=True, help='folder of checkpoint and log')
    parser.add_argument('--steps', type=int, help='instead of those of the config')
    parser.add_argument('--interval', type=int, default=250, help='steps between checkpoints')
    return parser.parse_args(argv)


def _commit() -> str:
    """Commit of the code, or 'unknown' outside a checkout."""
    command = ['git', 'rev-parse', 'HEAD']  # in a checkout git is on the path
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or 'unknown'


def _config(arguments: argparse.Namespace) -> TrainingConfig:
    module = importlib.import_module(f'bids_inpaint.training.configs.{arguments.network}')
    config: TrainingConfig = module.get_config()
    return replace(config, steps=arguments.steps) if arguments.steps else config


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the arguments say."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format='%(asctime)s %(message)s')
    arguments = _parse(argv)
    config = _config(arguments)
    brains = load_brains(arguments.brains, 'training')
    masks = load_masks(arguments.masks, 'training')
    examples = validation_examples(
        load_brains(arguments.brains, 'validation'),
        load_masks(arguments.masks, 'validation'),
        config,
    )
    logging.getLogger(__name__).info(
        '%d brains, %d masks, %d volumes to validate', len(brains), len(masks), len(examples)
    )
    network = train(
        config,
        brains,
        masks,
        examples,
        arguments.work,
        interval=arguments.interval,
    )
    card = {
        'name': arguments.network,
        'architecture': config.architecture,
        **_THRESHOLDS,
        'training': {
            'commit': _commit(),
            'config': asdict(config),
            'brains': [brain.participant for brain in brains],
        },
    }
    save_weights(network, arguments.out, card)
    return 0


if __name__ == '__main__':
    sys.exit(main())
