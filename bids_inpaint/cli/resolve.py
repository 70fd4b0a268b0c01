"""From parsed arguments to settings: defaults of this machine, and checks of folders."""

import argparse
import contextlib
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bids_inpaint.bids.container import MOUNT_OPTIONS, container_type
from bids_inpaint.bids.filters import read_filters
from bids_inpaint.cli.process import MAX_DEFAULT_THREADS, usable_cpus, usable_memory_gb
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.settings import Settings

_MARK = '_unfinished'
LOGGER = logging.getLogger(__name__)


def resolve_settings(arguments: argparse.Namespace) -> Settings:
    """Make the settings of a run.

    Parameters
    ----------
    arguments : Namespace
        Of `parse_arguments`.

    Returns
    -------
    settings : Settings

    Raises
    ------
    BidsInpaintError
        If the input is not a readable folder, output or working folder are inside it, the
        output is among `--derivatives`, or the filter file cannot be used. Nothing is written.

    """
    bids_dir, output_dir = arguments.bids_dir, arguments.output_dir
    check_input(bids_dir)
    check_outside(bids_dir, output_dir, what='output folder')
    work_dir = arguments.work_dir or default_work_dir(bids_dir)
    check_outside(bids_dir, work_dir, what='working folder')
    if _MARK in str(work_dir):
        msg = f'working folder must not have {_MARK!r}, a nipype marker, in its path: {work_dir}'
        raise BidsInpaintError(msg)
    if arguments.bids_database_dir:
        check_outside(bids_dir, arguments.bids_database_dir, what='folder of the index')
    check_derivatives(arguments.derivatives, output_dir)
    filter_file = arguments.bids_filter_file
    nprocs = arguments.nprocs or usable_cpus()
    as_given = {field.name for field in fields(Settings)} & vars(arguments).keys()
    return Settings(
        **{name: _immutable(getattr(arguments, name)) for name in as_given}
        | {
            'bids_filters': read_filters(filter_file) if filter_file else {},
            'work_dir': work_dir,
            'nprocs': nprocs,
            'omp_nthreads': _threads(arguments.omp_nthreads, nprocs),
            'mem_gb': arguments.mem or usable_memory_gb(),
            'dilate_mask_vox': arguments.dilate_mask,
            'min_lesion_size_mm3': arguments.min_lesion_size,
            'models_dir': arguments.models,
            'plugin_file': arguments.use_plugin,
        }
    )


def _immutable(value: Any) -> Any:
    """Return a list as a tuple, each item once."""
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value


def _threads(asked: int | None, nprocs: int) -> int:
    """Threads of one step: as requested, but at most as many as CPUs."""
    if asked and asked > nprocs:
        LOGGER.warning('--omp-nthreads %d is more than --nprocs: using %d', asked, nprocs)
    return min(asked or MAX_DEFAULT_THREADS, nprocs)


def check_input(bids_dir: Path) -> None:
    """Refuse an input that is not a readable folder.

    Raises
    ------
    BidsInpaintError
        In a container the message explains how to mount a folder of the host.

    """
    if bids_dir.is_dir():
        if not os.access(bids_dir, os.R_OK | os.X_OK):
            msg = (
                f'input folder must be readable: {bids_dir} is not readable for user {os.getuid()}'
            )
            raise BidsInpaintError(msg)
        return
    if bids_dir.exists():
        msg = f'input must be a folder with a BIDS dataset: {bids_dir} is a file'
        raise BidsInpaintError(msg)
    container = container_type()
    hint = ''
    if container:
        option = MOUNT_OPTIONS[container]
        hint = (
            f'. The program runs in a container ({container}), which only sees mounted folders: '
            f'add {option} <folder on your machine>:{bids_dir} before the name of the image'
        )
    msg = f'input folder does not exist: {bids_dir}{hint}'
    raise BidsInpaintError(msg)


def check_outside(bids_dir: Path, folder: Path, *, what: str) -> None:
    """Refuse an output folder that is the input, or inside it.

    Raises
    ------
    BidsInpaintError
        Also for `<input>/derivatives/<name>`, which BIDS allows: the input is never written to,
        so it can be mounted read-only, and shared.

    """
    if folder.resolve().is_relative_to(bids_dir.resolve()):
        where = (
            'the input itself' if folder.resolve() == bids_dir.resolve() else 'inside the input'
        )
        msg = (
            f'{what} must be outside the input {bids_dir}, which is never written to (nor is its '
            f'derivatives/): {folder} is {where}'
        )
        raise BidsInpaintError(msg)


def check_derivatives(derivatives: Sequence[Path], output_dir: Path) -> None:
    """Refuse to read lesion masks from the output folder.

    Raises
    ------
    BidsInpaintError
        The next run would take lesion maps of this one for masks of the user.

    """
    if output_dir in derivatives:
        msg = (
            f'--derivatives must not name the output folder {output_dir}, where lesion maps are '
            f'written under the same names: use another output folder'
        )
        raise BidsInpaintError(msg)


def default_work_dir(bids_dir: Path) -> Path:
    """Choose `work/` in the current folder, or a folder for temporary files.

    The latter if the current folder is not writable (often in containers), or is in the input.

    Raises
    ------
    BidsInpaintError
        If the latter is of another user: whoever writes there can have nipype run any code.

    """
    here = Path.cwd()
    if os.access(here, os.W_OK) and not here.is_relative_to(bids_dir):
        return here / 'work'
    # With the user's id: the folder for temporary files is shared with others.
    folder = Path(tempfile.gettempdir()) / f'bids_inpaint_work_{os.getuid()}'
    with contextlib.suppress(OSError):  # the check for write access tells why
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            msg = (
                f'working folder must be your own, belongs to another user: {folder}; choose one '
                f'with -w'
            )
            raise BidsInpaintError(msg)
    return folder


def check_writable(folder: Path, *, what: str) -> None:
    """Make a folder if it is missing, and check that it is writable.

    Raises
    ------
    BidsInpaintError
        If not. A file is written, as permissions are not enough (read-only mounts, quotas).

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b'\0')
    except OSError as error:
        msg = f'{what} must be writable for user {os.getuid()}: {folder}: {error}'
        raise BidsInpaintError(msg) from error
