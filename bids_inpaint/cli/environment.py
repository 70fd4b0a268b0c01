"""Set up the process before heavy libraries are imported: they read these once, at import."""

import logging
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from bids_inpaint.settings import Settings

# Level of messages of this program, and of libraries, by how often -v is given.
_LEVELS = (
    (logging.INFO, logging.WARNING),
    (logging.DEBUG, logging.INFO),
    (logging.DEBUG, logging.DEBUG),
)


def configure_logging(verbosity: int) -> None:
    """Send all messages to standard error: in colour to a terminal, else plain with the time."""
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
    """Set the variables that libraries and their processes are to see.

    Parameters
    ----------
    settings : Settings
    environ : mutable mapping of str to str
        Environment variables; changed.

    """
    environ['NO_ET'] = '1'  # nipype asks a server for its newest version otherwise
    environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # errors only
    threads = str(settings.omp_nthreads)
    environ['OMP_NUM_THREADS'] = threads
    environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = threads
    # Containers often run as a user without a home. What libraries keep there is of no value
    # after the run, and goes with its working folder.
    home = settings.run_work_dir / 'home'
    replacements = {'HOME': home, 'XDG_CACHE_HOME': home / '.cache', 'MPLCONFIGDIR': home / '.mpl'}
    own_home = environ.get('HOME')
    if own_home and Path(own_home).is_dir() and _is_writable(own_home):
        # Those that are not set lie below HOME, and are as good.
        replacements = {name: path for name, path in replacements.items() if name in environ}
        replacements = {n: p for n, p in replacements.items() if not _is_writable(environ[n])}
    for name, path in replacements.items():
        path.mkdir(parents=True, exist_ok=True)
        environ[name] = str(path)


def _is_writable(folder: str) -> bool:
    """Tell whether a folder, or the one that it would be made in, may be written to."""
    path = Path(folder).absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
