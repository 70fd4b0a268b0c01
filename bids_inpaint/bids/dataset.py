"""The files that make the output a BIDS dataset: description, README, .bidsignore."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_inpaint import __version__
from bids_inpaint.bids.atomic import write_text
from bids_inpaint.bids.sidecars import (
    PIPELINE,
    SOURCE_LINK,
    dataset_links,
    generated_by,
    write_json,
)
from bids_inpaint.errors import BidsInpaintError

BIDS_VERSION = '1.10.0'
DESCRIPTION = 'dataset_description.json'
HOW_TO_ACKNOWLEDGE = (
    'Please cite the method: Manjón J.V. et al., Blind MRI Brain Lesion Inpainting Using Deep '
    'Learning, in: Simulation and Synthesis in Medical Imaging (SASHIMI 2020).'
)

# What the BIDS validator has no name for, and nothing else: a file that is not on this list and
# not in BIDS shall be found.
BIDSIGNORE = (
    'sub-*/**/anat/sub-*_mode-image_xfm.txt',
    'sub-*/**/anat/sub-*_mode-image_xfm.json',
    'sub-*/**/anat/sub-*_desc-inpaint_qc.json',
    '/sub-*.html',
    '/sub-*/figures',  # without a slash at its end: the validator reports the folder itself
    '/group_T1w.tsv',
    '/group_T1w.json',
    '/group_T1w.html',
)

README = """\
# T1-weighted images without white-matter lesions

Made by bids_inpaint {version}. Of every T1-weighted image of the source dataset, in its `anat`
folder:

- `*_desc-inpainted_T1w`: the image with its lesions filled, on the grid, in the units and in the
  data type of the source. Outside `desc-change_mask` its voxels are those of the source.
- `*_desc-change_mask`: the voxels that were changed.
- `*_desc-difference_T1w`: inpainted minus source, in units of the brain's mean intensity.
- `*_label-lesion_mask`: the lesion map, if one was asked for; of an image that was given a lesion
  mask, what was filled of that.
- `*_desc-brain_mask`: where lesions were looked for.
- `*_space-MNI152NLin2009aSym_*`: the same on the grid of the template (1 mm), with the image
  before the network (`desc-preproc`) and the bias field that was divided out (`desc-biasfield`).
- `*_xfm.txt`: affine transforms to and from the template, as ITK and ANTs read them.
- `*_desc-inpaint_qc.json`: numbers for quality control; `group_T1w.tsv` gathers them.
- `sub-*.html`: a page for each participant, with figures of what was changed; `group_T1w.html`
  shows all scans. They need no network; `logs/CITATION.*` has a text on the methods.

A JSON file beside each image says what it was made from and how. `logs/` holds the configuration
of every run. Not for clinical use.
"""


def read_description(dataset: Path) -> dict[str, Any]:
    """Read dataset_description.json; empty if there is none, or it is no JSON object."""
    try:
        description = json.loads((dataset / DESCRIPTION).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def check_output_is_ours(output_dir: Path) -> None:
    """Refuse a folder that another program's dataset is in.

    Raises
    ------
    BidsInpaintError
        If the folder has a dataset_description.json that does not name this program.

    """
    if not (output_dir / DESCRIPTION).exists():
        return
    found = read_description(output_dir).get('GeneratedBy')
    entries = found if isinstance(found, list) else []
    names = [entry.get('Name') for entry in entries if isinstance(entry, dict)]
    if PIPELINE not in names:
        msg = (
            f'output folder must be new, empty or made by {PIPELINE}: {output_dir} holds another '
            f'dataset, GeneratedBy {found!r}. Give a folder of its own'
        )
        raise BidsInpaintError(msg)


def write_dataset_files(
    output_dir: Path, *, bids_dir: Path, derivatives: Sequence[Path] = ()
) -> None:
    """Write description, README and .bidsignore; safe when parallel jobs do so at once.

    An existing README is left alone: it may have been written on. Links to datasets that an
    earlier run read are kept: its sidecars speak of them.
    """
    links = {n: p.as_uri() for n, p in dataset_links(bids_dir, derivatives).items()}
    earlier = read_description(output_dir).get('DatasetLinks')
    if isinstance(earlier, dict):
        links = {**earlier, **links}
    write_json(output_dir / DESCRIPTION, _description(bids_dir, links))
    write_text(output_dir / '.bidsignore', '\n'.join(BIDSIGNORE) + '\n')
    if not (output_dir / 'README').exists():
        write_text(output_dir / 'README', README.format(version=__version__))


def _description(bids_dir: Path, links: Mapping[str, str]) -> dict[str, Any]:
    """Content of the output's dataset_description.json."""
    source = read_description(bids_dir)
    name = source.get('Name') or bids_dir.name
    source_dataset = {'URL': bids_dir.as_uri()}
    if isinstance(source.get('DatasetDOI'), str):
        source_dataset['DOI'] = source['DatasetDOI']
    return {
        'Name': f'{PIPELINE}: T1w images without white-matter lesions, of: {name}',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'derivative',
        'GeneratedBy': [generated_by({})],
        'SourceDatasets': [
            source_dataset,
            *({'URL': uri} for name, uri in links.items() if name != SOURCE_LINK),
        ],
        'DatasetLinks': links,
        'HowToAcknowledge': HOW_TO_ACKNOWLEDGE,
    }
