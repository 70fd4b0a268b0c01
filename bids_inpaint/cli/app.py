"""The program: settings, scans, work, exit status."""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import tomli_w

from bids_inpaint.bids.dataset import check_output_is_ours, write_dataset_files
from bids_inpaint.bids.derivatives import find_problems
from bids_inpaint.bids.lacking import find_lacking
from bids_inpaint.bids.lesion_masks import with_lesion_masks
from bids_inpaint.bids.names import GROUP_TABLE, PAGES, split_writable
from bids_inpaint.bids.scan import Scan
from bids_inpaint.cli.listing import format_table, list_plan, list_scans
from bids_inpaint.cli.parser import parse_arguments
from bids_inpaint.cli.process import (
    INTERRUPTED,
    TERMINATED,
    configure_logging,
    end_at_once,
    prepare_environment,
    raising_signals,
)
from bids_inpaint.cli.resolve import check_writable, resolve_settings
from bids_inpaint.errors import BidsInpaintError, Terminated
from bids_inpaint.files import write_text
from bids_inpaint.run.lock import locked
from bids_inpaint.settings import Settings

if TYPE_CHECKING:
    from bids_inpaint.run.failures import Failure
    from bids_inpaint.run.pages import ReportFailure

LOGGER = logging.getLogger(__name__)

