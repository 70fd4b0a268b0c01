"""The table of QC numbers of all participants."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from os.path import lexists
from pathlib import Path
from typing import Any

from bids_inpaint import qc
from bids_inpaint.bids.dataset import is_raw
from bids_inpaint.bids.derivatives import lacks, read_written
from bids_inpaint.bids.names import GROUP_COLUMNS, GROUP_TABLE, derivative_path, ending
from bids_inpaint.bids.scan import Scan, parse_usual
from bids_inpaint.bids.tables import PARTICIPANTS, People, columns_of, read_table
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import write_json, write_text

LOGGER = logging.getLogger(__name__)

MISSING = 'n/a'  # missing value in BIDS
UNREAD = 'QC file cannot be read'
NOT_PROCESSED = 'not processed'

# Meaning of the columns; other columns of QC files have only a name.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    'participant_id': {'Description': 'Participant'},
    'session_id': {'Description': 'Session, n/a if the dataset has none'},
    'source': {'Description': 'Entities of the T1w image'},
    **qc.dictionary(),
}


def gather_group(output_dir: Path, bids_dir: Path) -> list[dict[str, Any]]:
    """Collect the QC files of a derivative dataset, and name the scans without one.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset with processed participants.
    bids_dir : Path
        Its source. T1w images without QC file are rows with their names and `NOT_PROCESSED`; those
        that are not processed by default, as after a contrast agent, are left out. So are rows of
        QC files without images, each with a warning.

    Returns
    -------
    list of dict
        A row for each scan, in natural order of their names.

    Raises
    ------
    BidsInpaintError
        If there is no QC file. One that is not a flat JSON object is logged, and its row has
        `UNREAD` for its problem.

    """
    pattern = f'*{ending("qc")}'
    files = [
        *output_dir.glob(f'sub-*/anat/{pattern}'),
        *output_dir.glob(f'sub-*/*/anat/{pattern}'),
    ]
    if not files:
        msg = (
            f'no {pattern} in the anat folders of {output_dir}: run the participant level with '
            f'this output folder first'
        )
        raise BidsInpaintError(msg)
    rows = [_read_row(path) if _is_whole(path) else _unprocessed(_source(path)) for path in files]
    done = {path.name for path in files}
    rows += [
        _unprocessed(scan.name)
        for scan in _sources(bids_dir)
        if derivative_path(scan, 'qc').name not in done
    ]
    return sorted(rows, key=lambda row: _natural(row['source']))


def write_group_table(output_dir: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write `group_T1w.tsv` and its data dictionary.

    With a column for every name in any row, and `n/a` for missing values.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    rows : sequence of mapping
        Of `gather_group`.

    Returns
    -------
    table : Path

    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    columns.sort(key=lambda column: column == 'problems')  # last; the others keep their order
    lines: list[list[Any]] = [columns, *([row.get(c) for c in columns] for row in rows)]
    write_json(output_dir / GROUP_COLUMNS, _dictionary(columns))
    text = ''.join('\t'.join(map(_cell, line)) + '\n' for line in lines)
    return write_text(output_dir / GROUP_TABLE, text)


def read_participants(bids_dir: Path, names: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Read participants.tsv: participant to column to text; empty if there is none.

    Missing values are left out. A file that cannot be read is ignored, with a warning, as the QC
    table does not need it.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    names : iterable of str
        Participants, with 'sub-', whom ids may mean.

    """
    path = bids_dir / PARTICIPANTS
    if not lexists(path):
        return {}
    try:
        found = columns_of(read_table(path), People(names))
    except (OSError, ValueError) as error:
        LOGGER.warning('%s is not shown: %s', path, error)
        return {}
    return {
        name: {title: value for title, value in row.items() if value not in {'', MISSING}}
        for name, row in found.items()
    }


def _sources(bids_dir: Path) -> list[Scan]:
    """List the T1w images of a dataset that a run would process by default."""
    patterns = ('sub-*/anat/sub-*_T1w.nii*', 'sub-*/ses-*/anat/sub-*_T1w.nii*')
    raw = is_raw(bids_dir)
    scans = (parse_usual(path, raw=raw) for part in patterns for path in bids_dir.glob(part))
    return list({scan.name: scan for scan in scans if scan}.values())


def _names(source: str) -> dict[str, Any]:
    """Make the first columns of a row from the name of a scan."""
    entities = dict(part.split('-', 1) for part in source.split('_') if '-' in part)
    session = entities.get('ses')
    return {
        'participant_id': f'sub-{entities.get("sub")}',
        'session_id': f'ses-{session}' if session else None,
        'source': source,
    }


def _source(path: Path) -> str:
    """Name of the scan of a QC file."""
    return path.name.removesuffix(ending('qc'))


def _unprocessed(source: str) -> dict[str, Any]:
    """Make the row of a scan that was not processed, or not to its end."""
    return {**_names(source), 'problems': NOT_PROCESSED}


def _is_whole(path: Path) -> bool:
    """Whether a scan with a QC file has its other files; warn if not."""
    missing = lacks(path)
    if missing:
        LOGGER.warning('%s: not counted, as %s. Process its scan again', path, missing)
    return not missing


def _read_row(path: Path) -> dict[str, Any]:
    """Read one QC file, with the columns from its name first."""
    names = _names(path.name.removesuffix(ending('qc')))
    try:
        return {**names, **_read_numbers(path)}
    except BidsInpaintError as error:
        LOGGER.warning('%s', error)
        return {**names, 'problems': UNREAD}


def _read_numbers(path: Path) -> dict[str, Any]:
    """Read the numbers of a QC file."""
    numbers = read_written(path)
    if any(isinstance(value, dict | list) for value in numbers.values()):
        msg = f'{path} must be one flat JSON object. Process its scan again'
        raise BidsInpaintError(msg)
    return numbers


def _cell(value: Any) -> str:
    """Write a value for a table of BIDS, without tabs and line ends."""
    return MISSING if value is None or value == '' else ' '.join(str(value).split())


def _dictionary(columns: Iterable[str]) -> dict[str, Any]:
    """Describe the columns of the table."""
    return {name: COLUMNS.get(name, {'Description': name.replace('_', ' ')}) for name in columns}


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which sub-2 comes before sub-10."""
    return [(int(part), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', text)]
