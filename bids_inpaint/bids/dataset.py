"""The files that make the output a BIDS dataset: description, README, .bidsignore."""

import json
from collections.abc import Mapping, Sequence
from os.path import lexists
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bids_inpaint import __version__
from bids_inpaint.bids.names import (
    FIGURE_FOLDER,
    GROUP_COLUMNS,
    GROUP_PAGE,
    GROUP_TABLE,
    PAGES,
    ending,
)
from bids_inpaint.bids.provenance import PIPELINE, generated_by
from bids_inpaint.bids.sidecars import SOURCE_LINK, dataset_links
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import read_object, read_object_or_nothing, write_json, write_text

BIDS_VERSION = '1.10.0'
DESCRIPTION = 'dataset_description.json'
HOW_TO_ACKNOWLEDGE = (
    'Please cite the method: Manjón J.V. et al., Blind MRI Brain Lesion Inpainting Using Deep '
    'Learning, in: Simulation and Synthesis in Medical Imaging (SASHIMI 2020).'
)

# Only files that the BIDS validator does not know, so that it finds any other.
BIDSIGNORE = (
    'sub-*/**/anat/sub-*_mode-image_xfm.txt',
    'sub-*/**/anat/sub-*_mode-image_xfm.json',
    f'sub-*/**/anat/sub-*{ending("qc")}',
    f'/{PAGES}',
    f'/sub-*/{FIGURE_FOLDER}',  # without slash: the validator reports the folder itself
    f'/{GROUP_TABLE}',
    f'/{GROUP_COLUMNS}',
    f'/{GROUP_PAGE}',
)

README = """\
# T1-weighted images without white-matter lesions

Made by bids_inpaint {version}. For every T1-weighted image of the source dataset, in its `anat`
folder:

- `*_desc-inpainted_T1w`: the image with its lesions filled, on the grid, in the units and in the
  data type of the source. Outside `desc-change_mask` its voxels are those of the source.
- `*_desc-change_mask`: the voxels that were changed.
- `*_desc-difference_T1w`: inpainted minus source, in units of the brain's mean intensity.
- `*_label-lesion_mask`: the lesion map, if requested; for an image with a lesion mask, the part of
  the mask that was filled.
- `*_label-lesion_probseg`: the probability that a voxel is lesion, if there is a lesion map.
- `*_desc-brain_mask`: the brain, where lesions were sought.
- `*_space-MNI152NLin2009aSym_*`: the same on the grid of the template (1 mm), with the image
  before the network (`desc-preproc`) and the bias field (`desc-biasfield`).
- `*_xfm.txt`: affine transforms to and from the template, for ITK and ANTs.
- `*_desc-inpaint_qc.json`: numbers for quality control; `group_T1w.tsv` is a table of all.
- `sub-*.html`: a page for each participant, with figures of the changes; `group_T1w.html` shows
  all scans. The pages work offline; `logs/CITATION.*` has a text on the methods.

The JSON file beside each image has its sources and processing. `logs/` has the configuration of
every run. Not for clinical use.
"""


def read_description(dataset: Path) -> dict[str, Any]:
    """Read dataset_description.json; empty if it is missing or not a JSON object."""
    return read_object_or_nothing(dataset / DESCRIPTION)


def is_raw(dataset: Path) -> bool:
    """Whether a dataset is one of raw data, as which BIDS takes it without `DatasetType`."""
    fields = read_description(dataset)
    return fields.get('DatasetType') != 'derivative' and 'PipelineDescription' not in fields


def check_description(dataset: Path) -> None:
    """Refuse a dataset whose dataset_description.json is missing or lacks what BIDS requires.

    Raises
    ------
    BidsInpaintError
        Says what is wrong and what to do.

    """
    path = dataset / DESCRIPTION
    advice = 'Fix it, or give --skip-bids-validation'
    if not lexists(path):
        example = {'Name': 'Example dataset', 'BIDSVersion': BIDS_VERSION}
        msg = f'{path} is missing; it must look like {json.dumps(example)}. {advice}'
        raise BidsInpaintError(msg)
    try:
        fields = read_object(path)
    except ValueError as error:
        msg = f'{path} must be a readable JSON object: {error}. {advice}'
        raise BidsInpaintError(msg) from error
    required = ['Name', 'BIDSVersion']
    if fields.get('DatasetType') == 'derivative' and 'PipelineDescription' not in fields:
        required.append('GeneratedBy')
    lacking = [name for name in required if name not in fields]
    if lacking:
        msg = f'{path} must have {", ".join(required)}, lacks {", ".join(lacking)}. {advice}'
        raise BidsInpaintError(msg)


def check_output_is_ours(output_dir: Path) -> None:
    """Refuse a folder with a dataset of another program.

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
            f'output folder must be new, empty or made by {PIPELINE}: {output_dir} has another '
            f'dataset, GeneratedBy {found!r}. Use another folder'
        )
        raise BidsInpaintError(msg)


def source_folder(output_dir: Path) -> Path | None:
    """Find the dataset that an output folder was made from; None if that is not known."""
    links = read_description(output_dir).get('DatasetLinks')
    link = links.get(SOURCE_LINK) if isinstance(links, dict) else None
    if not isinstance(link, str) or urlsplit(link).scheme != 'file':
        return None
    return Path(unquote(urlsplit(link).path))


def write_dataset_files(
    output_dir: Path, *, bids_dir: Path, derivatives: Sequence[Path] = ()
) -> None:
    """Write description, README and .bidsignore; safe when parallel jobs do so at once.

    An existing README is kept, as it may have been edited. Links to datasets of earlier runs are
    kept, as sidecars refer to them.
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
