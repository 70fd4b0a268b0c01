"""A synthetic scan and its truth as BIDS files."""

from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from demo.dataset import write_json
from demo.heads.participants import Participant
from demo.heads.scan import Scan
from demo.heads.scanner import Stored, store

LICENCE = 'ICBM152 permission notice; see README'
CITATION = 'Fonov et al., NeuroImage 2011'
LINK = 'https://doi.org/10.1016/j.neuroimage.2010.07.033'

NOTICE = """\
Made-up heads are derived from the ICBM152 2009a symmetric average brain that comes with nilearn,
whose permission notice is:

Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University. Permission to use, copy, modify, and distribute this software and
its documentation for any purpose and without fee is hereby granted, provided that the above
copyright notice appear in all copies. The authors and McGill University make no representations
about the suitability of this software for any purpose. It is provided "as is" without express or
implied warranty. The authors are not responsible for any data loss, equipment damage, property
loss, or injury to subjects or patients resulting from the use or misuse of this software package.
"""

KNOWN = {
    'T1w': 'The scan without its lesions: same texture, shading and noise.',
    'mask': 'Every voxel that the lesions changed, soft rims too.',
    'probseg': 'Share of lesion in each voxel; 0.5 is where an outline would be drawn.',
}


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


def write_scan(out: Path, truth: Path, label: str, participant: Participant, scan: Scan) -> None:
    """Write one scan with its sidecar, and its truth outside of the dataset.

    The truth is the image without lesions; the lesion mask, which holds every voxel that the
    lesions changed, soft rims too; and the share of lesion in each voxel.
    """
    sub, affine = f'sub-{label}', scan.grid.affine
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
    """Make the sidecar of a simulated T1w image."""
    return {
        'Modality': 'MR',
        'MRAcquisitionType': '3D',
        'Manufacturer': 'none',
        'ManufacturersModelName': 'simulated',
        'SeriesDescription': 'simulated T1-weighted head',
        'SliceThickness': participant.zooms_mm[2],
        'BodyPart': 'head',
        'SkullStripped': False,
    }
