"""Options that several programs have."""

import argparse

from bids_inpaint import __version__
from bids_inpaint.cli.converters import label


def add_participant_label(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add `--participant-label`."""
    parser.add_argument(
        '--participant-label',
        nargs='+',
        type=label('sub'),
        default=[],
        metavar='LABEL',
        help='participants, with or without "sub-" (default: all)',
    )


def add_version_and_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add `--version` and `-v`."""
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument(
        '-v', '--verbose', dest='verbosity', action='count', default=0, help='say more; repeatable'
    )
