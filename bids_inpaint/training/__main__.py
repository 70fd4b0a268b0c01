"""Command line of training: `python -m bids_inpaint.training blind --brains DIR --masks DIR ...`.

`blind` trains, and writes weights and card;
`nonblind` trains the network that fills a lesion mask;
`average` averages networks of one training, to continue from;
`calibrate` sets how much a blind network changes, on validation data;
`score` chooses the thresholds of a blind network on validation data, and measures its score;
`assess` measures a network on the frozen test set, and writes the figures into its card;
`masks` resamples expert masks to the template grid, for `--masks`;
`labels` resamples label maps to the template grid, for `--label-maps`.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from threadpoolctl import threadpool_limits

from bids_inpaint.training import tasks
from bids_inpaint.training.average import average_networks
from bids_inpaint.training.expert_masks import bring_masks
from bids_inpaint.training.label_maps import bring_label_maps


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bids_inpaint.training', description='Train a network, or measure it.'
    )
    subparsers = parser.add_subparsers(dest='task', required=True)
    data = _data_options()
    trained = _training_options(data)
    for task in ('blind', 'nonblind'):
        subparsers.add_parser(task, parents=[trained], help=f'train the {task} network')
    subparsers.add_parser('assess', parents=[data], help='measure a network on the test set')
    subparsers.add_parser('calibrate', parents=[data], help='set how much a blind network changes')
    scored = subparsers.add_parser(
        'score', parents=[data], help='choose thresholds on validation data, and measure the score'
    )
    scored.add_argument('--report', type=Path, help='JSON file with the result of each image')
    scored.add_argument(
        '--keep-card', action='store_true', help='do not change the card of the network'
    )
    averaged = subparsers.add_parser('average', help='average the weights of networks')
    averaged.add_argument('--models', type=Path, nargs='+', required=True, help='folders')
    averaged.add_argument('--shares', type=float, nargs='+', required=True, help='weight of each')
    averaged.add_argument('--out', type=Path, required=True, help='folder of the average')
    labels = subparsers.add_parser('labels', help='resample label maps to the template grid')
    labels.add_argument('--source', type=Path, required=True, help='folder of *_seg_*.nii.gz')
    labels.add_argument('--out', type=Path, required=True, help='folder of what is written')
    masks = subparsers.add_parser('masks', help='resample expert masks to the template grid')
    masks.add_argument('--source', type=Path, required=True, help='BIDS dataset with masks')
    masks.add_argument(
        '--derivatives', type=Path, required=True, help='derivatives of this app for its T1w'
    )
    masks.add_argument('--out', type=Path, required=True, help='folder of what is written')
    return parser.parse_args(argv)


def _data_options() -> argparse.ArgumentParser:
    """Options on data for training or measuring."""
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        '--brains',
        type=Path,
        nargs='+',
        required=True,
        help='derivatives of healthy T1w, each in a folder with the name of its dataset',
    )
    data.add_argument('--masks', type=Path, required=True, help='derivatives with lesion masks')
    data.add_argument(
        '--label-maps',
        type=Path,
        help='label maps in template space (`labels`), to make healthy brains from',
    )
    data.add_argument(
        '--scans', type=Path, help='derivatives of T1w of patients without masks, to validate with'
    )
    data.add_argument('--out', type=Path, required=True, help='folder of weights and card')
    return data


def _training_options(data: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of a training, after those of data."""
    options = argparse.ArgumentParser(add_help=False, parents=[data])
    options.add_argument('--work', type=Path, required=True, help='folder of checkpoint and log')
    options.add_argument('--interval', type=int, default=500, help='steps between checkpoints')
    options.add_argument(
        '--config', default=None, help='module of bids_inpaint.training.configs (default: task)'
    )
    options.add_argument(
        '--set',
        nargs='+',
        default=[],
        metavar='NAME=VALUE',
        help='settings of the config to replace, as architecture.filters=40',
    )
    options.add_argument(
        '--start', type=Path, help='network to start from instead of random weights'
    )
    options.add_argument(
        '--finish-in',
        type=int,
        metavar='STEPS',
        help='end after this many further steps, over which the learning rate falls to zero; '
        'without it, a config with `decay_share` 0 continues at a constant rate',
    )
    options.add_argument(
        '--workers',
        type=int,
        default=1,
        help='threads that make examples; more if a GPU waits for them (default: 1)',
    )
    options.add_argument(
        '--shapes', type=Path, help='folder of a library of single lesions to draw from, too'
    )
    options.add_argument(
        '--patients',
        type=Path,
        help='derivatives of T1w of patients with masks among --masks, to train the blind network '
        'on (see the config), with their lesions filled by --nonblind as target',
    )
    options.add_argument(
        '--nonblind', type=Path, help='non-blind network that fills the lesions of --patients'
    )
    return options


_TASKS: dict[str, Callable[[argparse.Namespace], None]] = {
    'blind': tasks.train,
    'nonblind': tasks.train,
    'score': tasks.score,
    'calibrate': tasks.calibrate,
    'assess': tasks.assess,
    'average': lambda a: _discard(average_networks(a.models, a.shares, a.out)),
    'labels': lambda a: _discard(bring_label_maps(a.source, a.out)),
    'masks': lambda a: _discard(bring_masks(a.source, a.derivatives, a.out)),
}


def _discard(_: object) -> None:
    """Ignore the return value of a task."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train or measure, as the arguments say."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format='%(asctime)s %(message)s')
    arguments = _parse(argv)
    # With several threads, small matrix products of examples would keep all cores waiting.
    with threadpool_limits(limits=1, user_api='blas'):
        _TASKS[arguments.task](arguments)
    return 0


if __name__ == '__main__':
    sys.exit(main())
