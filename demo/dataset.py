"""A dataset of the demo and its truth, without the scans."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

NAME = 'bids_inpaint demo'
BIDS_VERSION = '1.10.0'
MISSING = 'n/a'  # as BIDS writes it

Group = Literal['patient', 'healthy', 'simulated']

PARTICIPANT_COLUMNS = {
    'age': {'Description': 'Where it is known.', 'Units': 'year'},
    'sex': {'Description': 'Where it is known.', 'Levels': {'F': 'female', 'M': 'male'}},
    'group': {
        'Description': 'Who it is.',
        'Levels': {
            'patient': 'with multiple sclerosis, lesions drawn by experts',
            'healthy': 'without lesions',
            'simulated': 'synthetic head with lesions and known truth',
        },
    },
}


class Row(NamedTuple):
    """A participant in the table of participants."""

    label: str
    group: Group
    age: str = MISSING
    sex: str = MISSING


@dataclass(frozen=True)
class Description:
    """Description of a dataset."""

    name: str
    """Begins with `NAME`, so that a later build may replace it."""
    licence: str
    authors: tuple[str, ...]
    acknowledge: str
    links: tuple[str, ...]
    readme: str


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, and its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + '\n')


def describe(
    out: Path, truth: Path, description: Description, rows: Sequence[Row], seed: int
) -> None:
    """Write the files of a dataset and of its truth that are not about a single scan."""
    common = {
        'BIDSVersion': BIDS_VERSION,
        'License': description.licence,
        'Authors': list(description.authors),
        'HowToAcknowledge': description.acknowledge,
        'ReferencesAndLinks': list(description.links),
        'GeneratedBy': [{'Name': 'demo/build.py', 'Description': f'seed {seed}'}],
    }
    kinds = {out: ('raw', description.name), truth: ('derivative', f'{description.name}, truth')}
    for folder, (kind, name) in kinds.items():
        fields = {'Name': name, 'DatasetType': kind, **common}
        write_json(folder / 'dataset_description.json', fields)
        (folder / 'README.md').write_text(description.readme)
    write_json(out / 'participants.json', PARTICIPANT_COLUMNS)
    lines = ['participant_id\tage\tsex\tgroup']
    lines += [f'sub-{row.label}\t{row.age}\t{row.sex}\t{row.group}' for row in rows]
    (out / 'participants.tsv').write_text('\n'.join(lines) + '\n')


def read_groups(dataset: Path) -> dict[str, str]:
    """Group of each participant of a dataset, by `sub-<label>`."""
    header, *rows = (dataset / 'participants.tsv').read_text().splitlines()
    group = header.split('\t').index('group')
    cells = [row.split('\t') for row in rows]
    return {row[0]: row[group] for row in cells}


def is_ours(folder: Path) -> bool:
    """Whether a folder holds an earlier build, which may be replaced."""
    try:
        description = json.loads((folder / 'dataset_description.json').read_text())
    except (OSError, ValueError):
        return False
    return isinstance(description, dict) and str(description.get('Name', '')).startswith(NAME)


def replace(new: Path, old: Path) -> None:
    """Put a finished folder in its place; what is there must be an earlier build, or nothing.

    Raises
    ------
    FileExistsError
        If `old` is something else.

    """
    if old.exists():
        if not is_ours(old):
            msg = f'{old} exists and is not a demo dataset; name another folder'
            raise FileExistsError(msg)
        shutil.rmtree(old)
    old.parent.mkdir(parents=True, exist_ok=True)
    new.chmod(0o755)  # temporary folders are private
    shutil.move(new, old)
