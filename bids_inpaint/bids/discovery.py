"""Find the T1w images of a dataset."""

import logging
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids.exceptions import BIDSDerivativesValidationError, BIDSValidationError
from bids.layout import BIDSLayout, BIDSLayoutIndexer
from sqlalchemy.exc import SQLAlchemyError

from bids_inpaint.bids.dataset import DESCRIPTION, read_description
from bids_inpaint.bids.filters import asks_for, check_filters, matches
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.errors import BidsInpaintError

__all__ = ['Scan', 'find_t1w']

LOGGER = logging.getLogger(__name__)

# Paths, from the dataset's root, that are not looked into: whatever is not a participant
# (derivatives, sourcedata, code), folders of other data types, and files beside the T1w.
_IGNORED = (
    re.compile(r'^/(?!sub-)'),
    re.compile(r'^/sub-[^/]+(/ses-[^/]+)?/(?!ses-|anat(/|$))'),
    re.compile(r'/anat/(?!.*_T1w\.nii(\.gz)?$)'),
)
_INDEX_FILE = 'layout_index.sqlite'  # the name pybids gives it
_AT_MOST_SHOWN = 20


def find_t1w(
    bids_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    database_dir: Path | None = None,
    validate: bool = True,
) -> list[Scan]:
    """Find every T1w image of a dataset, each on its own, in the order of their names.

    All sessions, runs, acquisitions and reconstructions are taken, in raw datasets and in
    derivative ones. Images with a contrast agent (`ce-`) are left out, with a word in the log,
    unless a filter speaks of `ceagent`.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    participant_label, session_label : sequence of str
        Labels, without prefix, to restrict the search to; empty for all.
    filters : mapping
        What the names must have, as `bids_inpaint.bids.filters.read_filters` gives it.
    database_dir : Path or None
        Folder of pybids' index: made if it is not there, used as it is if it is.
    validate : bool
        Whether dataset_description.json must be there and complete.

    Returns
    -------
    scans : list of Scan
        At least one.

    Raises
    ------
    BidsInpaintError
        If the dataset is not valid, has no T1w image, a label is not found in it, or nothing is
        left of the selection. The message tells what was searched, and what was found.

    """
    filters = filters or {}
    check_filters(filters)
    found = _index(bids_dir, database_dir, validate=validate, subjects=participant_label)
    if set(participant_label) - {scan.subject for scan in found}:  # to tell what there is
        found = _index(bids_dir, database_dir, validate=validate)
    if not found:
        msg = (
            f'no T1w image in {bids_dir}: searched for '
            f'sub-*/[ses-*/]anat/sub-*_T1w.nii and .nii.gz'
        )
        raise BidsInpaintError(msg)
    chosen = _with_labels(found, bids_dir, participant_label, session_label)
    chosen = _without_contrast(chosen, filters)
    scans = [scan for scan in chosen if matches(scan, filters)]
    if not scans:
        msg = (
            f'no T1w image of {bids_dir} has what the filter wants, {dict(filters)}; those '
            f'searched were: {_shown(str(scan.relative_path) for scan in chosen)}'
        )
        raise BidsInpaintError(msg)
    return scans


def _index(
    bids_dir: Path, database_dir: Path | None, *, validate: bool, subjects: Sequence[str] = ()
) -> list[Scan]:
    """List the T1w images of some participants, or of all, by pybids' index."""
    if validate and (bids_dir / DESCRIPTION).exists() and not read_description(bids_dir):
        msg = f'{bids_dir / DESCRIPTION} must be a JSON object that can be read'
        raise BidsInpaintError(msg)
    try:
        layout = _layout(bids_dir, database_dir, validate=validate, subjects=subjects)
    except (BIDSValidationError, BIDSDerivativesValidationError) as error:
        msg = (
            f'{bids_dir} is not a valid BIDS dataset: {error}\n'
            f'Mend that, or give --skip-bids-validation to go on nevertheless'
        )
        raise BidsInpaintError(msg) from error
    root = Path(layout.root)
    if root.resolve() != bids_dir.resolve():
        msg = (
            f'the index in {database_dir} must be that of {bids_dir}, is that of {root}: '
            f'give another --bids-database-dir'
        )
        raise BidsInpaintError(msg)
    wanted = {'suffix': 'T1w', 'extension': ['.nii', '.nii.gz']}
    if subjects:
        wanted['subject'] = list(subjects)
    files = layout.get(**wanted, return_type='filename', invalid_filters='drop')
    return _parse([bids_dir / Path(name).relative_to(root) for name in files])


