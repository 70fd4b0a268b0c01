"""Make the pages of participants, several at a time."""

import logging
import multiprocessing
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from bids_inpaint.bids.derivatives import Processed, find_processed
from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.interfaces.reports import Error, report_participant, write_citations
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.failures import error_message, read_crashes

LOGGER = logging.getLogger(__name__)

_SCAN_WORKFLOW = re.compile(r'(?:^|\.)(?P<node>sub_(?P<subject>[a-zA-Z0-9]+)(?:_\w+)?)_wf\.')
_MEMORY_GB = 1.5  # of one process that draws a scan of 288 x 288 x 181 voxels
# logs/failed/sub-XX/<run> says that a step of sub-XX failed in that run. Without it, each job of
# an array would look through the logs of all others.
_FAILED = 'failed'


class ReportFailure(NamedTuple):
    """A participant whose page could not be made, and why."""

    participant: str
    reason: str


class _Job(NamedTuple):
    """What one page is made from."""

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
        If there is nothing to make a page of.

    """
    folders = sorted((settings.output_dir / 'logs').glob('*/'))
    return _make_all(settings, _jobs(settings, subjects, folders), subjects)


def report_run(settings: Settings, scans: Sequence[Scan]) -> list[ReportFailure]:
    """Make the pages of the participants of a run that has ended.

    With `skip_existing` a page that is newer than all that it tells of is left alone. What is
    looked at is of these participants alone, however many others there are.

    What cannot be gathered at all counts as a failure of all pages: derivatives were written, and
    what failed of them is still to be told.
    """
    subjects = sorted({scan.subject for scan in scans})
    try:
        _note_failed(settings)
        jobs = _jobs(settings, subjects, _folders_with_failures(settings.output_dir, subjects))
        if jobs and settings.skip_existing:
            jobs = [job for job in jobs if not _is_up_to_date(job)]
            if not jobs:
                return []
        return _make_all(settings, jobs, subjects)
    except (BidsInpaintError, OSError) as error:
        return [ReportFailure('all', str(error))]


def _make_all(
    settings: Settings, jobs: Sequence[_Job], searched: Collection[str]
) -> list[ReportFailure]:
    """Make pages, and the text on the methods; tell which failed."""
    if not jobs:
        names = ', '.join(f'sub-{subject}' for subject in searched) or 'any participant'
        msg = f'no derivatives and no crash files of {names} in {settings.output_dir}'
        raise BidsInpaintError(msg)
    steps = next((one.steps for job in jobs for one in job.processed), None)
    if steps:
        write_citations(settings.output_dir, steps)
    failures = _run(jobs, _processes(settings, len(jobs)))
    LOGGER.info('made %d reports in %s', len(jobs) - len(failures), settings.output_dir)
    return failures


def _is_up_to_date(job: _Job) -> bool:
    """Tell whether the page is there, and newer than all that it tells of."""
    page = job.output_dir / f'sub-{job.subject}.html'
    if not page.is_file():
        return False
    crashes = [(job.output_dir / error.crash_file).stat().st_mtime for error in job.errors]
    newest = max([*(one.written for one in job.processed), *crashes])
    return page.stat().st_mtime >= newest


def _note_failed(settings: Settings) -> None:
    """Note by participant that this run has crash files."""
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
    """Make all pages, and tell which failed."""
    failures = []
    # A fork of a process in which the network ran, as nipype's Linear plugin has it, hangs.
    method = 'forkserver' if 'keras' in sys.modules else 'fork'
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = {pool.submit(_make, job): job.subject for job in jobs}
        for future in as_completed(futures):
            subject = f'sub-{futures[future]}'
            error = future.exception()
            if error is not None:
                known = isinstance(error, (OSError, BidsInpaintError))
                LOGGER.error('no report of %s: %s', subject, error, exc_info=not known and error)
                failures.append(ReportFailure(subject, f'{type(error).__name__}: {error}'))
    return failures


def _make(job: _Job) -> None:
    """Make one page, in a process of its own."""
    report_participant(job.output_dir, job.subject, job.processed, job.errors)


def _processes(settings: Settings, jobs: int) -> int:
    """How many pages may be made at a time."""
    return max(1, min(settings.nprocs, jobs, int(settings.mem_gb / _MEMORY_GB)))


def _jobs(settings: Settings, wanted: Collection[str], log_folders: Iterable[Path]) -> list[_Job]:
    """Gather by participant what there is to report; of all, if none are named."""
    every = find_processed(
        settings.output_dir, settings.bids_dir, participant_label=sorted(wanted)
    )
    processed = defaultdict(list)
    for one in every:
        processed[one.scan.subject].append(one)
    errors = _errors(settings.output_dir, every, log_folders)
    subjects = wanted or sorted(processed.keys() | errors.keys())
    return [
        _Job(settings.output_dir, subject, processed[subject], errors.get(subject, []))
        for subject in subjects
        if subject in processed or subject in errors
    ]


def _errors(
    output_dir: Path, processed: Iterable[Processed], log_folders: Iterable[Path]
) -> dict[str, list[Error]]:
    """Find what failed, by participant: the last crash of each scan not processed since."""
    written = {one.scan.node_name: one.written for one in processed}
    last: dict[str, tuple[str, Error]] = {}
    for folder in log_folders:
        for crash in read_crashes(folder):
            match = _SCAN_WORKFLOW.search(crash.node)
            path = crash.crash_file
            if not match or path is None or path.stat().st_mtime <= written.get(match['node'], 0):
                continue
            relative = path.relative_to(output_dir).as_posix()
            step = crash.node.rpartition('.')[2]
            reason = error_message(crash.text)
            error = Error(match['node'], step, reason, relative, crash.text)
            last[match['node']] = (match['subject'], error)
    found = defaultdict(list)
    for subject, error in last.values():
        found[subject].append(error)
    return dict(found)