SUCCESS = 0
SOME_FAILED = 1
UNUSABLE = 2  # what argparse exits with, too


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
        processed, as arguments, input or output cannot be used. 130, 143: interrupted or
        terminated. Wrong options and `--help` raise SystemExit, as argparse does.

    """
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    configure_logging(arguments.verbosity)
    with raising_signals():
        status = _run(arguments)
        if status in {INTERRUPTED, TERMINATED}:
            end_at_once(status)
    return status


def _run(arguments: argparse.Namespace) -> int:
    """Run as the arguments say, and turn errors and signals into a status."""
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
        LOGGER.warning('interrupted; the same command resumes the run')
        return INTERRUPTED
    except Terminated:
        LOGGER.warning('terminated; the same command resumes the run')
        return TERMINATED


def _run_participant(settings: Settings) -> int:
    """Process the T1w images of participants."""
    if settings.reports_only:
        return _run_reports(settings)
    scans, errors = _find_scans(settings)
    if settings.dry_run:
        sys.stdout.write(list_plan(scans, settings, _plan(settings, scans)) + '\n')
        return _tell(errors)
    for error in errors:  # and once more at the end
        LOGGER.warning('%s', error)
    LOGGER.info('%s', list_scans(scans, settings))
    _prepare_output(settings)
    check_writable(settings.run_work_dir, what='working folder')
    failures, unreported = _process(settings, scans)
    failed = {failure.scan for failure in failures}
    doubtful = find_problems(settings.output_dir, [s for s in scans if s not in failed])
    for scan, problems in doubtful.items():
        LOGGER.warning('%s: %s', scan.name, problems)
    if failures:
        table = _failure_table(failures)
        LOGGER.error('%d of %d T1w images failed:\n%s', len(failures), len(scans), table)
    else:
        LOGGER.info('all %d T1w images done; see %s', len(scans), settings.output_dir)
    if doubtful:
        LOGGER.warning(
            '%d of %d T1w images have problems, named above: look at their pages in %s before you '
            'use them',
            len(doubtful),
            len(scans),
            settings.output_dir,
        )
    _log_unreported(unreported)
    return SOME_FAILED if _tell(errors) or failures or unreported else SUCCESS


def _process(
    settings: Settings, scans: Sequence[Scan]
) -> tuple[list['Failure'], list['ReportFailure']]:
    """Process scans and make pages; return what failed."""
    with locked(settings.run_work_dir) as lost:
        prepare_environment(settings)
        # Imported here: nipype, ANTs and TensorFlow take seconds to load, and read the
        # environment.
        from bids_inpaint.run.execute import run_participants
        from bids_inpaint.run.pages import report_run

        failures = run_participants(settings, scans)
        if failures and lost():
            LOGGER.error(
                'the working folder %s was removed during the run: do not remove it, and run '
                'again',
                settings.run_work_dir,
            )
        unreported = report_run(settings, scans)
        if not failures and not settings.keep_work_dir:
            # Not before: libraries keep their caches there.
            shutil.rmtree(settings.run_work_dir, ignore_errors=True)
        return failures, unreported


def _tell(errors: Sequence[str]) -> int:
    """Log who or what was not processed; return the status."""
    for error in errors:
        LOGGER.error('%s', error)
    return SOME_FAILED if errors else SUCCESS


def _plan(settings: Settings, scans: Sequence[Scan]) -> Mapping[Scan, Sequence[PurePosixPath]]:
    """Plan which files would be written for which scan."""
    os.environ['NO_ET'] = '1'  # else nipype asks a server for its latest version
    from bids_inpaint.run.plan import plan  # imported here: it loads nipype

    return plan(settings, scans).left


def _run_reports(settings: Settings) -> int:
    """Make the reports again from the output folder."""
    _check_processed(settings)
    if settings.dry_run:
        sys.stdout.write(f'would make {PAGES} again in {settings.output_dir}\n')
        return SUCCESS
    check_writable(settings.run_work_dir, what='working folder')
    prepare_environment(settings)
    _write_config(settings)
    from bids_inpaint.run.pages import make_reports  # imported here: slow to load

    unreported = make_reports(settings, settings.participant_label)
    shutil.rmtree(settings.run_work_dir, ignore_errors=True)
    _log_unreported(unreported)
    return SOME_FAILED if unreported else SUCCESS


def _log_unreported(unreported: Sequence['ReportFailure']) -> None:
    """Log which pages could not be made."""
    if unreported:
        table = format_table(('participant', 'reason'), unreported)
        LOGGER.error('%d reports could not be made:\n%s', len(unreported), table)


def _run_group(settings: Settings) -> int:
    """Gather the QC of all participants."""
    if settings.dry_run:
        sys.stdout.write(f'would write {GROUP_TABLE}, .json and .html to {settings.output_dir}\n')
        return SUCCESS
    _check_processed(settings)
    from bids_inpaint.run.pages import report_group  # imported here: slow to load

    written, unread = report_group(settings)
    for path in written:
        LOGGER.info('wrote %s', path)
    _write_config(settings)
    return _tell([f'the QC file of {name} cannot be read' for name in unread])


def _check_processed(settings: Settings) -> None:
    """Refuse an output folder without results."""
    if not settings.output_dir.is_dir():
        msg = (
            f'output folder does not exist: {settings.output_dir}. Run the participant level with '
            f'this output folder first'
        )
        raise BidsInpaintError(msg)
    check_output_is_ours(settings.output_dir)
    check_writable(settings.output_dir, what='output folder')


def _find_scans(settings: Settings) -> tuple[list[Scan], list[str]]:
    """Find the scans to process, and say what was asked for and cannot be."""
    # Imported here: pybids and pandas are slow to load.
    from bids_inpaint.bids.discovery import find_t1w

    scans = find_t1w(
        settings.bids_dir,
        participant_label=settings.participant_label,
        session_label=settings.session_label,
        filters=settings.bids_filters,
        database_dir=settings.bids_database_dir,
        validate=not settings.skip_bids_validation,
    )
    lacking = find_lacking(
        settings.bids_dir,
        scans,
        participant_label=settings.participant_label,
        session_label=settings.session_label,
    )
    scans, clashes = split_writable(scans, output_spaces=settings.output_spaces)
    if not scans:
        raise BidsInpaintError('\n'.join([*clashes, *lacking]))
    masked = with_lesion_masks(scans, mode=settings.lesion_mask, derivatives=settings.derivatives)
    return masked, [*clashes, *lacking]


def _prepare_output(settings: Settings) -> None:
    """Make the output folder a dataset, and write the configuration of the run."""
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
    """Format a table of failed scans: step, reason, crash file."""
    header = ('scan', 'step', 'reason', 'crash file')
    return format_table(
        header,
        [(f.scan.name, f.step, f.reason, str(f.crash_file or '')) for f in failures],
    )
