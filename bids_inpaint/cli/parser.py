"""Options of the command line."""

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from bids_inpaint import __version__
from bids_inpaint.settings import (
    DEFAULT_MIN_LESION_SIZE_MM3,
    DEVICES,
    OUTPUT_SPACES,
)

_DESCRIPTION = (
    'Remove white-matter lesions from the T1-weighted MRI of a BIDS dataset. No lesion mask is '
    'needed, and voxels outside the lesions are kept as they are. Every option may be written '
    'with hyphens or underscores.'
)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; with wrong ones, print usage and the reason, and exit with status 2."""
    return build_parser().parse_args([_hyphenated(argument) for argument in argv])


def build_parser() -> argparse.ArgumentParser:
    """Make the parser; defaults that depend on the machine are None here."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint', description=_DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument('bids_dir', type=_path, help='BIDS dataset; it is never written to')
    parser.add_argument('output_dir', type=_path, help='derivative dataset; made if missing')
    parser.add_argument(
        'analysis_level',
        choices=('participant', 'group'),
        help='participant: process T1w images. group: gather the QC of all in one table',
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument(
        '-v', '--verbose', dest='verbosity', action='count', default=0, help='say more; repeatable'
    )
    _add_selection(parser)
    _add_processing(parser)
    _add_outputs(parser)
    _add_resources(parser)
    _add_running(parser)
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Options that choose images."""
    group = parser.add_argument_group('which images')
    group.add_argument(
        '--participant-label',
        nargs='+',
        type=_label('sub'),
        default=[],
        metavar='LABEL',
        help='participants, with or without "sub-" (default: all)',
    )
    group.add_argument(
        '--session-label',
        nargs='+',
        type=_label('ses'),
        default=[],
        metavar='LABEL',
        help='sessions, with or without "ses-" (default: all)',
    )
    group.add_argument(
        '--bids-filter-file',
        type=_existing_file,
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
        type=_path,
        metavar='DIR',
        help='folder for the index of the dataset: made once, and used again as it is',
    )


def _add_processing(parser: argparse.ArgumentParser) -> None:
    """Options that change results."""
    group = parser.add_argument_group('processing')
    group.add_argument(
        '--lesion-map',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write a mask of the lesions found (default: yes)',
    )
    group.add_argument(
        '--lesion-threshold',
        type=_number(zero=False),
        metavar='X',
        help="least change of a lesion voxel, in units of the brain's mean intensity "
        '(default: what validation data gave for the network)',
    )
    group.add_argument(
        '--min-lesion-size',
        type=_number(zero=True),
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
        type=_existing_folder,
        metavar='DIR',
        help='networks to use (default: those shipped)',
    )
    group.add_argument(
        '--random-seed', type=_integer(at_least=0), default=0, metavar='N', help='default: 0'
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
    one_up = _integer(at_least=1)
    group.add_argument(
        '--nprocs', type=one_up, metavar='N', help='CPUs (default: all that may be used)'
    )
    group.add_argument(
        '--omp-nthreads', type=one_up, metavar='N', help='threads of one step (default: at most 8)'
    )
    group.add_argument(
        '--mem',
        type=_number(zero=False),
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
        type=_path,
        metavar='DIR',
        help='intermediate files, removed after success (default: work/ in the current folder)',
    )
    group.add_argument(
        '--keep-work-dir', action='store_true', help='keep intermediate files after success'
    )
    group.add_argument(
        '--use-plugin',
        type=_existing_file,
        metavar='FILE',
        help='YAML file with a nipype plugin and its arguments',
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


def _hyphenated(argument: str) -> str:
    """Write the name of an option with hyphens; its value, after '=', as it is."""
    name, equals, value = argument.partition('=')
    return name.replace('_', '-') + equals + value if name.startswith('--') else argument


def _path(text: str) -> Path:
    """Convert to an absolute path, symbolic links followed."""
    return Path(text).expanduser().resolve()


def _existing_file(text: str) -> Path:
    """Convert to the path of a file that is there."""
    path = _path(text)
    if not path.is_file():
        msg = f'must be a file, but there is none at {path}'
        raise argparse.ArgumentTypeError(msg)
    return path


def _existing_folder(text: str) -> Path:
    """Convert to the path of a folder that is there."""
    path = _path(text)
    if not path.is_dir():
        msg = f'must be a folder, but there is none at {path}'
        raise argparse.ArgumentTypeError(msg)
    return path


def _label(prefix: str) -> Callable[[str], str]:
    """Make a converter to a label without its prefix."""

    def convert(text: str) -> str:
        label = text.removeprefix(f'{prefix}-')
        if not re.fullmatch('[a-zA-Z0-9+]+', label):
            msg = f'a label must be letters and digits, with or without "{prefix}-", is {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return label

    return convert


def _number(*, zero: bool) -> Callable[[str], float]:
    """Make a converter to a finite number above zero, or also zero."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value < math.inf) or (value == 0 and not zero):
            msg = f'must be a number {"of 0 or more" if zero else "above 0"}, is {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return value

    return convert


def _integer(*, at_least: int) -> Callable[[str], int]:
    """Make a converter to a whole number with a lower limit."""

    def convert(text: str) -> int:
        if not re.fullmatch('[0-9]+', text) or int(text) < at_least:
            msg = f'must be a whole number of {at_least} or more, is {text!r}'
            raise argparse.ArgumentTypeError(msg)
        return int(text)

    return convert
