"""The program `bids_inpaint_dataset`: a BIDS dataset with the inpainted images in their place."""

import argparse
import logging
import sys
from collections.abc import Sequence

from bids_inpaint.bids.drop_in import make_drop_in
from bids_inpaint.cli.common import add_participant_label, add_version_and_verbosity
from bids_inpaint.cli.converters import existing_folder, path
from bids_inpaint.cli.environment import configure_logging
from bids_inpaint.cli.parser import hyphenated
from bids_inpaint.errors import BidsInpaintError

LOGGER = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the dataset.

    Returns
    -------
    status : int
        0 if it was made; 2 if not, and then nothing is there.

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
        )
    except BidsInpaintError as error:
        LOGGER.critical('%s', error)
        return 2
    for image in made.left_out:
        LOGGER.warning('left out, as it was not inpainted: %s', image)
    LOGGER.info('%d T1w images are inpainted in %s', made.replaced, arguments.new_dir)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint_dataset',
        description='Make a BIDS dataset in which every T1w image is the inpainted one, under the '
        'name of its source, for programs that take raw datasets. All other files are links to '
        'the source dataset; its derivatives/ and sourcedata/ are not in it. T1w images that were '
        'not inpainted are left out.',
        allow_abbrev=False,
    )
    parser.add_argument('bids_dir', type=existing_folder, help='BIDS dataset; only read')
    parser.add_argument(
        'output_dir', type=existing_folder, help='output folder of bids_inpaint for it; only read'
    )
    parser.add_argument('new_dir', type=path, help='the new dataset; must not be there yet')
    add_participant_label(parser)
    parser.add_argument(
        '--copy',
        action='store_true',
        help='copy files (default: relative symbolic links, which need both other folders)',
    )
    parser.add_argument(
        '--allow-missing',
        action='store_true',
        help='leave out what was not inpainted (default: that is an error); contrast-enhanced '
        'images, which bids_inpaint does not take by itself, are always left out',
    )
    add_version_and_verbosity(parser)
    return parser
