"""The process: its environment, usable CPUs and memory, and its end on SIGTERM."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from rich.console import Console
from rich.logging import RichHandler

from bids_inpaint.errors import Terminated
from bids_inpaint.settings import Settings

# Log levels of this program and of libraries, by number of -v.
_LEVELS = (
    (logging.INFO, logging.WARNING),
    (logging.DEBUG, logging.INFO),
    (logging.DEBUG, logging.DEBUG),
)

# Folders of caches and configuration of libraries, by environment variable.
_LIBRARY_FOLDERS = {
    'XDG_CACHE_HOME': '.cache',
    'XDG_CONFIG_HOME': '.config',
    'MPLCONFIGDIR': 'matplotlib',
    'NIPYPE_CONFIG_DIR': 'nipype',
    'KERAS_HOME': 'keras',
    'CUDA_CACHE_PATH': 'cuda',
}


def configure_logging(verbosity: int) -> None:
    """Log to standard error: in colour on a terminal, else plain with the time."""
    ours, others = _LEVELS[min(verbosity, len(_LEVELS) - 1)]
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
        handler.setFormatter(logging.Formatter('%(message)s'))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    logging.basicConfig(level=others, handlers=[handler], force=True)
    logging.getLogger('bids_inpaint').setLevel(ours)


def prepare_environment(
    settings: Settings, environ: MutableMapping[str, str] = os.environ
) -> None:
    """Set the environment of libraries and their processes.

    Parameters
    ----------
    settings : Settings
    environ : mutable mapping of str to str
        Environment variables; changed.

    """
    environ['NO_ET'] = '1'  # else nipype asks a server for its latest version
    environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # errors only
    # Nipype's SLURM plugin needs it; containers and cron do not set it.
    environ.setdefault('LOGNAME', environ.get('USER') or f'uid{os.getuid()}')
    threads = str(settings.omp_nthreads)
    environ['OMP_NUM_THREADS'] = threads
    # With two threads, two runs of ITK's non-local means differ in a fifth of the voxels, by up to
    # 1 % of the range; and its registration sums in the order in which threads end.
    environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = '1'
    # Figures look the same everywhere, and nobody waits until all fonts of a machine are listed.
    environ['MPL_IGNORE_SYSTEM_FONTS'] = '1'
    # Caches of libraries go to the working folder and are removed with it; configuration in the
    # user's home must not change results.
    home = settings.run_work_dir / 'home'
    folders = {name: home / folder for name, folder in _LIBRARY_FOLDERS.items()}
    own_home = environ.get('HOME')
    # Containers often run as a user without a home.
    if not (own_home and Path(own_home).is_dir() and os.access(own_home, os.W_OK | os.X_OK)):
        folders['HOME'] = home
    for name, path in folders.items():
        path.mkdir(parents=True, exist_ok=True)
        environ[name] = str(path)


MAX_DEFAULT_THREADS = 8  # ITK's filters gain little beyond
_BYTES_PER_GB = 1e9


def usable_cpus(root: Path = Path('/')) -> int:
    """Count the usable CPUs: affinity, and quota of control groups.

    Parameters
    ----------
    root : Path
        Root of the file system.

    Returns
    -------
    count : int
        At least one.

    """
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _control_groups(root, 'cpu'):
        quota = _read(folder / 'cpu.max').split() or [
            _read(folder / 'cpu.cfs_quota_us'),
            _read(folder / 'cpu.cfs_period_us'),
        ]
        if len(quota) == 2 and all(text.isdigit() for text in quota) and int(quota[1]) > 0:
            limits.append(int(quota[0]) / int(quota[1]))
    return max(1, int(min(limits)))


def usable_memory_gb(root: Path = Path('/')) -> float:
    """Usable memory in GB: free memory, or the limit of a control group.

    Parameters
    ----------
    root : Path
        Root of the file system.

    Returns
    -------
    memory : float

    """
    limits = [psutil.virtual_memory().available]
    for folder in _control_groups(root, 'memory'):
        for name in ('memory.max', 'memory.limit_in_bytes'):
            text = _read(folder / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits) / _BYTES_PER_GB


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process and of their parents, version 1 or 2.

    Limits of parents hold, too. In a container, whose group is mounted as the root, the path of
    the group may not exist.
    """
    for line in _read(root / 'proc/self/cgroup').splitlines():
        _, controllers, path = line.split(':', 2)
        if controllers and controller not in controllers.split(','):
            continue
        top = root / 'sys/fs/cgroup' / (controller if controllers else '')
        group = top / path.strip('/')
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _read(path: Path) -> str:
    """Text of a small file; empty if it cannot be read."""
    try:
        return path.read_text(encoding='utf-8').strip()
    except OSError:
        return ''


INTERRUPTED = 128 + signal.SIGINT  # as in shells
TERMINATED = 128 + signal.SIGTERM
_RAISED: Mapping[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}
# Docker kills after 10 s.
_AT_LATEST_S = 4.0


def end_at_once(status: int) -> NoReturn:
    """End the process without Python's clean-up, which takes up to 10 s.

    By then, child processes have ended, and files are whole or removed.
    """
    logging.shutdown()
    os._exit(status)


@contextmanager
def raising_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block on SIGINT, and `Terminated` on SIGTERM.

    If that does not end the process soon, it is ended. Without a handler, SIGTERM does not end the
    first process of a container, and any other leaves files half written. A signal that is
    ignored, as SIGINT is in the background of a script, stays so.
    """
    deadlines: list[threading.Timer] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # once is enough
        deadline = threading.Timer(_AT_LATEST_S, os._exit, (128 + number,))
        deadline.daemon = True
        deadline.start()
        deadlines.append(deadline)
        raise _RAISED[number]

    before = {number: signal.getsignal(number) for number in _RAISED}
    before = {number: held for number, held in before.items() if held != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for deadline in deadlines:
            deadline.cancel()
        for number, held in before.items():
            signal.signal(number, held)
