"""From parsed arguments to settings: defaults of this machine, and checks of folders."""

import argparse
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bids_inpaint.bids.container import MOUNT_OPTIONS, container_type
from bids_inpaint.bids.filters import read_filters
from bids_inpaint.cli.machine import MAX_DEFAULT_THREADS, usable_cpus, usable_memory_gb
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.settings import Settings

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
        If the input is no folder that can be read, output or working folder are within it, the
        output is to be read, too, or the filter file is not usable. Nothing is written.

    """
    bids_dir, output_dir = arguments.bids_dir, arguments.output_dir
    check_input(bids_dir)
    check_outside(bids_dir, output_dir, what='output folder')
    work_dir = arguments.work_dir or default_work_dir(bids_dir)
    check_outside(bids_dir, work_dir, what='working folder')
    if arguments.bids_database_dir:
        check_outside(bids_dir, arguments.bids_database_dir, what='folder of the index')
    check_derivatives(arguments.derivatives, output_dir)
    filter_file = arguments.bids_filter_file
    nprocs = arguments.nprocs or usable_cpus()
    return Settings(
        bids_dir=bids_dir,
        output_dir=output_dir,
        analysis_level=arguments.analysis_level,
        participant_label=tuple(dict.fromkeys(arguments.participant_label)),
        session_label=tuple(dict.fromkeys(arguments.session_label)),
        bids_filters=read_filters(filter_file) if filter_file else {},
        skip_bids_validation=arguments.skip_bids_validation,
        bids_database_dir=arguments.bids_database_dir,
        work_dir=work_dir,
        keep_work_dir=arguments.keep_work_dir,
        nprocs=nprocs,
        omp_nthreads=_threads(arguments.omp_nthreads, nprocs),
        mem_gb=arguments.mem or usable_memory_gb(),
        device=arguments.device,
        output_spaces=tuple(dict.fromkeys(arguments.output_spaces)),
        uncompressed=arguments.uncompressed,
        lesion_mask=arguments.lesion_mask,
        derivatives=tuple(dict.fromkeys(arguments.derivatives)),
        dilate_mask_vox=arguments.dilate_mask,
        lesion_map=arguments.lesion_map,
        lesion_threshold=arguments.lesion_threshold,
        min_lesion_size_mm3=arguments.min_lesion_size,
        flip_averaging=arguments.flip_averaging,
        models_dir=arguments.models,
        fail_on_qc=arguments.fail_on_qc,
        plugin_file=arguments.use_plugin,
        skip_existing=arguments.skip_existing,
        stop_on_first_crash=arguments.stop_on_first_crash,
        dry_run=arguments.dry_run,
        write_graph=arguments.write_graph,
        reports_only=arguments.reports_only,
        random_seed=arguments.random_seed,
        verbosity=arguments.verbosity,
    )


def _threads(asked: int | None, nprocs: int) -> int:
    """Threads of one step: as asked for, but no more than there are CPUs."""
    if asked and asked > nprocs:
        LOGGER.warning('--omp-nthreads %d is more than --nprocs: using %d', asked, nprocs)
    return min(asked or MAX_DEFAULT_THREADS, nprocs)


def check_input(bids_dir: Path) -> None:
    """Refuse an input that is not a folder, or that may not be read.

    Raises
    ------
    BidsInpaintError
        Inside a container the message tells how to make a folder of the host visible there.

    """
    if bids_dir.is_dir():
        if not os.access(bids_dir, os.R_OK | os.X_OK):
            msg = f'input folder must be readable: {bids_dir} is not, for user {os.getuid()}'
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
            f'. This program runs in a container ({container}), which sees only the folders it '
            f'is given: add {option} <folder of your machine>:{bids_dir} before the name of the '
            f'image'
        )
    msg = f'input folder does not exist: {bids_dir}{hint}'
    raise BidsInpaintError(msg)


def check_outside(bids_dir: Path, folder: Path, *, what: str) -> None:
    """Refuse a folder to write to that is the input, or in it.

    Raises
    ------
    BidsInpaintError
        Also for `<input>/derivatives/<name>`, which BIDS allows: with the rule that the input is
        never written to, it can be mounted read-only, and shared.

    """
    if folder.resolve().is_relative_to(bids_dir.resolve()):
        where = (
            'the input itself' if folder.resolve() == bids_dir.resolve() else 'inside the input'
        )
        msg = (
            f'{what} must be outside the input {bids_dir}, which is never written to, not even '
            f'below derivatives/: {folder} is {where}'
        )
        raise BidsInpaintError(msg)


def check_derivatives(derivatives: Sequence[Path], output_dir: Path) -> None:
    """Refuse to read lesion masks where this run writes its own.

    Raises
    ------
    BidsInpaintError
        The next run would take for a mask of the user's what this one found.

    """
    if output_dir in derivatives:
        msg = (
            f'--derivatives must not name the output folder {output_dir}, to which lesion masks '
            f'are written under the same names: give another output folder'
        )
        raise BidsInpaintError(msg)


def default_work_dir(bids_dir: Path) -> Path:
    """Choose `work/` in the current folder, or one for temporary files if that is no place.

    It is none if it may not be written to (often so in containers), or is in the input.
    """
    here = Path.cwd()
    if os.access(here, os.W_OK) and not here.is_relative_to(bids_dir):
        return here / 'work'
    # With the user's number: the folder for temporary files is shared with others.
    return Path(tempfile.gettempdir()) / f'bids_inpaint_work_{os.getuid()}'


def check_writable(folder: Path, *, what: str) -> None:
    """Make a folder if it is missing, and make sure that files can be written there.

    Raises
    ------
    BidsInpaintError
        If they cannot. It is tried, as permissions alone do not tell (read-only mounts, quotas).

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b'\0')
    except OSError as error:
        msg = f'{what} must be writable for user {os.getuid()}: {folder}: {error}'
        raise BidsInpaintError(msg) from error
