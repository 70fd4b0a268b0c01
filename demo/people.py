"""The two real people of the demo: their images lie beside this file, in `images`."""

import shutil
from pathlib import Path
from typing import NamedTuple

from demo.dataset import Row, write_json

IMAGES = Path(__file__).resolve().parent / 'images'
LICENCES = IMAGES / 'README.md'


class Person(NamedTuple):
    """Someone whose T1w image is known by the name of a file in `IMAGES`."""

    row: Row
    t1w: str
    skull_stripped: bool
    lesion_mask: str = ''
    """Expert mask; empty for the healthy."""


PEOPLE = (
    Person(
        Row('01', 'patient'),
        t1w='openms26_T1w.nii.gz',
        skull_stripped=True,
        lesion_mask='openms26_label-lesion_mask.nii.gz',
    ),
    Person(Row('02', 'healthy', '19', 'F'), t1w='ds000011-12_T1w.nii.gz', skull_stripped=False),
)


def copy_person(out: Path, truth: Path, person: Person) -> None:
    """Copy the T1w image of a person into a dataset, and the expert mask to its truth.

    The mask must not be in the dataset: the app would fill it.
    """
    sub = f'sub-{person.row.label}'
    raw = out / sub / 'anat'
    raw.mkdir(parents=True)
    shutil.copyfile(IMAGES / person.t1w, raw / f'{sub}_T1w.nii.gz')
    fields = {'Modality': 'MR', 'SkullStripped': person.skull_stripped}
    write_json(raw / f'{sub}_T1w.json', fields)
    if person.lesion_mask:
        known = truth / sub / 'anat'
        known.mkdir(parents=True)
        shutil.copyfile(IMAGES / person.lesion_mask, known / f'{sub}_label-lesion_mask.nii.gz')
        fields = {'Description': 'Lesions drawn by experts.', 'Type': 'Lesion', 'Manual': True}
        write_json(known / f'{sub}_label-lesion_mask.json', fields)
