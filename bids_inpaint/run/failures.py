"""Which scans failed, and why, from the tracebacks of the steps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError

_NODE_LINE = re.compile(r'^Node: (\S+)$', re.MULTILINE)
_TRACEBACK = 'Traceback (most recent call last):'


class Crash(NamedTuple):
    """A node that failed: full name, traceback, and crash file if there is one."""

    node: str
    text: str
    crash_file: Path | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One scan that failed.

    Attributes
    ----------
    scan : Scan
        The scan.
    step : str
        The step.
    reason : str
        Message of the error.
    crash_file : Path or None
        File with the traceback.

    """

    scan: Scan
    step: str
    reason: str
    crash_file: Path | None


def find_failures(crashes: Iterable[Crash], scans: Sequence[Scan]) -> list[Failure]:
    """Find the scans that failed, each with its first failed step and message."""
    names = {scan.workflow_name: scan for scan in scans}
    failures: dict[str, Failure] = {}
    for crash in crashes:
        *parents, step = crash.node.split('.')
        for name in names.keys() & set(parents) - failures.keys():
            reason = error_message(crash.text)
            failures[name] = Failure(
                scan=names[name], step=step, reason=reason, crash_file=crash.crash_file
            )
    return list(failures.values())


def read_crashes(log_dir: Path) -> list[Crash]:
    """Read the crash files of nipype's plugins."""
    crashes = []
    for path in sorted(log_dir.glob('crash-*.txt')):  # names begin with the time
        text = path.read_text(errors='replace')
        node = _NODE_LINE.search(text)
        if node:
            crashes.append(Crash(node[1], text, path))
    return crashes


def error_message(text: str) -> str:
    """Message of the error that a traceback ends with, on one line.

    It begins with the name of the error, except for a `BidsInpaintError`. The traceback may be
    quoted in that of another error, indented by a tab, as nipype does.
    """
    lines = [line.removeprefix('\t') for line in text.rstrip().splitlines()]
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    rest = lines[starts[-1] + 1 :] if starts else lines[-1:]
    message = list(takewhile(str.strip, dropwhile(lambda x: not x or x[0] == ' ', rest)))
    name, _, first = ' '.join(message).partition(': ')
    name = name.rpartition('.')[2]
    return first if name == BidsInpaintError.__name__ else ': '.join(filter(None, (name, first)))