def _layout(
    bids_dir: Path, database_dir: Path | None, *, validate: bool, subjects: Sequence[str] = ()
) -> BIDSLayout:
    """Index the dataset, or load the index if there is one.

    An index that is kept is of all participants. One that is not is of those asked for: an array
    of as many jobs as there are participants would otherwise walk through all folders in each.
    """
    ignored = list(_IGNORED)
    if subjects and database_dir is None:
        labels = '|'.join(map(re.escape, subjects))
        ignored.append(re.compile(rf'^/sub-(?!({labels})(/|$))'))
    options = {
        'validate': validate,
        'indexer': BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignored),
    }
    if database_dir is None:
        return BIDSLayout(bids_dir, **options)
    index = database_dir / _INDEX_FILE
    try:
        if not index.exists():
            database_dir.mkdir(parents=True, exist_ok=True)
            # Made aside and renamed: pybids takes any index that exists for complete, also that
            # of a job that is still at it or was killed.
            with tempfile.TemporaryDirectory(dir=database_dir) as aside:
                BIDSLayout(bids_dir, database_path=aside, **options)
                (Path(aside) / _INDEX_FILE).replace(index)
        return BIDSLayout(bids_dir, database_path=database_dir, **options)
    except (OSError, SQLAlchemyError) as error:
        msg = f'the index of --bids-database-dir, {index}, must be readable or made: {error}'
        raise BidsInpaintError(msg) from error


def _parse(files: Iterable[Path]) -> list[Scan]:
    """Read the names of files; what is not named as BIDS wants is left out, with a word."""
    scans = []
    for path in files:
        try:
            scans.append(parse_t1w(path))
        except ValueError as error:
            LOGGER.warning('left out %s: %s', path, error)
    return scans


def _with_labels(
    scans: list[Scan], bids_dir: Path, participants: Sequence[str], sessions: Sequence[str]
) -> list[Scan]:
    """Keep the scans of the labels asked for; each must be found."""
    subjects = dict.fromkeys(scan.subject for scan in scans)
    missing = [label for label in participants if label not in subjects]
    if missing:
        empty = [label for label in missing if (bids_dir / f'sub-{label}').is_dir()]
        msg = (
            f'no T1w image of participants {_shown(missing)} in {bids_dir}'
            + (f' (without T1w image, but with a folder: {_shown(empty)})' if empty else '')
            + f'; found: {_shown(subjects)}'
        )
        raise BidsInpaintError(msg)
    chosen = [scan for scan in scans if not participants or scan.subject in participants]
    known = dict.fromkeys(scan.session for scan in chosen if scan.session)
    missing = [label for label in sessions if label not in known]
    if missing:
        msg = (
            f'no T1w image of sessions {_shown(missing)} in {bids_dir}; found, of the '
            f'participants chosen: {_shown(known) if known else "images without session only"}'
        )
        raise BidsInpaintError(msg)
    return [scan for scan in chosen if not sessions or scan.session in sessions]


def _without_contrast(scans: list[Scan], filters: Mapping[str, Any]) -> list[Scan]:
    """Leave out images with a contrast agent, unless a filter speaks of it."""
    if asks_for(filters, 'ce'):
        return scans
    excluded = [str(scan.relative_path) for scan in scans if 'ce' in dict(scan.entities)]
    if excluded:
        LOGGER.warning(
            'left out %d contrast-enhanced T1w: %s; to take them, name "ceagent" in a filter file',
            len(excluded),
            _shown(excluded),
        )
    kept = [scan for scan in scans if 'ce' not in dict(scan.entities)]
    if not kept:
        msg = (
            f'all {len(excluded)} T1w images chosen are contrast-enhanced: {_shown(excluded)}; '
            f'to take them, give a --bids-filter-file with {{"t1w": {{"ceagent": "*"}}}}'
        )
        raise BidsInpaintError(msg)
    return kept


def _shown(items: Iterable[str]) -> str:
    """Join items for a message, the first of many only."""
    listed = list(items)
    more = len(listed) - _AT_MOST_SHOWN
    return ', '.join(listed[:_AT_MOST_SHOWN]) + (f' and {more} more' if more > 0 else '')
