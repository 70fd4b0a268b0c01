"""Names of everything that is written about one T1w image: made here and nowhere else."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bids_inpaint.bids.scan import ENTITIES, Scan
from bids_inpaint.errors import BidsInpaintError

NATIVE_SPACE = 'T1w'
TEMPLATE_SPACE = 'MNI152NLin2009aSym'
REPORT_FOLDER = 'figures'
VIEWED_SOURCE = '_source'  # what the viewer calls the source dataset: no file is in it

# Order of the keys of a name. BIDS has no from, to and mode yet; the place is fMRIPrep's.
_ORDER = (*[key for key in ENTITIES if key not in {'label', 'desc'}], 'from', 'to', 'mode')
KEY_ORDER = (*_ORDER, 'label', 'desc')

# What says on which grid the source lies. An image on the template's grid says that of itself,
# and must not say the source's as well.
_OF_THE_GRID = frozenset({'cohort', 'space', 'res', 'den'})


@dataclass(frozen=True)
class Kind:
    """What distinguishes one kind of derivative from the source's name.

    Attributes
    ----------
    entities : tuple of (str, str)
        Set in the name, in place of the source's values if it has any.
    suffix : str
    spaces : tuple of str
        Spaces in which there is such a file; empty for a file that is not an image.
    extension : str
        Empty for an image: .nii.gz or .nii, as the user wants.
    description : str
        For the sidecar of an image.

    """

    entities: tuple[tuple[str, str], ...]
    suffix: str
    spaces: tuple[str, ...] = ()
    extension: str = ''
    description: str = ''


_BOTH = (NATIVE_SPACE, TEMPLATE_SPACE)

KINDS: Mapping[str, Kind] = {
    'inpainted': Kind(
        (('desc', 'inpainted'),), 'T1w', _BOTH, description='T1w image with its lesions filled'
    ),
    'preproc': Kind(
        (('desc', 'preproc'),),
        'T1w',
        (TEMPLATE_SPACE,),
        description='Denoised, bias-corrected T1w image of the brain, divided by its mean',
    ),
    'lesion_mask': Kind((('label', 'lesion'),), 'mask', _BOTH, description='Lesion map'),
    'difference': Kind(
        (('desc', 'difference'),),
        'T1w',
        _BOTH,
        description="Change made by the network, in units of the brain's mean intensity",
    ),
    'change_mask': Kind(
        (('desc', 'change'),), 'mask', _BOTH, description='Voxels that were changed'
    ),
    'brain_mask': Kind(
        (('desc', 'brain'),), 'mask', _BOTH, description='Brain, within which lesions are filled'
    ),
    'bias_field': Kind(
        (('desc', 'biasfield'),),
        'T1w',
        (TEMPLATE_SPACE,),
        description='Bias field by which the T1w image was divided',
    ),
    'anat2std_xfm': Kind(
        (('from', NATIVE_SPACE), ('to', TEMPLATE_SPACE), ('mode', 'image')),
        'xfm',
        extension='.txt',
    ),
    'std2anat_xfm': Kind(
        (('from', TEMPLATE_SPACE), ('to', NATIVE_SPACE), ('mode', 'image')),
        'xfm',
        extension='.txt',
    ),
    'qc': Kind((('desc', 'inpaint'),), 'qc', extension='.json'),
}


def derivative_path(
    scan: Scan, kind: str, *, space: str = NATIVE_SPACE, extension: str = '.nii.gz'
) -> PurePosixPath:
    """Path of a derivative of a scan, within the derivative dataset.

    Every entity of the source is kept, in the order of BIDS, but where the derivative says
    otherwise of itself: `desc` and `label` are replaced if the kind sets them, and an image on
    the template's grid has the template's `space` and none of the source's `space`, `res`,
    `den` and `cohort`. `check_distinct` finds the sources that differ in nothing else.

    Parameters
    ----------
    scan : Scan
    kind : str
        A key of `KINDS`.
    space : str
        `NATIVE_SPACE` or `TEMPLATE_SPACE`; of no effect on what is not an image.
    extension : str
        Of images.

    Returns
    -------
    path : PurePosixPath
        `sub-XX/[ses-YY/]anat/<name>`

    Raises
    ------
    ValueError
        If there is no such kind, or it is not written in that space.

    Examples
    --------
    >>> from pathlib import Path
    >>> from bids_inpaint.bids.scan import parse_t1w
    >>> scan = parse_t1w(Path('sub-01/anat/sub-01_run-1_T1w.nii'))
    >>> derivative_path(scan, 'lesion_mask', space=TEMPLATE_SPACE).name
    'sub-01_run-1_space-MNI152NLin2009aSym_label-lesion_mask.nii.gz'

    """
    if kind not in KINDS:
        msg = f'kind of derivative must be one of {", ".join(KINDS)}, is {kind!r}'
        raise ValueError(msg)
    what = KINDS[kind]
    if what.spaces and space not in what.spaces:
        msg = f'{kind} is written in {", ".join(what.spaces)}, not in {space!r}'
        raise ValueError(msg)
    entities = dict(scan.entities)
    if what.spaces and space == TEMPLATE_SPACE:
        entities = {key: value for key, value in entities.items() if key not in _OF_THE_GRID}
        entities['space'] = TEMPLATE_SPACE
    entities |= dict(what.entities)
    return scan.folder / _join(entities, what.suffix, what.extension or extension)


def sidecar_path(path: PurePosixPath) -> PurePosixPath:
    """Path of the JSON file that describes a file."""
    return path.with_name(path.name.split('.', 1)[0] + '.json')


def figure_path(scan: Scan, desc: str) -> PurePosixPath:
    """Path of a figure of the report: `sub-XX/figures/<source>_desc-<desc>_T1w.svg`."""
    name = _join({**dict(scan.entities), 'desc': desc}, 'T1w', '.svg')
    return PurePosixPath(f'sub-{scan.subject}', REPORT_FOLDER, name)


def report_path(scan: Scan) -> PurePosixPath:
    """Path of the report of a participant, one for all scans: `sub-XX.html`."""
    return PurePosixPath(f'sub-{scan.subject}.html')


def planned_paths(
    scan: Scan, *, output_spaces: Sequence[str], lesion_map: bool, extension: str = '.nii.gz'
) -> list[PurePosixPath]:
    """Paths of all that is written of one scan, sidecars and report left out."""
    paths = []
    for kind, what in KINDS.items():
        if kind == 'lesion_mask' and not lesion_map:
            continue
        spaces = [space for space in what.spaces if space in output_spaces]
        if not what.spaces:
            paths.append(derivative_path(scan, kind))
        paths += [derivative_path(scan, kind, space=s, extension=extension) for s in spaces]
    return paths


def check_distinct(scans: Iterable[Scan], *, output_spaces: Sequence[str]) -> None:
    """Refuse scans whose derivatives would overwrite one another.

    That is so for `.nii` and `.nii.gz` of one name, for sources that differ by `desc` only, and,
    in template space, for one image in several spaces or resolutions.

    Raises
    ------
    BidsInpaintError
        Naming the images of which only one can be taken.

    """
    sources = defaultdict(set)
    for scan in scans:
        for path in planned_paths(scan, output_spaces=output_spaces, lesion_map=True):
            sources[path].add(str(scan.relative_path))
    for path, names in sources.items():
        if len(names) > 1:
            msg = (
                f'{len(names)} images would be written under one name, {path}: '
                f'{", ".join(sorted(names))}. Choose one with --bids-filter-file, for instance '
                f'{{"t1w": {{"space": null, "description": null, "extension": ".nii.gz"}}}}'
            )
            raise BidsInpaintError(msg)


def _join(entities: Mapping[str, str], suffix: str, extension: str) -> str:
    """Make a file name; keys that BIDS does not know stand before `label` and `desc`."""
    ranks = {key: rank for rank, key in enumerate(KEY_ORDER)}
    unknown = ranks['label'] - 0.5
    keys = sorted(entities, key=lambda key: ranks.get(key, unknown))
    return '_'.join([*(f'{key}-{entities[key]}' for key in keys), suffix]) + extension
