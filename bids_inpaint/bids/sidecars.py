"""JSON sidecars of images."""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint.bids.names import KINDS, NATIVE_SPACE, TEMPLATE_SPACE
from bids_inpaint.bids.scan import Scan

SOURCE_LINK = 'raw'  # name of the input dataset in DatasetLinks

# Definition of the template, for SpatialReference.
TEMPLATE_URI = 'https://doi.org/10.1016/S1053-8119(09)70884-5'


def source_uri(scan: Scan) -> str:
    """BIDS URI of the T1w image itself: `bids:raw:sub-01/anat/sub-01_T1w.nii.gz`."""
    return f'bids:{SOURCE_LINK}:{scan.relative_path}'


def dataset_links(bids_dir: Path, derivatives: Sequence[Path] = ()) -> dict[str, Path]:
    """Name the input datasets for BIDS URIs and DatasetLinks.

    Parameters
    ----------
    bids_dir : Path
        The input.
    derivatives : sequence of Path
        Further datasets; each gets the name of its folder, with a number if it is taken.

    Examples
    --------
    >>> list(dataset_links(Path('/data'), [Path('/a/lst'), Path('/b/lst')]))
    ['raw', 'lst', 'lst2']

    """
    links = {SOURCE_LINK: bids_dir}
    for folder in derivatives:
        name = re.sub('[^a-zA-Z0-9-]', '', folder.name) or 'derivatives'
        names = chain([name], (f'{name}{number}' for number in count(2)))
        links[next(free for free in names if free not in links)] = folder
    return links


def lesion_mask_uri(lesion_mask: Path, links: Mapping[str, Path]) -> str:
    """BIDS URI of a file in one of the datasets of `dataset_links`, the innermost if nested."""
    holding = [name for name in links if lesion_mask.is_relative_to(links[name])]
    name = max(holding, key=lambda holder: len(links[holder].parts))
    return f'bids:{name}:{lesion_mask.relative_to(links[name]).as_posix()}'


def derivative_uri(path: PurePosixPath) -> str:
    """BIDS URI of a file of the derivative dataset, from its path within it."""
    return f'bids::{path}'


def image_sidecar(
    scan: Scan,
    kind: str,
    *,
    space: str,
    sources: Sequence[str],
    skull_stripped: bool,
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe an image of the derivative dataset.

    Parameters
    ----------
    scan : Scan
        The source; in native space the image has its grid.
    kind : str
        A key of `bids_inpaint.bids.names.KINDS`.
    space : str
        'T1w' or 'MNI152NLin2009aSym'.
    sources : sequence of str
        BIDS URIs, of `source_uri` and `derivative_uri`.
    skull_stripped : bool
        Whether the image is zero outside the brain.
    parameters : mapping
        Further fields: parameters of each step, model, device, time; `Type` of a mask ('Brain',
        'Lesion').

    Returns
    -------
    sidecar : dict
        For `write_json`.

    Raises
    ------
    ValueError
        If the space is neither of the two.

    """
    references = {NATIVE_SPACE: source_uri(scan), TEMPLATE_SPACE: TEMPLATE_URI}
    if space not in references:
        msg = f'space must be one of {", ".join(references)}, not {space!r}'
        raise ValueError(msg)
    return {
        'Description': KINDS[kind].description,
        'Sources': list(sources),
        'SpatialReference': references[space],
        'SkullStripped': skull_stripped,
        **parameters,
    }
