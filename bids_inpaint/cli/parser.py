"""Options of the command line."""

import argparse
from collections.abc import Sequence

from bids_inpaint.bids.names import OUTPUT_SPACES
from bids_inpaint.cli.options import (
    add_participant_label,
    add_version_and_verbosity,
    existing_file,
    existing_folder,
    integer,
    label,
    number,
    path,
    probability,
)
from bids_inpaint.settings import (
    DEFAULT_LESION_THRESHOLD,
    DEFAULT_MIN_LESION_SIZE_MM3,
    DEVICES,
    LESION_MAP_SOURCES,
    LESION_MASK_MODES,
)

_DESCRIPTION = (
    'Fill white-matter lesions in the T1-weighted images of a BIDS dataset. No lesion mask is '
    'needed, but an existing one is used; voxels that are not changed stay bit-identical. '
    'Options may be written with hyphens or underscores.'
)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; if they are wrong, print usage and reason, and exit with status 2."""
    parser = build_parser()
    arguments = parser.parse_args([hyphenated(argument) for argument in argv])
    _check_lesion_map(parser, arguments)
    return arguments


def _check_lesion_map(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse a threshold that does not fit the source of the lesion map."""
    source = arguments.lesion_map_from
    if arguments.lesion_threshold is not None and arguments.lesion_probability is not None:
        parser.error('--lesion-threshold and --lesion-probability: give only one of them')
    if arguments.lesion_threshold is not None and source == 'probability':
        parser.error(
            '--lesion-threshold is for --lesion-map-from difference: with probability use '
            '--lesion-probability'
        )
    if arguments.lesion_probability is not None and source == 'difference':
        parser.error(
            '--lesion-probability is for --lesion-map-from probability: with difference use '
            '--lesion-threshold'
        )


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; defaults that depend on the machine are None here."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint', description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument('bids_dir', type=path, help='BIDS dataset; it is never written to')
    parser.add_argument('output_dir', type=path, help='derivative dataset; created if missing')
    parser.add_argument(
        'analysis_level',
        choices=('participant', 'group'),
        help='participant: process T1w images. group: gather the QC of all scans in one table',
    )
    add_version_and_verbosity(parser)
    _add_selection(parser)
    _add_masks(parser)
    _add_processing(parser)
    _add_outputs(parser)
    _add_resources(parser)
    _add_running(parser)
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Options that choose images."""
    group = parser.add_argument_group('which images')
    add_participant_label(group)
    group.add_argument(
        '--session-label',
        nargs='+',
        type=label('ses'),
        default=[],
        metavar='LABEL',
        help='sessions, with or without "ses-" (default: all)',
    )
    group.add_argument(
        '--bids-filter-file',
        type=existing_file,
        metavar='FILE',
        help='JSON file, for instance {"t1w": {"acquisition": "mprage", "ceagent": null}}',
    )
    group.add_argument(
        '--skip-bids-validation',
        action='store_true',
        help='do not require a valid dataset_description.json, the only file that is checked',
    )
    group.add_argument(
        '--bids-database-dir',
        type=path,
        metavar='DIR',
        help='folder for the index of the dataset: created once, then reused without updates',
    )


def _add_masks(parser: argparse.ArgumentParser) -> None:
    """Options on existing lesion masks."""
    group = parser.add_argument_group('lesion masks')
    group.add_argument(
        '--lesion-mask',
        choices=LESION_MASK_MODES,
        default='auto',
        help='auto: if an image has a lesion mask, fill only that: '
        '<image>_label-lesion_mask in --derivatives, or <image>_label-lesion_roi beside the '
        'image; required: an image without a mask is an error; off: ignore masks (default: auto)',
    )
    group.add_argument(
        '--derivatives',
        nargs='+',
        type=existing_folder,
        default=[],
        metavar='DIR',
        help='datasets with lesion masks on the grids of the T1w images, in order of precedence',
    )
    group.add_argument(
        '--dilate-mask',
        type=integer(at_least=0),
        default=0,
        metavar='VOXELS',
        help='dilate lesion masks before filling (default: %(default)s)',
    )


def _add_processing(parser: argparse.ArgumentParser) -> None:
    """Options that change results."""
    group = parser.add_argument_group('processing')
    group.add_argument(
        '--lesion-map',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write a mask of the lesions found or, for an image with a lesion mask, of the part '
        'that was filled, before --dilate-mask (default: yes)',
    )
    group.add_argument(
        '--lesion-map-from',
        choices=LESION_MAP_SOURCES,
        help='source of the lesion map: the probability of lesion from the network or, as in the '
        'paper, the difference between the images before and after (default: probability, if '
        'the network gives it)',
    )
    group.add_argument(
        '--lesion-probability',
        type=probability,
        metavar='X',
        help='lowest probability of a lesion voxel (default: chosen on validation data, stored '
        'with the network)',
    )
    group.add_argument(
        '--lesion-threshold',
        type=number(zero=False),
        metavar='X',
        help='lowest difference of a lesion voxel, in units of mean brain intensity; implies '
        f'--lesion-map-from difference (default: {DEFAULT_LESION_THRESHOLD:g}; for a network '
        'without probability, the one stored with it)',
    )
    group.add_argument(
        '--min-lesion-size',
        type=number(zero=True),
        default=DEFAULT_MIN_LESION_SIZE_MM3,
        metavar='MM3',
        help='smaller lesions are left out of the map (default: %(default)g mm3)',
    )
    group.add_argument(
        '--flip-averaging',
        action='store_true',
        help='average with the prediction of the left-right mirror image; doubles network time',
    )
    group.add_argument(
        '--models',
        type=existing_folder,
        metavar='DIR',
        help='networks to use (default: those shipped)',
    )
    group.add_argument(
        '--random-seed', type=integer(at_least=0), default=0, metavar='N', help='default: 0'
    )
    group.add_argument(
        '--fail-on-qc',
        action='store_true',
        help='a QC number out of limits makes a scan fail (default: warn)',
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Options that choose what is written."""
    group = parser.add_argument_group('outputs')
    group.add_argument(
        '--output-spaces',
        nargs='+',
        choices=OUTPUT_SPACES,
        default=list(OUTPUT_SPACES),
        help='grids of the output images (default: both)',
    )
    group.add_argument(
        '--uncompressed', action='store_true', help='write .nii (for SPM) instead of .nii.gz'
    )


