"""One run at a time in a working folder."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bids_inpaint.errors import BidsInpaintError

LOGGER = logging.getLogger(__name__)

_NAME = '.lock'
_PATIENCE_S = 10.0  # the processes of a run that was killed end in less


@contextmanager
def locked(folder: Path) -> Iterator[Callable[[], bool]]:
    """Keep other runs out of a working folder.

    Two runs there would read each other's half-written files. The lock ends with the processes
    that hold it, this one and its forks, whatever ends them (filelock would unlock for the forks
    as well). Where the file system has no locks, other runs are not kept out.

    Yields
    ------
    lost : callable
        Whether the folder was removed since.

    Raises
    ------
    BidsInpaintError
        If another run is there.

    """
    path = folder / _NAME
    with _lock(path) as stream:
        yield lambda: not _is_at(stream, path)


def _lock(path: Path) -> IO[str]:
    """Open a lock file, and lock it; wait if it is locked."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open('w')
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
        except OSError as error:
            LOGGER.debug('no lock in %s: %s', path.parent, error)
            return stream
        else:
            if _is_at(stream, path):
                return stream
            stream.close()  # the run that held it has ended, and removed it
            continue
        if time.monotonic() > deadline:
            msg = (
                f'expected one run at a time in the working folder {path.parent}, found '
                f'another with the same input, output and options. Wait for it to end'
            )
            raise BidsInpaintError(msg)
        time.sleep(0.2)


def _is_at(stream: IO[str], path: Path) -> bool:
    """Whether an open file is still the one of a path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except OSError:
        return False
