"""Find the T1w images of a dataset."""

import json
import logging
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bids.layout import BIDSLayout, BIDSLayoutIndexer
from sqlalchemy.exc import SQLAlchemyError

from bids_inpaint.bids.dataset import DESCRIPTION, check_description, is_raw
from bids_inpaint.bids.filters import asks_for, check_filters, matches
from bids_inpaint.bids.scan import ENTITIES, Scan, parse_t1w, unusual_entities
from bids_inpaint.errors import BidsInpaintError, first_of

__all__ = ['Scan', 'find_t1w']

LOGGER = logging.getLogger(__name__)

# Paths in the dataset that are not searched: all that is not a participant (derivatives,
# sourcedata, code), folders of other data types, and files beside the T1w.
_IGNORED = (
    re.compile(r'^/(?!sub-)'),
    re.compile(r'^/sub-[^/]+(/ses-[^/]+)?/(?!ses-|anat(/|$))'),
    re.compile(r'/anat/(?!.*_T1w\.nii(\.gz)?$)'),
)
# What images with an entity are that are left out by default.
_UNUSUAL = {
    'ce': 'contrast-enhanced',
    'inv': 'single inversions of',
    'part': 'phase, real or imaginary parts of',
    'desc': 'processed copies, in raw data, of',
}
_INDEX_FILE = 'layout_index.sqlite'  # its name in pybids


def find_t1w(
    bids_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    database_dir: Path | None = None,
    validate: bool = True,
) -> list[Scan]:
    """Find every T1w image of a dataset, in the order of their names.

    All sessions, runs, acquisitions and reconstructions are taken, in raw and derivative datasets.
    Images of `unusual_entities`, as after a contrast agent, are left out, with a log message,
    unless a filter names the entity.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    participant_label, session_label : sequence of str
        Labels, without prefix, to restrict the search to; empty for all.
    filters : mapping
        Of `bids_inpaint.bids.filters.read_filters`.
    database_dir : Path or None
        Folder of the index of pybids: made if missing, else used without update.
    validate : bool
        Whether dataset_description.json must exist and be complete.

    Returns
    -------
    scans : list of Scan
        At least one.

    Raises
    ------
    BidsInpaintError
        If the dataset is not valid, has no T1w image, or nothing is selected. The message names
        what was searched, and what was found. `find_lacking` tells which labels have nothing.

    """
    filters = filters or {}
    check_filters(filters)
    found = _index(bids_dir, database_dir, validate=validate, subjects=participant_label)
    if participant_label and not found:  # for the message
        found = _index(bids_dir, database_dir, validate=validate)
    if not found:
        msg = (
            f'no T1w image in {bids_dir}: searched for '
            f'sub-*/[ses-*/]anat/sub-*_T1w.nii and .nii.gz'
        )
        raise BidsInpaintError(msg)
    chosen = _with_labels(found, bids_dir, participant_label, session_label)
    chosen = _without_unusual(chosen, filters, raw=is_raw(bids_dir))
    scans = [scan for scan in chosen if matches(scan, filters)]
    if not scans:
        msg = (
            f'no T1w image of {bids_dir} matches the filter {dict(filters)}; searched: '
            f'{first_of(str(scan.relative_path) for scan in chosen)}'
        )
        raise BidsInpaintError(msg)
    return scans


