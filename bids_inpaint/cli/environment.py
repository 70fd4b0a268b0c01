"""Set up the process before heavy libraries are imported: they read these once, at import."""

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Mapping, MutableMapping
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

# Where libraries keep caches and read their own configuration, and what it is called here.
_LIBRARY_FOLDERS = {
    'XDG_CACHE_HOME': '.cache',
    'XDG_CONFIG_HOME': '.config',
    'MPLCONFIGDIR': 'matplotlib',
    'NIPYPE_CONFIG_DIR': 'nipype',
    'KERAS_HOME': 'keras',
    'TEMPLATEFLOW_HOME': 'templateflow',
    'CUDA_CACHE_PATH': 'cuda',
}


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
    # Nipype's SLURM plugin names its jobs by it; containers and cron do not set it.
    environ.setdefault('LOGNAME', environ.get('USER') or f'uid{os.getuid()}')
    threads = str(settings.omp_nthreads)
    environ['OMP_NUM_THREADS'] = threads
    # With two threads two runs of ITK's non-local means differed in a fifth of the voxels, by up
    # to 1 % of the range; and its registration adds up in the order in which threads end.
    environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = '1'
    # What libraries keep in the user's home is of no value after the run, and goes with its
    # working folder; what the user has set there for other programs is not to change a result.
    home = settings.run_work_dir / 'home'
    folders = {name: home / folder for name, folder in _LIBRARY_FOLDERS.items()}
    own_home = environ.get('HOME')
    # Containers often run as a user without a home.
    if not (own_home and Path(own_home).is_dir() and os.access(own_home, os.W_OK | os.X_OK)):
        folders['HOME'] = home
    fonts = _font_lists(environ)
    for name, path in folders.items():
        path.mkdir(parents=True, exist_ok=True)
        environ[name] = str(path)
    for font_list in fonts:
        with contextlib.suppress(OSError):
            shutil.copy(font_list, folders['MPLCONFIGDIR'])


def _font_lists(environ: Mapping[str, str]) -> list[Path]:
    """Find what matplotlib knows of fonts; to find that out anew takes it seconds."""
    cache = Path(environ.get('XDG_CACHE_HOME') or Path(environ.get('HOME') or '/', '.cache'))
    folder = Path(environ.get('MPLCONFIGDIR') or cache / 'matplotlib')
    try:
        return list(folder.glob('fontlist-*.json'))
    except OSError:  # not to be read
        return []
