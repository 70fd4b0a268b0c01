"""Which scans failed, and why, from the tracebacks of the steps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path

from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.workflows.base import scan_wf_name
from bids_inpaint.workflows.plugin import Crash

_NODE_LINE = re.compile(r'^Node: (\S+)$', re.MULTILINE)
_TRACEBACK = 'Traceback (most recent call last):'


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One scan that failed.

    Attributes
    ----------
    scan : Scan
        Which.
    step : str
        At which step.
    reason : str
        The error's message.
    crash_file : Path or None
        Where the traceback is.

    """

    scan: Scan
    step: str
    reason: str
    crash_file: Path | None


def find_failures(crashes: Iterable[Crash], scans: Sequence[Scan]) -> list[Failure]:
    """Tell which scans failed: of each, where it failed first, and the message."""
    names = {scan_wf_name(scan): scan for scan in scans}
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
    """Read the crash files that nipype's plugins leave."""
    crashes = []
    for path in sorted(log_dir.glob('crash-*.txt')):  # names begin with the time
        text = path.read_text(errors='replace')
        node = _NODE_LINE.search(text)
        if node:
            crashes.append(Crash(node[1], text, path))
    return crashes


def error_message(text: str) -> str:
    """Message of the error that a traceback ends with, on one line.

    The name of the error stands before it, unless it is the user's to mend. The traceback may be
    quoted in that of another error, as nipype does it, indented by a tab.
    """
    lines = [line.removeprefix('\t') for line in text.rstrip().splitlines()]
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    rest = lines[starts[-1] + 1 :] if starts else lines[-1:]
    message = list(takewhile(str.strip, dropwhile(lambda x: not x or x[0] == ' ', rest)))
    name, _, first = ' '.join(message).partition(': ')
    name = name.rpartition('.')[2]
    return first if name == BidsInpaintError.__name__ else ': '.join(filter(None, (name, first)))
