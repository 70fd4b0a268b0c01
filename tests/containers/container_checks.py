"""What tests of containers share."""

import json
from pathlib import Path

import nibabel as nb
import numpy as np

# What a careful administrator allows: nothing but a folder for temporary files.
CONFINED = (
    '--network=none',
    '--read-only',
    '--read-only-tmpfs=false',  # podman would give more than Docker does
    '--tmpfs=/tmp',
    '--cap-drop=all',
    '--security-opt=no-new-privileges',
)


def check_whole(out: Path) -> list[str]:
    """Read every file to its end; return the scans that have their product."""
    for path in out.rglob('sub-*.nii.gz'):
        np.asarray(nb.load(path).dataobj)
    for path in out.rglob('sub-*.json'):
        json.loads(path.read_text())
    assert [path for path in out.rglob('.*') if path.name != '.bidsignore'] == []
    products = out.glob('sub-*/anat/sub-??_desc-inpainted_T1w.nii.gz')
    return sorted(path.name.split('_')[0] for path in products)
