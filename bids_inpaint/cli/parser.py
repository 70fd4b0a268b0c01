"""Options of the command line."""

import argparse
from collections.abc import Sequence

from bids_inpaint.cli.common import add_participant_label, add_version_and_verbosity
from bids_inpaint.cli.converters import (
    existing_file,
    existing_folder,
    integer,
    label,
    number,
    path,
)
from bids_inpaint.settings import (
    DEFAULT_MIN_LESION_SIZE_MM3,
    DEVICES,
    LESION_MASK_MODES,
    OUTPUT_SPACES,
)

_DESCRIPTION = (
    'Remove white-matter lesions from the T1-weighted MRI of a BIDS dataset. No lesion mask is '
    'needed, but one is used if it is there; voxels outside the lesions are kept as they are. '
    'Every option may be written with hyphens or underscores.'
)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; with wrong ones, print usage and the reason, and exit with status 2."""
    return build_parser().parse_args([hyphenated(argument) for argument in argv])


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; defaults that depend on the machine are None here."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint', description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument('bids_dir', type=path, help='BIDS dataset; it is never written to')
    parser.add_argument('output_dir', type=path, help='derivative dataset; made if missing')
    parser.add_argument(
        'analysis_level',
        choices=('participant', 'group'),
        help='participant: process T1w images. group: gather the QC of all in one table',
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
        help='go on without a valid dataset_description.json; only that file is checked',
    )
    group.add_argument(
        '--bids-database-dir',
        type=path,
        metavar='DIR',
        help='folder for the index of the dataset: made once, and used again as it is',
    )


def _add_masks(parser: argparse.ArgumentParser) -> None:
    """Options on lesion masks that are there."""
    group = parser.add_argument_group('lesion masks')
    group.add_argument(
        '--lesion-mask',
        choices=LESION_MASK_MODES,
        default='auto',
        help='auto: fill the lesion mask of an image and nothing else, if there is one: '
        '<image>_label-lesion_mask in --derivatives, or <image>_label-lesion_roi beside the '
        'image; required: an image without is an error; off: use none (default: auto)',
    )
    group.add_argument(
        '--derivatives',
        nargs='+',
        type=existing_folder,
        default=[],
        metavar='DIR',
        help='datasets with lesion masks on the grids of the T1w images; the first counts first',
    )
    group.add_argument(
        '--dilate-mask',
        type=integer(at_least=0),
        default=0,
        metavar='VOXELS',
        help='fill this much around a lesion mask, too (default: %(default)s)',
    )


def _add_processing(parser: argparse.ArgumentParser) -> None:
    """Options that change results."""
    group = parser.add_argument_group('processing')
    group.add_argument(
        '--lesion-map',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write a mask of the lesions found, or, of an image that has a lesion mask, of what '
        'was filled of it, without --dilate-mask (default: yes)',
    )
    group.add_argument(
        '--lesion-threshold',
        type=number(zero=False),
        metavar='X',
        help="least change of a lesion voxel, in units of the brain's mean intensity "
        '(default: what validation data gave for the network)',
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
        help='average with the left-right mirror image: twice the time of the network',
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
        help='QC numbers out of their limits make a scan fail (default: warn)',
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Options that choose what is written."""
    group = parser.add_argument_group('outputs')
    group.add_argument(
        '--output-spaces',
        nargs='+',
        choices=OUTPUT_SPACES,
        default=list(OUTPUT_SPACES),
        help='grids of the images written (default: both)',
    )
    group.add_argument(
        '--uncompressed', action='store_true', help='write .nii, which SPM reads, not .nii.gz'
    )


def _add_resources(parser: argparse.ArgumentParser) -> None:
    """Options on the machine."""
    group = parser.add_argument_group('resources')
    one_up = integer(at_least=1)
    group.add_argument(
        '--nprocs', type=one_up, metavar='N', help='CPUs (default: all that may be used)'
    )
    group.add_argument(
        '--omp-nthreads',
        type=one_up,
        metavar='N',
        help='threads of the network; other steps take one (default: at most 8)',
    )
    group.add_argument(
        '--mem',
        type=number(zero=False),
        metavar='GB',
        help='memory in GB (default: what is free, or the limit of the container or job)',
    )
    group.add_argument(
        '--device',
        choices=DEVICES,
        default='auto',
        help='for the network; "gpu" is an error where there is none, "auto" says which it took; '
        'a container must be given the GPU (docker --gpus all, apptainer --nv)',
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Options on how the run goes."""
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
        help='leave alone images whose derivatives are all there, made by the same version, with '
        'the same parameters, from the same source',
    )
    group.add_argument(
        '--stop-on-first-crash',
        action='store_true',
        help='end at the first failure (default: finish all other images)',
    )
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='list images and what would be written; write nothing',
    )
    group.add_argument(
        '--reports-only',
        action='store_true',
        help='make the reports anew from the derivatives in the output folder; process nothing',
    )
    group.add_argument(
        '--write-graph', action='store_true', help='draw the graph of the workflow into logs/'
    )


def hyphenated(argument: str) -> str:
    """Write the name of an option with hyphens; its value, after '=', as it is."""
    name, equals, value = argument.partition('=')
    return name.replace('_', '-') + equals + value if name.startswith('--') else argument
