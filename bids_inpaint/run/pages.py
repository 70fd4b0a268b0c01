"""Make the pages of participants, several at a time, and of the group."""

import logging
import multiprocessing
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bids_inpaint.bids.derivatives import Processed, find_processed
from bids_inpaint.bids.group import UNREAD, gather_group, read_participants, write_group_table
from bids_inpaint.bids.names import GROUP_PAGE, PAGES, page_path
from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import write_text
from bids_inpaint.reports.group import render_group
from bids_inpaint.reports.page import Error
from bids_inpaint.reports.participant import report_participant, write_citations
from bids_inpaint.run.failures import error_message, read_crashes
from bids_inpaint.run.processes import (
    end_with_parent,
    ending_children,
    exiting_when_terminated,
)
from bids_inpaint.settings import Settings

LOGGER = logging.getLogger(__name__)

_SCAN_WORKFLOW = re.compile(
    r'(?:^|\.)(?P<workflow>(?P<scan>sub_(?P<subject>[a-zA-Z0-9]+)(?:_\w+)?)_wf)\.'
)
_ENTITY = re.compile(r'([a-z]+)_([a-zA-Z0-9]+)')  # sub_01_ses_2 is sub-01_ses-2
_MEMORY_GB = 1.5  # of one process that draws a scan of 288 x 288 x 181 voxels
# logs/failed/sub-XX/<run> marks that a step of sub-XX failed in that run, so that a job of an
# array need not search the logs of all others.
_FAILED = 'failed'


class ReportFailure(NamedTuple):
    """A participant whose page could not be made, and why."""

    participant: str
    reason: str


class _Job(NamedTuple):
    """Input of one page."""

    output_dir: Path
    subject: str
    processed: list[Processed]
    errors: list[Error]


def make_reports(settings: Settings, subjects: Collection[str]) -> list[ReportFailure]:
    """Make the pages of participants from their derivatives and crash files.

    Parameters
    ----------
    settings : Settings
        Of the run; as many pages are made at a time as its CPUs and memory allow.
    subjects : collection of str
        Labels, without 'sub-'; empty for all that have derivatives or crash files.

    Returns
    -------
    list of ReportFailure
        Empty if all were made. One that fails does not stop the others.

    Raises
    ------
    BidsInpaintError
        If there is no input for any page.

    """
    folders = sorted((settings.output_dir / 'logs').glob('*/'))
    jobs, unread = _jobs(settings, subjects, folders)
    return [*unread, *_make_all(settings, jobs, subjects)] if jobs or not unread else unread


def report_run(settings: Settings, scans: Sequence[Scan]) -> list[ReportFailure]:
    """Make the pages of the participants of a run that has ended.

    With `skip_existing`, a page that is newer than its input is skipped. Only files of these
    participants are read, however many others there are.

    If the input cannot be read at all, all pages count as failed, without an exception: failed
    scans must still be reported.
    """
    subjects = sorted({scan.subject for scan in scans})
    try:
        _note_failed(settings)
        folders = _folders_with_failures(settings.output_dir, subjects)
        every, unread = _jobs(settings, subjects, folders)
        jobs = [job for job in every if not (settings.skip_existing and _is_up_to_date(job))]
        if not jobs and (every or unread):
            return unread
        return [*unread, *_make_all(settings, jobs, subjects)]
    except (BidsInpaintError, OSError) as error:
        return [ReportFailure('all', str(error))]


def report_group(settings: Settings) -> tuple[list[Path], list[str]]:
    """Write `group_T1w.tsv`, its data dictionary, and `group_T1w.html`.

    Returns
    -------
    written : list of Path
        The table and the page.
    unread : list of str
        Scans whose QC file cannot be read.

    Raises
    ------
    BidsInpaintError
        If no scan was processed.

    """
    output_dir = settings.output_dir
    rows = gather_group(output_dir, settings.bids_dir)
    table = write_group_table(output_dir, rows)
    pages = {path.stem for path in output_dir.glob(PAGES)}
    participants = read_participants(settings.bids_dir, {row['participant_id'] for row in rows})
    page = render_group(rows, participants, pages)
    unread = [row['source'] for row in rows if row.get('problems') == UNREAD]
    return [table, write_text(output_dir / GROUP_PAGE, page)], unread


def _make_all(
    settings: Settings, jobs: Sequence[_Job], searched: Collection[str]
) -> list[ReportFailure]:
    """Make pages and methods text; return which pages failed."""
    if not jobs:
        names = ', '.join(f'sub-{subject}' for subject in searched) or 'any participant'
        msg = f'neither derivatives nor crash files of {names} in {settings.output_dir}'
        raise BidsInpaintError(msg)
    steps = next((one.steps for job in jobs for one in job.processed), None)
    if steps:
        write_citations(settings.output_dir, steps)
    failures = _run(jobs, _processes(settings, len(jobs)))
    LOGGER.info('made %d reports in %s', len(jobs) - len(failures), settings.output_dir)
    return failures