def _index(
    bids_dir: Path, database_dir: Path | None, *, validate: bool, subjects: Sequence[str] = ()
) -> list[Scan]:
    """List the T1w images of some participants, or of all, with pybids."""
    if validate:
        check_description(bids_dir)
    try:
        layout = _layout(bids_dir, database_dir, subjects=subjects)
    except (AttributeError, TypeError) as error:
        msg = f'{bids_dir / DESCRIPTION} must have fields of the types that BIDS defines: {error}'
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
    bids_dir: Path, database_dir: Path | None, *, subjects: Sequence[str] = ()
) -> BIDSLayout:
    """Index the dataset, or load the index if there is one.

    An index that is kept has all participants. Else only the requested ones are indexed, so that
    not every job of an array searches all folders.
    """
    ignored = list(_IGNORED)
    if subjects and database_dir is None:
        labels = '|'.join(map(re.escape, subjects))
        ignored.append(re.compile(rf'^/sub-(?!({labels})(/|$))'))
    options = {
        'validate': False,  # pybids reads UTF-8 without mark only
        'indexer': BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignored),
    }
    if database_dir is None:
        return BIDSLayout(bids_dir, **options)
    index = database_dir / _INDEX_FILE
    try:
        if not index.exists():
            database_dir.mkdir(parents=True, exist_ok=True)
            # Made under another name, then renamed: pybids takes any existing index for complete,
            # also one of a job that is still running or was killed.
            with tempfile.TemporaryDirectory(dir=database_dir) as aside:
                BIDSLayout(bids_dir, database_path=_address(Path(aside)), **options)
                (Path(aside) / _INDEX_FILE).replace(index)
        return BIDSLayout(bids_dir, database_path=_address(database_dir), **options)
    except (OSError, SQLAlchemyError) as error:
        msg = f'the index of --bids-database-dir, {index}, must be readable or made: {error}'
        raise BidsInpaintError(msg) from error


def _address(folder: Path) -> Path:
    """Path of a folder that can stand in a URL, where a question mark would end it.

    It stays open until the process ends, as pybids connects to the index again and again.
    """
    return Path(f'/proc/self/fd/{os.open(folder, os.O_PATH)}') if '?' in str(folder) else folder


def _parse(files: Iterable[Path]) -> list[Scan]:
    """Parse file names; others than those of BIDS are left out, with a log message."""
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
    """Keep the scans of the requested labels; at least one must be found."""
    chosen = [scan for scan in scans if not participants or scan.subject in participants]
    if not chosen:
        subjects = dict.fromkeys(scan.subject for scan in scans)
        empty = [label for label in participants if (bids_dir / f'sub-{label}').is_dir()]
        msg = (
            f'no T1w image of participants {first_of(participants)} in {bids_dir}'
            + (f' (with a folder, but no T1w image: {first_of(empty)})' if empty else '')
            + f'; found: {first_of(subjects)}'
        )
        raise BidsInpaintError(msg)
    known = dict.fromkeys(scan.session for scan in chosen if scan.session)
    if sessions and known.keys().isdisjoint(sessions):
        msg = (
            f'no T1w image of sessions {first_of(sessions)} in {bids_dir}; found in the selected '
            f'participants: {first_of(known) if known else "images without session only"}'
        )
        raise BidsInpaintError(msg)
    return [scan for scan in chosen if not sessions or scan.session in sessions]


def _without_unusual(scans: list[Scan], filters: Mapping[str, Any], *, raw: bool) -> list[Scan]:
    """Leave out images that are not processed by default, unless a filter names the entity."""
    kept = []
    excluded = defaultdict(list)
    for scan in scans:
        unasked = [key for key in unusual_entities(scan, raw=raw) if not asks_for(filters, key)]
        if unasked:
            excluded[unasked[0]].append(str(scan.relative_path))
        else:
            kept.append(scan)
    if not kept:
        kinds = ', '.join(_UNUSUAL[key] for key in excluded)
        wanted = json.dumps({'t1w': {ENTITIES[key]: '*' for key in excluded}})
        msg = (
            f'all {len(scans)} selected T1w images are {kinds}: '
            f'{first_of(chain.from_iterable(excluded.values()))}; to include them, give a '
            f'--bids-filter-file with {wanted}'
        )
        raise BidsInpaintError(msg)
    for key, names in excluded.items():
        LOGGER.warning(
            'left out %d %s T1w: %s; to include them, filter by "%s"',
            len(names),
            _UNUSUAL[key],
            first_of(names),
            ENTITIES[key],
        )
    return kept
