"""Write a dataset of tiny heads and a network in name only: `make_data.py FOLDER [NUMBER]`.

FOLDER/data/sub-*/anat and FOLDER/models, for `tests/tiny_app.py`, which runs within the image.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_app

from bids_inpaint.image.resample import Grid


def main() -> int:
    """Write all."""
    folder = Path(sys.argv[1])
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -88, -120, -68
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    labels = [f'{label:02}' for label in range(1, number + 1)]
    for label in labels:
        path = folder / f'data/sub-{label}/anat/sub-{label}_T1w.nii.gz'
        tiny_app.write_head(path, Grid((44, 52, 44), affine))
    description = {'Name': 'tiny', 'BIDSVersion': '1.9.0'}
    (folder / 'data/dataset_description.json').write_text(json.dumps(description))
    rows = ''.join(f'sub-{label}\n' for label in labels)
    (folder / 'data/participants.tsv').write_text(f'participant_id\n{rows}')
    tiny_app.write_models(folder / 'models')
    return 0


if __name__ == '__main__':
    sys.exit(main())