def _is_up_to_date(job: _Job) -> bool:
    """Whether the page exists and is newer than its input."""
    page = job.output_dir / page_path(job.subject)
    if not page.is_file():
        return False
    crashes = [(job.output_dir / error.crash_file).stat().st_mtime for error in job.errors]
    newest = max([*(one.written for one in job.processed), *crashes])
    return page.stat().st_mtime >= newest


def _note_failed(settings: Settings) -> None:
    """Mark the participants of whom this run has crash files."""
    for crash in read_crashes(settings.run_log_dir):
        match = _SCAN_WORKFLOW.search(crash.node)
        if match:
            folder = settings.output_dir / 'logs' / _FAILED / f'sub-{match["subject"]}'
            folder.mkdir(parents=True, exist_ok=True)
            (folder / settings.run_uuid).touch()


def _folders_with_failures(output_dir: Path, subjects: Iterable[str]) -> list[Path]:
    """Folders of the runs in which a step of these participants failed."""
    logs = output_dir / 'logs'
    runs = {path.name for name in subjects for path in logs.glob(f'{_FAILED}/sub-{name}/*')}
    return [logs / run for run in sorted(runs)]


def _run(jobs: Sequence[_Job], processes: int) -> list[ReportFailure]:
    """Make all pages; return which failed."""
    failures = []
    # A fork of a process that ran the network, as with nipype's Linear plugin, hangs.
    method = 'forkserver' if 'keras' in sys.modules else 'fork'
    context = multiprocessing.get_context(method)
    begin = partial(end_with_parent, forked=method == 'fork')
    with ProcessPoolExecutor(processes, context, begin) as pool, ending_children():
        futures = {pool.submit(_make, job): job.subject for job in jobs}
        for future in as_completed(futures):
            subject = f'sub-{futures[future]}'
            error = future.exception()
            if error is not None:
                known = isinstance(error, (OSError, BidsInpaintError))
                LOGGER.error('no report for %s: %s', subject, error, exc_info=not known and error)
                failures.append(ReportFailure(subject, f'{type(error).__name__}: {error}'))
    return failures


def _make(job: _Job) -> None:
    """Make one page, in a separate process."""
    with exiting_when_terminated():
        report_participant(job.output_dir, job.subject, job.processed, job.errors)


def _processes(settings: Settings, jobs: int) -> int:
    """Choose how many pages to make at a time."""
    return max(1, min(settings.nprocs, jobs, int(settings.mem_gb / _MEMORY_GB)))


def _jobs(
    settings: Settings, wanted: Collection[str], log_folders: Iterable[Path]
) -> tuple[list[_Job], list[ReportFailure]]:
    """Collect the input of each page, of all participants if none are named, and what is unread.

    The page of a participant with other scans names those that cannot be read.
    """
    output_dir = settings.output_dir
    found = find_processed(output_dir, settings.bids_dir, participant_label=sorted(wanted))
    processed = defaultdict(list)
    for one in found.processed:
        processed[one.scan.subject].append(one)
    errors = _errors(settings, found.processed, log_folders)
    subjects = [
        subject
        for subject in wanted or sorted(processed.keys() | errors.keys())
        if subject in processed or subject in errors
    ]
    for unread in found.unread:
        file = unread.path.relative_to(output_dir).as_posix()
        reason = 'a file that describes it cannot be read'
        errors.setdefault(unread.subject, []).append(Error(unread.name, 'pages', reason, file))
    jobs = [
        _Job(output_dir, subject, processed[subject], errors.get(subject, []))
        for subject in subjects
    ]
    return jobs, [ReportFailure(f'sub-{one.subject}', one.reason) for one in found.unread]


def _errors(
    settings: Settings, processed: Iterable[Processed], log_folders: Iterable[Path]
) -> dict[str, list[Error]]:
    """Find the last crash of each scan that was not processed since, by participant.

    The page is for others to see: only the crash file, which is a log, has paths of the machine.
    """
    written = {one.scan.workflow_name: one.written for one in processed}
    last: dict[str, tuple[str, Error]] = {}
    for folder in log_folders:
        for crash in read_crashes(folder):
            match = _SCAN_WORKFLOW.search(crash.node)
            path = crash.crash_file
            if not match or path is None:
                continue
            if path.stat().st_mtime <= written.get(match['workflow'], 0):
                continue
            relative = path.relative_to(settings.output_dir).as_posix()
            step = crash.node.rpartition('.')[2]
            reason = _without_folders(error_message(crash.text), settings)
            scan = _ENTITY.sub(r'\1-\2', match['scan'])
            error = Error(scan, step, reason, relative)
            last[match['workflow']] = (match['subject'], error)
    found = defaultdict(list)
    for subject, error in last.values():
        found[subject].append(error)
    return dict(found)


def _without_folders(reason: str, settings: Settings) -> str:
    """Name files as they are in the dataset, in the output and so on."""
    folders = (
        settings.run_work_dir,
        settings.work_dir,
        settings.output_dir,
        settings.bids_dir,
        *settings.derivatives,
    )
    for folder in folders:
        reason = reason.replace(f'{folder}/', '')
    return reason
