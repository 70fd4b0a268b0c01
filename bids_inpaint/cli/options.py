"""Options shared by several programs, and converters of arguments."""

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from bids_inpaint import __version__


def path(text: str) -> Path:
    """Convert to an absolute path, symbolic links followed.

    It must be text, as it is written into JSON and the index of pybids.
    """
    found = Path(text).expanduser().resolve()
    try:
        str(found).encode()
    except UnicodeEncodeError as error:
        msg = f'must be a path in UTF-8, not {os.fsencode(found)!r}: rename the folder'
        raise argparse.ArgumentTypeError(msg) from error
    return found


def _existing(what: str, is_there: Callable[[Path], bool]) -> Callable[[str], Path]:
    """Make a converter to an existing path."""

    def convert(text: str) -> Path:
        found = path(text)
        if not is_there(found):
            msg = f'must be an existing {what}, not {found}'
            raise argparse.ArgumentTypeError(msg)
        return found

    return convert


existing_file = _existing('file', Path.is_file)
existing_folder = _existing('folder', Path.is_dir)


def label(prefix: str) -> Callable[[str], str]:
    """Make a converter to a label without its prefix."""

    def convert(text: str) -> str:
        bare = text.removeprefix(f'{prefix}-')
        if not re.fullmatch('[a-zA-Z0-9+]+', bare):
            msg = f'must be letters and digits, with or without "{prefix}-", not {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return bare

    return convert


def number(*, zero: bool) -> Callable[[str], float]:
    """Make a converter to a finite number above zero, or also zero."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value < math.inf) or (value == 0 and not zero):
            msg = f'must be a number {"of 0 or more" if zero else "above 0"}, not {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return value

    return convert


def probability(text: str) -> float:
    """Convert to a number between 0 and 1, both excluded."""
    value = number(zero=False)(text)
    if value >= 1:
        msg = f'must be a number between 0 and 1, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def integer(*, at_least: int) -> Callable[[str], int]:
    """Make a converter to an integer with a lower limit."""

    def convert(text: str) -> int:
        if not re.fullmatch('[0-9]+', text) or int(text) < at_least:
            msg = f'must be an integer of {at_least} or more, not {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return convert


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
        '-v',
        '--verbose',
        dest='verbosity',
        action='count',
        default=0,
        help='log more; repeatable',
    )