def _add_resources(parser: argparse.ArgumentParser) -> None:
    """Options on the machine."""
    group = parser.add_argument_group('resources')
    one_up = integer(at_least=1)
    group.add_argument('--nprocs', type=one_up, metavar='N', help='CPUs (default: all available)')
    group.add_argument(
        '--omp-nthreads',
        type=one_up,
        metavar='N',
        help='threads of the network; other steps use one (default: at most 8)',
    )
    group.add_argument(
        '--mem',
        type=number(zero=False),
        metavar='GB',
        help='memory in GB (default: free memory, or the limit of the container or job)',
    )
    group.add_argument(
        '--device',
        choices=DEVICES,
        default='auto',
        help='device of the network; "gpu" fails without a GPU, "auto" uses one if there is one; '
        'a container needs access to the GPU (docker --gpus all, apptainer --nv)',
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Options on execution."""
    group = parser.add_argument_group('running')
    group.add_argument(
        '-w',
        '--work-dir',
        type=path,
        metavar='DIR',
        help='intermediate files, removed after success (default: work/ in the current folder)',
    )
    group.add_argument(
        '--keep-work-dir', action='store_true', help='keep intermediate files after success'
    )
    group.add_argument(
        '--use-plugin',
        type=existing_file,
        metavar='FILE',
        help='YAML file with a nipype plugin and its arguments',
    )
    group.add_argument(
        '--skip-existing',
        action='store_true',
        help='skip images whose derivatives are complete, from the same version, parameters and '
        'source',
    )
    group.add_argument(
        '--stop-on-first-crash',
        action='store_true',
        help='stop at the first failure (default: finish all other images)',
    )
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='list images and the files that would be written; write nothing',
    )
    group.add_argument(
        '--reports-only',
        action='store_true',
        help='make the reports again from the derivatives in the output folder; no processing',
    )
    group.add_argument(
        '--write-graph', action='store_true', help='draw the graph of the workflow into logs/'
    )


def hyphenated(argument: str) -> str:
    """Write the name of an option with hyphens; its value, after '=', as it is."""
    name, equals, value = argument.partition('=')
    return name.replace('_', '-') + equals + value if name.startswith('--') else argument
