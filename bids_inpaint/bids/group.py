"""One table of all participants' QC numbers."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_inpaint.bids.atomic import write_text
from bids_inpaint.bids.names import KINDS, derivative_path
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.bids.sidecars import write_json
from bids_inpaint.errors import BidsInpaintError

GROUP_TABLE = 'group_T1w.tsv'
MISSING = 'n/a'  # BIDS' word for a value that there is none of
NOT_PROCESSED = 'not processed'

# What the columns mean; of another column of the QC files, only its name is known.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    'participant_id': {'Description': 'Participant'},
    'session_id': {'Description': 'Session, n/a if the dataset has none'},
    'source': {'Description': 'Entities of the T1w image'},
    'outside_correlation': {
        'Description': 'Pearson correlation of inpainted and source image, in the part of the '
        'brain that was not changed'
    },
    'control_correlation': {
        'Description': 'The same for the source taken to the template and back, without network'
    },
    'change_volume_mm3': {
        'Description': 'Volume of the voxels that were changed',
        'Units': 'mm^3',
    },
    'ventricle_change': {
        'Description': 'Mean absolute change that the network (or a lesion mask) asks for in the '
        'fluid of the ventricles, where there is nothing to fill; the network does not get it; '
        'n/a if they are too narrow to measure in',
        'Units': 'mean intensity of the brain',
    },
    'lesion_count': {'Description': 'Number of lesions in the lesion map'},
    'lesion_volume_mm3': {'Description': 'Volume of the lesion map', 'Units': 'mm^3'},
    'lesion_mask': {'Description': 'Lesion mask that was given, n/a if none was'},
    'lesion_mask_volume_mm3': {'Description': 'Volume of the mask given', 'Units': 'mm^3'},
    'lesion_mask_unfilled_mm3': {
        'Description': 'Volume of the mask given that is outside the brain, and was not filled',
        'Units': 'mm^3',
    },
    'lesion_mask_notes': {'Description': 'What is odd about the mask given, or none'},
    'registration_similarity': {
        'Description': 'Similarity of the registered image and the template'
    },
    'affine_determinant': {
        'Description': 'Determinant of the affine from T1w to template: ratio of volumes'
    },
    'registration_strategy': {'Description': 'Way of registration that was taken'},
    'brain_coverage': {'Description': "Part of the template's brain that is in the field of view"},
    'skull_stripped': {'Description': 'Whether the T1w image shows a brain only'},
    'brain_volume_std_ml': {'Description': 'Volume of the brain in the template', 'Units': 'mL'},
    'brain_mean': {'Description': "Mean intensity of the brain, in the T1w image's units"},
    'model': {'Description': 'Network that was used'},
    'device': {'Description': 'Device that the network ran on'},
    'seconds': {'Description': 'Sum of the time of all steps', 'Units': 's'},
    'peak_memory_mb': {'Description': 'Most memory that a step used', 'Units': 'MB'},
    'version': {'Description': 'Version of the program'},
    'problems': {'Description': 'QC numbers out of their limits, or none; or: not processed'},
}

_QC_NAME = re.compile(r'(?P<source>sub-[^_]+(?:_.+)?)_desc-inpaint_qc\.json')


def gather_group(output_dir: Path, bids_dir: Path) -> list[dict[str, Any]]:
    """Gather the QC files of a derivative dataset, and name the scans that have none.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset, of which participants were processed.
    bids_dir : Path
        Its source. T1w images there without QC file are rows, too, with nothing but their names
        and `NOT_PROCESSED`; those with a contrast agent are left out, as by default they are not
        processed.

    Returns
    -------
    list of dict
        A row for each scan, in the order of their names, numbers within them counted.

    Raises
    ------
    BidsInpaintError
        If there is no QC file, or one that is not a flat JSON object.

    """
    kind = KINDS['qc']
    pattern = f'*_desc-{dict(kind.entities)["desc"]}_{kind.suffix}{kind.extension}'
    files = [
        *output_dir.glob(f'sub-*/anat/{pattern}'),
        *output_dir.glob(f'sub-*/*/anat/{pattern}'),
    ]
    if not files:
        msg = (
            f'no {pattern} in the anat folders of {output_dir}: run the participant level on the '
            f'same output folder first'
        )
        raise BidsInpaintError(msg)
    rows = [_read_row(path) for path in files]
    done = {path.name for path in files}
    rows += [
        {**_names(scan.name), 'problems': NOT_PROCESSED}
        for scan in _sources(bids_dir)
        if derivative_path(scan, 'qc').name not in done
    ]
    return sorted(rows, key=lambda row: _natural(row['source']))


def write_group_table(output_dir: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write `group_T1w.tsv` and its data dictionary.

    A column for every name that occurs in any of the rows, `n/a` where a scan has none.

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
    columns.sort(key=lambda column: column == 'problems')  # last; the order of the others stays
    lines = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    write_json(output_dir / 'group_T1w.json', _dictionary(columns))
    return write_text(output_dir / GROUP_TABLE, ''.join('\t'.join(line) + '\n' for line in lines))


def read_participants(bids_dir: Path) -> dict[str, dict[str, str]]:
    """Read participants.tsv: participant to column to text; empty if there is none.

    Values that are missing are left out. A file that cannot be read is as good as none: plots
    against its columns are a convenience, and the table of QC does not need it.
    """
    try:
        lines = (bids_dir / 'participants.tsv').read_text(encoding='utf-8-sig').splitlines()
    except (OSError, ValueError):
        return {}
    header, *rows = [line.split('\t') for line in lines if line.strip()] or [[]]
    table = [dict(zip(header, row, strict=False)) for row in rows]
    return {
        row['participant_id']: {
            column: value
            for column, value in row.items()
            if column != 'participant_id' and value not in {'', MISSING}
        }
        for row in table
        if row.get('participant_id')
    }


def _sources(bids_dir: Path) -> list[Scan]:
    """List the T1w images of a dataset that a run would take by default."""
    scans = []
    for pattern in ('sub-*/anat/sub-*_T1w.nii*', 'sub-*/ses-*/anat/sub-*_T1w.nii*'):
        for path in bids_dir.glob(pattern):
            try:
                scan = parse_t1w(path)
            except ValueError:  # not named as BIDS wants: a run leaves it out, with a word
                continue
            if 'ce' not in dict(scan.entities):
                scans.append(scan)
    return scans


def _names(source: str) -> dict[str, Any]:
    """Take from the name of a scan what stands in front of its row."""
    entities = dict(part.split('-', 1) for part in source.split('_') if '-' in part)
    session = entities.get('ses')
    return {
        'participant_id': f'sub-{entities.get("sub")}',
        'session_id': f'ses-{session}' if session else None,
        'source': source,
    }


def _read_row(path: Path) -> dict[str, Any]:
    """Read one QC file, with what its name tells in front."""
    try:
        numbers = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        msg = f'QC file {path} must be readable JSON: {error}. Process its scan again'
        raise BidsInpaintError(msg) from error
    if not isinstance(numbers, dict) or any(isinstance(v, dict | list) for v in numbers.values()):
        msg = f'QC file {path} must hold one flat JSON object. Process its scan again'
        raise BidsInpaintError(msg)
    name = _QC_NAME.fullmatch(path.name)
    return {**_names(name['source'] if name else path.stem), **numbers}


def _cell(value: Any) -> str:
    """Write a value as BIDS has it in a table; tabs and line ends would break the row."""
    return MISSING if value is None or value == '' else ' '.join(str(value).split())


def _dictionary(columns: Iterable[str]) -> dict[str, Any]:
    """Describe the columns of the table."""
    return {name: COLUMNS.get(name, {'Description': name.replace('_', ' ')}) for name in columns}


def _natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which sub-2 comes before sub-10."""
    return [(int(part), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', text)]
