"""Names of all outputs of a T1w image; no other module makes names."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bids_inpaint.bids.filters import filter_for
from bids_inpaint.bids.scan import ENTITIES, Scan
from bids_inpaint.files import stem

NATIVE_SPACE = 'T1w'
TEMPLATE_SPACE = 'MNI152NLin2009aSym'
OUTPUT_SPACES = (NATIVE_SPACE, TEMPLATE_SPACE)
IMAGE_EXTENSIONS = ('.nii.gz', '.nii')
FIGURE_FOLDER = 'figures'
PAGES = 'sub-*.html'
GROUP_TABLE, GROUP_COLUMNS, GROUP_PAGE = 'group_T1w.tsv', 'group_T1w.json', 'group_T1w.html'
VIEWED_SOURCE = '_source'  # name of the source dataset in the viewer; not a folder
# Lesion masks beside a T1w: name in BIDS, and the name before it had `label`.
LESION_ROI = ('_label-lesion_roi', '_T1w_label-lesion_roi')
LABEL_MAP = f'_space-{TEMPLATE_SPACE}_dseg.nii.gz'  # of training

# Order of the keys of a name. BIDS has no from, to and mode yet; they are where fMRIPrep has them.
_ORDER = (*[key for key in ENTITIES if key not in {'label', 'desc'}], 'from', 'to', 'mode')
KEY_ORDER = (*_ORDER, 'label', 'desc')

# Characters of a name, of which file systems allow 255; the rest is for the temporary name.
_LONGEST = 240

# Entities on the grid of the source, which an image on the template grid must not have.
_OF_THE_GRID = frozenset({'cohort', 'space', 'res', 'den'})


@dataclass(frozen=True)
class Kind:
    """Name of one kind of derivative, relative to that of the source.

    Attributes
    ----------
    entities : tuple of (str, str)
        Set in the name, replacing values of the source.
    suffix : str
    spaces : tuple of str
        Spaces in which the file is written; empty for a file that is not an image.
    extension : str
        Empty for an image: .nii.gz or .nii, as requested.
    description : str
        For the sidecar of an image.

    """

    entities: tuple[tuple[str, str], ...]
    suffix: str
    spaces: tuple[str, ...] = ()
    extension: str = ''
    description: str = ''


KINDS: Mapping[str, Kind] = {
    'inpainted': Kind(
        (('desc', 'inpainted'),),
        'T1w',
        OUTPUT_SPACES,
        description='T1w image with its lesions filled',
    ),
    'preproc': Kind(
        (('desc', 'preproc'),),
        'T1w',
        (TEMPLATE_SPACE,),
        description='Denoised, bias-corrected T1w image of the brain, divided by its mean',
    ),
    'lesion_mask': Kind((('label', 'lesion'),), 'mask', OUTPUT_SPACES, description='Lesion map'),
    'lesion_probability': Kind(
        (('label', 'lesion'),),
        'probseg',
        OUTPUT_SPACES,
        description='Probability of lesion, from the network',
    ),
    'difference': Kind(
        (('desc', 'difference'),),
        'T1w',
        OUTPUT_SPACES,
        description="Change made by the network, in units of the brain's mean intensity",
    ),
    'change_mask': Kind(
        (('desc', 'change'),), 'mask', OUTPUT_SPACES, description='Voxels that were changed'
    ),
    'brain_mask': Kind(
        (('desc', 'brain'),),
        'mask',
        OUTPUT_SPACES,
        description='Brain, within which lesions are filled',
    ),
    'bias_field': Kind(
        (('desc', 'biasfield'),),
        'T1w',
        (TEMPLATE_SPACE,),
        description='Bias field by which the T1w image was divided, on a coarse grid; '
        'cubic splines through its voxels give it on the template grid',
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

    It has every entity of the source, in the order of BIDS, except that `desc` and `label` are
    replaced if the kind sets them, and that an image on the template grid has the `space` of the
    template, and not `space`, `res`, `den` and `cohort` of the source. `split_writable` finds
    sources that only differ in these.

    Parameters
    ----------
    scan : Scan
    kind : str
        A key of `KINDS`.
    space : str
        `NATIVE_SPACE` or `TEMPLATE_SPACE`; ignored for files that are not images.
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
        msg = f'kind of derivative must be one of {", ".join(KINDS)}, not {kind!r}'
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


def ending(kind: str, *, space: str = NATIVE_SPACE, extension: str = '.nii.gz') -> str:
    """End of the name of a derivative, after the entities of its source.

    Examples
    --------
    >>> ending('preproc', space=TEMPLATE_SPACE)
    '_space-MNI152NLin2009aSym_desc-preproc_T1w.nii.gz'

    """
    what = KINDS[kind]
    entities = dict(what.entities)
    if what.spaces and space == TEMPLATE_SPACE:
        entities['space'] = TEMPLATE_SPACE
    return '_' + _join(entities, what.suffix, what.extension or extension)


def of_same_scan(path: Path, kind: str, other: str, *, space: str = TEMPLATE_SPACE) -> Path:
    """Path of another derivative of a scan, in the same space; `kind` is that of `path`."""
    ends = [ending(one, space=space) for one in (kind, other)]
    return path.with_name(path.name.removesuffix(ends[0]) + ends[1])


def sidecar_path(path: PurePosixPath) -> PurePosixPath:
    """Path of the JSON file that describes a file."""
    return path.with_name(f'{stem(path)}.json')


def figure_path(scan: Scan, desc: str) -> PurePosixPath:
    """Path of a figure of the report: `sub-XX/figures/<source>_desc-<desc>_T1w.svg`."""
    name = _join({**dict(scan.entities), 'desc': desc}, 'T1w', '.svg')
    return PurePosixPath(f'sub-{scan.subject}', FIGURE_FOLDER, name)


def page_path(subject: str) -> PurePosixPath:
    """Path of the page of a participant, one for all scans: `sub-XX.html`."""
    return PurePosixPath(f'sub-{subject}.html')


def planned_kinds(
    *, output_spaces: Collection[str], lesion_map: bool, lesion_probability: bool = False
) -> list[tuple[str, str]]:
    """Kind and space of all outputs of a scan; files that are not images have the native space.

    The probability of lesion is written with the lesion map, if the network gives it.
    """
    left_out = set() if lesion_map else {'lesion_mask'}
    if not (lesion_map and lesion_probability):
        left_out.add('lesion_probability')
    return [
        (kind, space)
        for kind, what in KINDS.items()
        if kind not in left_out
        for space in what.spaces or (NATIVE_SPACE,)
        if not what.spaces or space in output_spaces
    ]


def planned_paths(
    scan: Scan, kinds: Iterable[tuple[str, str]], *, extension: str = '.nii.gz'
) -> list[PurePosixPath]:
    """Paths of `planned_kinds` for a scan, without sidecars and report."""
    return [derivative_path(scan, kind, space=space, extension=extension) for kind, space in kinds]


def split_writable(
    scans: Sequence[Scan], *, output_spaces: Sequence[str]
) -> tuple[list[Scan], list[str]]:
    """Split off scans whose derivatives cannot be written, or would overwrite one another.

    The latter are `.nii` and `.nii.gz` of one name, sources that only differ in `desc`, or, in
    template space, one image in several spaces or resolutions.

    Returns
    -------
    scans : list of Scan
        The others, in the same order.
    errors : list of str
        Which images these are, and what to do.

    """
    sources = defaultdict(list)
    kinds = planned_kinds(output_spaces=output_spaces, lesion_map=True, lesion_probability=True)
    for scan in scans:
        for path in planned_paths(scan, kinds):
            sources[path].append(scan)
    longest = {group[0]: path.name for path, group in sources.items() if len(path.name) > _LONGEST}
    errors = [
        f'{scan.relative_path}: names of derivatives may have {_LONGEST} characters, {name} has '
        f'{len(name)}: shorten its labels'
        for scan, name in longest.items()
    ]
    left_out = set(longest)
    for path, group in sorted(sources.items(), key=lambda item: -len(item[1])):
        if len(group) > 1 and not left_out.issuperset(group):
            left_out.update(group)
            errors.append(_clash(path, group))
    return [scan for scan in scans if scan not in left_out], errors


def _clash(path: PurePosixPath, group: Sequence[Scan]) -> str:
    """Say which images would be written under one name, and what to do."""
    one = min(group, key=lambda scan: (len(scan.entities), scan.extension != '.nii.gz'))
    chosen = json.dumps({'t1w': filter_for(one, group)})
    return (
        f'{len(group)} images would be written under one name, {path}: '
        f'{", ".join(sorted(str(scan.relative_path) for scan in group))}. Remove all but one from '
        f'the dataset; or choose one with --participant-label {one.subject} and a '
        f'--bids-filter-file, for instance {chosen}'
    )


def _join(entities: Mapping[str, str], suffix: str, extension: str) -> str:
    """Make a file name; keys unknown to BIDS come before `label` and `desc`."""
    ranks = {key: rank for rank, key in enumerate(KEY_ORDER)}
    unknown = ranks['label'] - 0.5
    keys = sorted(entities, key=lambda key: ranks.get(key, unknown))
    return '_'.join([*(f'{key}-{entities[key]}' for key in keys), suffix]) + extension
