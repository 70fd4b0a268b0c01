"""The program `bids_inpaint_view`: look at reports, with their volumes, in a browser."""

import argparse
import logging
import sys
import webbrowser
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from bids_inpaint.bids.dataset import DESCRIPTION, check_output_is_ours, source_folder
from bids_inpaint.bids.derivatives import find_processed
from bids_inpaint.bids.names import VIEWED_SOURCE
from bids_inpaint.cli.options import add_version_and_verbosity
from bids_inpaint.cli.process import configure_logging
from bids_inpaint.cli.serve import FolderServer
from bids_inpaint.errors import BidsInpaintError

LOGGER = logging.getLogger(__name__)

_BUNDLE = ('assets', 'vendor', 'niivue.umd.js')
_LARGEST_PORT = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Serve an output folder until interrupted.

    Returns
    -------
    status : int
        0 when interrupted; 2 if the folder is not an output folder, or the port is taken.

    """
    arguments = build_parser().parse_args(argv)
    configure_logging(arguments.verbosity)
    try:
        _check_folder(arguments.output_dir)
        _serve(arguments.output_dir, port=arguments.port, browser=arguments.browser)
    except (BidsInpaintError, OSError) as error:
        LOGGER.critical('%s', error)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='bids_inpaint_view',
        description='Show the reports of an output folder, with their volumes, in a browser on '
        'this machine. Read-only; other machines cannot connect. Only files of the folder, and '
        'the T1w images that it was made from, are served.',
        allow_abbrev=False,
    )
    parser.add_argument('output_dir', type=Path, help='output folder of bids_inpaint')
    parser.add_argument('--port', type=_port, default=0, help='default: any free port')
    parser.add_argument(
        '--browser',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='open a browser, if there is one (default: yes)',
    )
    add_version_and_verbosity(parser)
    return parser


def _port(text: str) -> int:
    """Convert to a port number."""
    if not text.isascii() or not text.isdigit() or int(text) > _LARGEST_PORT:
        msg = f'must be a number from 0 to {_LARGEST_PORT}, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _check_folder(folder: Path) -> None:
    """Refuse any other folder: a home folder must not be served by mistake."""
    if not (folder / DESCRIPTION).is_file():
        msg = f'must be an output folder of bids_inpaint: {folder} has no {DESCRIPTION}'
        raise BidsInpaintError(msg)
    check_output_is_ours(folder)


def source_images(folder: Path) -> dict[str, Path]:
    """Find the T1w images that an output folder was made from, by their paths in the viewer.

    No other file of the source dataset is served. Empty if the dataset has moved.
    """
    bids_dir = source_folder(folder)
    if bids_dir is None:
        return {}
    found = find_processed(folder, bids_dir)
    return {
        f'{VIEWED_SOURCE}/{one.scan.relative_path}': one.scan.t1w
        for one in found.processed
        if one.scan.t1w.is_file()
    }


def _serve(folder: Path, *, port: int, browser: bool) -> None:
    """Serve a folder, print its address, and open a browser."""
    with (
        as_file(files('bids_inpaint.reports').joinpath(*_BUNDLE)) as bundle,
        FolderServer(
            folder, {f'_viewer/{_BUNDLE[-1]}': bundle, **source_images(folder)}, port=port
        ) as server,
    ):
        sys.stdout.write(f'{server.address}\n')
        sys.stdout.flush()
        LOGGER.info('serving %s; stop with Ctrl-C', folder)
        if browser and not webbrowser.open(server.address):
            LOGGER.info('no browser found: open the address above')
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            LOGGER.info('stopped')
