"""The program `bids_inpaint_dataset`: a BIDS dataset with inpainted T1w images."""

import argparse
import logging
import sys
from collections.abc import Sequence

from bids_inpaint.bids.drop_in import make_drop_in
from bids_inpaint.cli.options import (
    add_participant_label,
    add_version_and_verbosity,
    existing_folder,
    path,
)
from bids_inpaint.cli.parser import hyphenated
from bids_inpaint.cli.process import configure_logging
from bids_inpaint.errors import BidsInpaintError

LOGGER = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the dataset.

    Returns
    -------
    status : int
        0 if it was made; 1 if a sidecar could not be read, and all else was made; 2 if it was not
        made, and nothing is left of it.

    """
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args([hyphenated(word) for word in words])
    configure_logging(arguments.verbosity)
    try:
        made = make_drop_in(
            arguments.bids_dir,
            arguments.output_dir,
            arguments.new_dir,
            participant_label=arguments.participant_label,
            copy=arguments.copy,
            allow_missing=arguments.allow_missing,
            with_problems=arguments.with_problems,
        )
    except BidsInpaintError as error:
        LOGGER.critical('%s', error)
        return 2
    for image, problems in made.problems.items():
        done = 'left out' if image in made.left_out else 'taken'
        LOGGER.warning('%s, with problems: %s: %s', done, image, problems)
    for image in made.left_out:
        if image not in made.problems:
            LOGGER.warning('left out, as it was not inpainted: %s', image)
    LOGGER.info('%d T1w images are inpainted in %s', made.replaced, arguments.new_dir)
    for reason in made.unread:
        LOGGER.error('%s', reason)
    return 1 if made.unread else 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint_dataset',
        description='Make a BIDS dataset in which every T1w image is the inpainted one, under the '
        'name of its source, for programs that take raw datasets. All other files are links to '
        'the source dataset, without derivatives/ and sourcedata/.',
        allow_abbrev=False,
    )
    parser.add_argument('bids_dir', type=existing_folder, help='BIDS dataset; read-only')
    parser.add_argument(
        'output_dir', type=existing_folder, help='output folder of bids_inpaint for it; read-only'
    )
    parser.add_argument('new_dir', type=path, help='new dataset; must not exist yet')
    add_participant_label(parser)
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy files (default: relative symbolic links into both other folders)',
    )
    parser.add_argument(
        '--allow-missing',
        action='store_true',
        help='leave out images that were not inpainted (default: error); contrast-enhanced '
        'images, which bids_inpaint skips by default, are always left out',
    )
    problems = parser.add_mutually_exclusive_group()
    problems.add_argument(
        '--allow-problems',
        dest='with_problems',
        action='store_const',
        const='take',
        default='refuse',
        help='keep images with QC problems (default: error that names them)',
    )
    problems.add_argument(
        '--leave-out-problems',
        dest='with_problems',
        action='store_const',
        const='leave out',
        help='leave out images with QC problems, and list them',
    )
    add_version_and_verbosity(parser)
    return parser
