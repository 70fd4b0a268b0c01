"""Three made-up heads as a dataset: ``python tests/made_heads.py OUT TRUTH``.

That with lesions is also sub-03 of the demo; the two others are for tests and for the evaluation,
which takes what the app makes of this dataset (``--unlike``).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from demo import dataset
from demo.heads import files
from demo.heads.head import Look
from demo.heads.participants import WITH_LESIONS, Disease, Participant
from demo.heads.scan import SEED, scan_heads

HEALTHY = Participant(
    name='healthy',
    rotation_deg=(11, -6, -10),
    scale=(0.92, 0.87, 0.91),
    shift_mm=(-6, 14, -20),
    ventricles=-0.25,
    look=Look(fluid=0.15, grey=0.60, fat=1.25, skull_mm=8.0, fat_mm=4.0),
    shape=(160, 196, 180),
    zooms_mm=(1.05, 1.05, 1.05),
    axcodes='LPS',
    white=290,
    noise=0.025,
    bias=0.30,
    dtype=np.uint8,
    extension='.nii.gz',
    slope=2.4,
    codes=(1, 0),
)

OVOIDS = Participant(
    name='ovoids',
    rotation_deg=(6, -4, 14),
    scale=(0.86, 0.90, 0.88),
    shift_mm=(2, 5, -4),
    ventricles=0.15,
    look=Look(fluid=0.23, grey=0.68, fat=1.55, fat_mm=6.0),
    shape=(184, 228, 104),
    zooms_mm=(0.9, 0.9, 1.8),
    axcodes='LAS',
    white=410,
    noise=0.022,
    bias=0.20,
    dtype=np.uint16,
    extension='.nii',
    slope=0.02,
    intercept=-20.0,
    oblique_deg=(16, -7, 5),
    slices_averaged=2,
    disease=Disease((9, 8, 7, 6, 5, 4.5)),
)

PARTICIPANTS = (WITH_LESIONS, HEALTHY, OVOIDS)
# Of few voxels: all steps take seconds.
SMALL = (
    replace(WITH_LESIONS, name='01', shape=(104, 96, 82), zooms_mm=(2, 2, 2)),
    replace(HEALTHY, name='02', shape=(84, 103, 94), zooms_mm=(2, 2, 2)),
)

README = """\
# Made-up heads

Nobody was scanned. Each T1w image was computed (seed {seed}): a head was made around an average
brain, and the whole was warped, turned, scaled and given texture, shading and noise.

{notice}"""


def group_of(participant: Participant) -> dataset.Group:
    """Group of a made-up participant."""
    return 'simulated' if participant.disease.diameters_mm else 'healthy'


def build_heads(
    out: Path, truth: Path, participants: tuple[Participant, ...] = PARTICIPANTS, seed: int = SEED
) -> None:
    """Write the made-up heads to a dataset, and what is known of them beside it."""
    description = dataset.Description(
        name=f'{dataset.NAME}: made-up heads',
        licence=files.LICENCE,
        authors=('the bids_inpaint developers',),
        acknowledge=f'Please cite {files.CITATION}',
        links=(files.LINK,),
        readme=README.format(seed=seed, notice=files.NOTICE),
    )
    rows = [dataset.Row(p.name, group_of(p)) for p in participants]
    dataset.describe(out, truth, description, rows, seed)
    for participant, scan in scan_heads(participants, seed):
        files.write_scan(out, truth, participant.name, participant, scan)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path)
    parser.add_argument('truth', type=Path)
    options = parser.parse_args()
    build_heads(options.out, options.truth)
