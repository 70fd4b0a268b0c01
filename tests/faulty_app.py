"""The app with a fault: `python faulty_app.py <arguments of the app>`.

FAULTS_STEPS  'real', or else the stand-ins of tiny_app
FAULT         one of these:
    hold STEP FILE       before a step, FILE.reached is written, and FILE waited for
    kill STEP            the process of a step is killed, as for want of memory
    quota FOLDER BYTES   writing more than so much below a folder is an error, as by a quota
    clock SECONDS        after so many seconds the clock is an hour earlier
"""

import errno
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_app

from bids_inpaint.cli import main as app
from bids_inpaint.interfaces.base import MeasuredInterface

HOUR_S = 3600


def before(wanted: str, act: Callable[[], None]) -> None:
    """Do something before a step."""
    run = MeasuredInterface._run_interface

    def run_faulty(self: MeasuredInterface, runtime: Any) -> Any:
        if self.step == wanted:
            act()
        return run(self, runtime)

    MeasuredInterface._run_interface = run_faulty


def hold(file: Path) -> None:
    """Say that this was reached, and wait."""
    file.with_name(f'{file.name}.reached').touch()
    while not file.exists():
        time.sleep(0.05)


def size_of(path: Path) -> int:
    """Bytes of a file, none if it was replaced at this moment."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def limit(folder: str, most: int) -> None:
    """Let all files below a folder have so many bytes."""

    class Metered(io.FileIO):
        def write(self, content: Any) -> int:
            used = sum(map(size_of, Path(folder).rglob('*')))
            if used + len(content) > most:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), self.name)
            return super().write(content)

    plain = io.open

    def metered(
        file: Any,
        mode: str = 'r',
        buffering: int = -1,
        encoding: Any = None,
        *rest: Any,
        **more: Any,
    ) -> Any:
        inside = isinstance(file, str | os.PathLike) and os.fspath(file).startswith(folder)
        if not inside or mode.strip('bt') not in {'w', 'x', 'a'}:
            return plain(file, mode, buffering, encoding, *rest, **more)
        buffered = io.BufferedWriter(Metered(os.fspath(file), mode.strip('bt')))
        return buffered if 'b' in mode else io.TextIOWrapper(buffered, encoding)

    io.open = vars(sys.modules['builtins'])['open'] = metered


def turn_back(after_s: float) -> None:
    """Turn the clock back by an hour, for this program and for the files that it replaces."""
    real, replace = time.time, Path.replace
    started = real()

    def now() -> float:
        return real() - (HOUR_S if real() - started > after_s else 0)

    def replace_dated(self: Path, target: Path) -> Path:
        os.utime(self, (now(), now()))
        return replace(self, target)

    time.time, Path.replace = now, replace_dated


def main() -> int:
    """Run the app."""
    if os.environ.get('FAULTS_STEPS') != 'real':
        tiny_app.replace_all()
    match os.environ.get('FAULT', '').split():
        case ['hold', step, file]:
            before(step, lambda: hold(Path(file)))
        case ['kill', step]:
            before(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
        case ['quota', folder, most]:
            limit(folder, int(most))
        case ['clock', seconds]:
            turn_back(float(seconds))
    return app()


if __name__ == '__main__':
    sys.exit(main())
