"""The program: settings, scans, work, exit status."""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import tomli_w

from bids_inpaint.bids.atomic import write_text
from bids_inpaint.bids.dataset import check_output_is_ours, write_dataset_files
from bids_inpaint.bids.lesion_masks import with_lesion_masks
from bids_inpaint.bids.names import check_distinct
from bids_inpaint.bids.scan import Scan
from bids_inpaint.cli.environment import configure_logging, prepare_environment
from bids_inpaint.cli.listing import format_table, list_plan, list_scans
from bids_inpaint.cli.parser import parse_arguments
from bids_inpaint.cli.resolve import check_writable, resolve_settings
from bids_inpaint.cli.termination import TERMINATED, end_at_once, raising_terminated
from bids_inpaint.errors import BidsInpaintError, Terminated
from bids_inpaint.settings import Settings

if TYPE_CHECKING:
    from bids_inpaint.workflows.failures import Failure
    from bids_inpaint.workflows.reports import ReportFailure

LOGGER = logging.getLogger(__name__)

SUCCESS = 0
SOME_FAILED = 1
UNUSABLE = 2  # what argparse exits with, too
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None for those of the process.

    Returns
    -------
    status : int
        0: all scans were processed. 1: some failed, all others were finished. 2: nothing was
        begun, as arguments, input or output are not usable. 130, 143: it was interrupted or
        terminated. Wrong options and `--help` raise SystemExit, as argparse does.

    """
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    configure_logging(arguments.verbosity)
    with raising_terminated():
        status = _run(arguments)
        if status == TERMINATED:
            end_at_once()
    return status


def _run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say, and turn what ends it early into a status."""
    try:
        settings = resolve_settings(arguments)
        if settings.analysis_level == 'group':
            return _run_group(settings)
        return _run_participant(settings)
    except BidsInpaintError as error:
        LOGGER.critical('%s', error)
        return UNUSABLE
    except OSError as error:  # a disk that fills, a folder that goes away
        LOGGER.critical('%s', error)
        return UNUSABLE
    except KeyboardInterrupt:
        LOGGER.warning('interrupted; the same command goes on where this one stopped')
        return INTERRUPTED
    except Terminated:
        LOGGER.warning('terminated; the same command goes on where this one stopped')
        return TERMINATED


def _run_participant(settings: Settings) -> int:
    """Process the T1w images of participants."""
    if settings.reports_only:
        return _run_reports(settings)
    scans = _find_scans(settings)
    if settings.dry_run:
        sys.stdout.write(list_plan(scans, settings, _find_left(settings, scans)) + '\n')
        return SUCCESS
    LOGGER.info('%s', list_scans(scans, settings))
    _prepare_output(settings)
    check_writable(settings.run_work_dir, what='working folder')
    prepare_environment(settings)
    # Only here: nipype, ANTs and TensorFlow take seconds to load and read the environment.
    from bids_inpaint.workflows.execute import run_participants
    from bids_inpaint.workflows.reports import report_run

    failures = run_participants(settings, scans)
    unreported = report_run(settings, scans)
    if failures:
        table = _failure_table(failures)
        LOGGER.error('%d of %d T1w images failed:\n%s', len(failures), len(scans), table)
    else:
        LOGGER.info('all of %d T1w images done; see %s', len(scans), settings.output_dir)
    _tell_unreported(unreported)
    return SOME_FAILED if failures or unreported else SUCCESS


def _find_left(settings: Settings, scans: Sequence[Scan]) -> Collection[Scan]:
    """Leave out what would be skipped."""
    if not settings.skip_existing:
        return scans
    os.environ['NO_ET'] = '1'  # nipype asks a server for its newest version otherwise
    from bids_inpaint.workflows.plan import find_left  # only here: it loads nipype

    return find_left(settings, scans)


def _run_reports(settings: Settings) -> int:
    """Make reports anew from what is in the output folder."""
    _check_processed(settings)
    if settings.dry_run:
        sys.stdout.write(f'would make sub-*.html anew in {settings.output_dir}\n')
        return SUCCESS
    check_writable(settings.run_work_dir, what='working folder')
    prepare_environment(settings)
    _write_config(settings)
    from bids_inpaint.workflows.reports import make_reports  # only here: it loads nipype

    unreported = make_reports(settings, settings.participant_label)
    shutil.rmtree(settings.run_work_dir, ignore_errors=True)
    _tell_unreported(unreported)
    return SOME_FAILED if unreported else SUCCESS


def _tell_unreported(unreported: Sequence['ReportFailure']) -> None:
    """Say of whom there is no page."""
    if unreported:
        table = format_table(('participant', 'reason'), unreported)
        LOGGER.error('%d reports could not be made:\n%s', len(unreported), table)


def _run_group(settings: Settings) -> int:
    """Gather the QC of all participants."""
    if settings.dry_run:
        sys.stdout.write(f'would write group_T1w.tsv, .json and .html to {settings.output_dir}\n')
        return SUCCESS
    _check_processed(settings)
    from bids_inpaint.workflows.group import report_group  # only here: --help is not to wait

    for path in report_group(settings):
        LOGGER.info('wrote %s', path)
    _write_config(settings)
    return SUCCESS


def _check_processed(settings: Settings) -> None:
    """Refuse an output folder that nothing was written to yet."""
    if not settings.output_dir.is_dir():
        msg = (
            f'output folder does not exist: {settings.output_dir}: run the participant level on '
            f'the same output folder first'
        )
        raise BidsInpaintError(msg)
    check_output_is_ours(settings.output_dir)
    check_writable(settings.output_dir, what='output folder')


def _find_scans(settings: Settings) -> list[Scan]:
    """Find what to process, and make sure that all of it can be told apart in the output."""
    # Only here: pybids and pandas take a moment to load, which --help is not to wait for.
    from bids_inpaint.bids.discovery import find_t1w

    scans = find_t1w(
        settings.bids_dir,
        participant_label=settings.participant_label,
        session_label=settings.session_label,
        filters=settings.bids_filters,
        database_dir=settings.bids_database_dir,
        validate=not settings.skip_bids_validation,
    )
    check_distinct(scans, output_spaces=settings.output_spaces)
    return with_lesion_masks(scans, mode=settings.lesion_mask, derivatives=settings.derivatives)


def _prepare_output(settings: Settings) -> None:
    """Make the output folder a dataset, and note the run's configuration in it."""
    check_output_is_ours(settings.output_dir)
    check_writable(settings.output_dir, what='output folder')
    write_dataset_files(
        settings.output_dir, bids_dir=settings.bids_dir, derivatives=settings.derivatives
    )
    _write_config(settings)


def _write_config(settings: Settings) -> None:
    """Write `logs/<run>/config.toml`."""
    write_text(settings.run_log_dir / 'config.toml', tomli_w.dumps(settings.to_dict()))


def _failure_table(failures: Sequence['Failure']) -> str:
    """Lay out which scan failed, where, why, and which file tells more."""
    header = ('scan', 'step', 'reason', 'crash file')
    return format_table(
        header,
        [(f.scan.name, f.step, f.reason, str(f.crash_file or '')) for f in failures],
    )
