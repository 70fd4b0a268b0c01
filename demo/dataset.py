"""The demo as BIDS files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from demo.participants import Participant
from demo.scan import Scan
from demo.scanner import Stored, store

NAME = 'bids_inpaint demo: simulated heads'
AUTHORS = ['The bids_inpaint developers']
BIDS_VERSION = '1.10.0'
LICENCE = 'ICBM152 permission notice; see README'

NOTICE = """\
Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University. Permission to use, copy, modify, and distribute this software and
its documentation for any purpose and without fee is hereby granted, provided that the above
copyright notice appear in all copies. The authors and McGill University make no representations
about the suitability of this software for any purpose. It is provided "as is" without express or
implied warranty. The authors are not responsible for any data loss, equipment damage, property
loss, or injury to subjects or patients resulting from the use or misuse of this software package.
"""

README = """\
# {name}

Nobody was scanned. Each T1w image was computed (seed {seed}) from the ICBM152 2009a symmetric
average brain that comes with nilearn, a head was made around it, and the whole was warped, turned,
scaled and given texture, shading and noise.

sub-01 has simulated white-matter lesions, sub-02 is healthy, sub-03 has a few lesions on an
oblique, anisotropic grid. Ages and sexes in `participants.tsv` are made up.

The heads are derived from the ICBM152 maps, whose permission notice is:

{notice}"""

PARTICIPANT_COLUMNS = {
    'age': {'Description': 'Made up.', 'Units': 'year'},
    'sex': {'Description': 'Made up.', 'Levels': {'F': 'female', 'M': 'male'}},
    'group': {
        'Description': 'Whether lesions were simulated.',
        'Levels': {'lesions': 'with white-matter lesions', 'healthy': 'without'},
    },
}


KNOWN = {
    'T1w': 'The scan without its lesions: same texture, shading and noise.',
    'mask': 'Every voxel that the lesions changed, soft rims too.',
    'probseg': 'Share of lesion in each voxel; 0.5 is where an outline would be drawn.',
}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, and its folder where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + '\n')


def write_nifti(
    path: Path, stored: Stored, affine: NDArray[np.float64], codes: tuple[int, int] = (1, 1)
) -> None:
    """Write a NIfTI file whose voxels and scaling are exactly those of `stored`.

    nibabel's own images choose the scaling themselves, hence header and bytes by hand.

    Parameters
    ----------
    path : Path
        Ends in `.nii` or `.nii.gz`.
    stored : Stored
        Voxels and scaling.
    affine : (4, 4) float64
        Voxel indices to RAS+ millimetres.
    codes : (int, int)
        Of qform and sform; an sform of code 0 is left empty.

    """
    header = nb.Nifti1Header()
    header.set_data_dtype(stored.data.dtype)
    header.set_data_shape(stored.data.shape)
    header.set_xyzt_units('mm')
    header.set_qform(affine, codes[0])
    if codes[1]:
        header.set_sform(affine, codes[1])
    header['scl_slope'], header['scl_inter'] = stored.slope, stored.intercept
    path.parent.mkdir(parents=True, exist_ok=True)
    with nb.openers.ImageOpener(str(path), 'wb') as file:
        header.write_to(file)
        file.write(stored.data.tobytes('F'))


def is_ours(folder: Path) -> bool:
    """Whether a folder holds an earlier build, which may be replaced."""
    try:
        description = json.loads((folder / 'dataset_description.json').read_text())
    except (OSError, ValueError):
        return False
    return isinstance(description, dict) and str(description.get('Name', '')).startswith(NAME)


def describe(out: Path, truth: Path, participants: Sequence[Participant], seed: int) -> None:
    """Write the files of the two datasets that are about no single scan."""
    common = {'BIDSVersion': BIDS_VERSION, 'License': LICENCE, 'Authors': AUTHORS}
    generated = [{'Name': 'demo/build.py', 'Description': f'seed {seed}'}]
    raw = {
        'Name': NAME,
        'DatasetType': 'raw',
        **common,
        'HowToAcknowledge': 'Cite the ICBM152 2009 templates: Fonov et al., NeuroImage 2011.',
        'ReferencesAndLinks': ['https://doi.org/10.1016/j.neuroimage.2010.07.033'],
        'GeneratedBy': generated,
    }
    derived = {
        'Name': f'{NAME}, truth',
        'DatasetType': 'derivative',
        **common,
        'GeneratedBy': generated,
    }
    write_json(out / 'dataset_description.json', raw)
    write_json(truth / 'dataset_description.json', derived)
    write_json(out / 'participants.json', PARTICIPANT_COLUMNS)
    rows = ['participant_id\tage\tsex\tgroup']
    for p in participants:
        group = 'lesions' if p.disease.diameters_mm else 'healthy'
        rows.append(f'sub-{p.label}\t{p.age}\t{p.sex}\t{group}')
    (out / 'participants.tsv').write_text('\n'.join(rows) + '\n')
    for folder in (out, truth):
        (folder / 'README.md').write_text(README.format(name=NAME, seed=seed, notice=NOTICE))


def write_scan(out: Path, truth: Path, participant: Participant, scan: Scan) -> None:
    """Write one scan with its sidecar, and beside the dataset what is known of it.

    The truth is, for every participant, the image without lesions; the lesion mask, which holds
    every voxel that the lesions changed, soft rims too; and the share of lesion in each voxel.
    """
    sub, affine = f'sub-{participant.label}', scan.grid.affine
    raw, known = out / sub / 'anat' / sub, truth / sub / 'anat' / sub
    write_nifti(Path(f'{raw}_T1w{participant.extension}'), scan.t1w, affine, participant.codes)
    write_json(Path(f'{raw}_T1w.json'), sidecar(participant))
    lesion_free = Path(f'{known}_desc-lesionfree_T1w{participant.extension}')
    write_nifti(lesion_free, scan.lesion_free, affine, participant.codes)
    mask = store((scan.lesion_share > 0).astype(np.float32), np.uint8, 1, 0)
    share = store(scan.lesion_share, np.uint8, 1 / 255, 0)
    for name, voxels in (('mask', mask), ('probseg', share)):
        write_nifti(Path(f'{known}_label-lesion_{name}.nii.gz'), voxels, affine, participant.codes)
        write_json(Path(f'{known}_label-lesion_{name}.json'), {'Description': KNOWN[name]})
    write_json(
        Path(f'{known}_desc-lesionfree_T1w.json'),
        {'Description': KNOWN['T1w'], 'SkullStripped': False},
    )


def sidecar(participant: Participant) -> dict[str, Any]:
    """Tell what BIDS wants to know of a T1w image, as far as a simulation has it."""
    return {
        'Modality': 'MR',
        'MRAcquisitionType': '3D',
        'Manufacturer': 'none',
        'ManufacturersModelName': 'simulated',
        'SeriesDescription': 'simulated T1-weighted head; nobody was scanned',
        'SliceThickness': participant.zooms_mm[2],
        'BodyPart': 'head',
        'SkullStripped': False,
    }
