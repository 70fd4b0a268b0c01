"""From the text of an argument to its value, or to an error that says what it must be."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path


def path(text: str) -> Path:
    """Convert to an absolute path, symbolic links followed."""
    return Path(text).expanduser().resolve()


def _existing(what: str, is_there: Callable[[Path], bool]) -> Callable[[str], Path]:
    """Make a converter to the path of something that is there."""

    def convert(text: str) -> Path:
        found = path(text)
        if not is_there(found):
            msg = f'must be a {what}, but there is none at {found}'
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
            msg = f'a label must be letters and digits, with or without "{prefix}-", is {text!r}'
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
            msg = f'must be a number {"of 0 or more" if zero else "above 0"}, is {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return value

    return convert


def integer(*, at_least: int) -> Callable[[str], int]:
    """Make a converter to a whole number with a lower limit."""

    def convert(text: str) -> int:
        if not re.fullmatch('[0-9]+', text) or int(text) < at_least:
            msg = f'must be a whole number of {at_least} or more, is {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return convert
