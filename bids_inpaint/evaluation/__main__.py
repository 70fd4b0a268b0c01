"""Command line of evaluation: `python -m bids_inpaint.evaluation --brains DIR --masks DIR ...`.

Each table is printed, and written as TSV and Markdown. Slow results are cached in `--work`, so
that an interrupted command can be resumed.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from bids_inpaint.evaluation.report import write_table
from bids_inpaint.evaluation.tables import TABLES
from bids_inpaint.network.card import CARD_FILE, models_folder, read_card

if TYPE_CHECKING:
    from bids_inpaint.evaluation.cases import Setup

LOGGER = logging.getLogger(__name__)
_HASH_DIGITS = 8


def _tables(text: str) -> list[str]:
    """Letters of tables, separated by commas."""
    letters = [letter.strip() for letter in text.split(',')]
    unknown = [letter for letter in letters if letter not in TABLES]
    if unknown:
        msg = f'tables are {", ".join(TABLES)}, not {", ".join(unknown)}'
        raise argparse.ArgumentTypeError(msg)
    return letters


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m bids_inpaint.evaluation',
        description='Measure the networks on unseen data.',
    )
    parser.add_argument(
        '--brains',
        type=Path,
        nargs='+',
        required=True,
        help='derivatives of healthy T1w, each in a folder with the name of its dataset',
    )
    parser.add_argument('--masks', type=Path, required=True, help='expert masks in template space')
    parser.add_argument('--patients', type=Path, help="derivatives of patients' T1w")
    parser.add_argument(
        '--unlike',
        type=Path,
        nargs='+',
        default=[],
        help='derivatives of T1w unlike the training data, for table g',
    )
    parser.add_argument(
        '--label-maps', type=Path, help='label maps in template space, for table g'
    )
    parser.add_argument(
        '--models', type=Path, default=models_folder(), help='folder with blind and nonblind'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of tables and pictures')
    parser.add_argument(
        '--work',
        type=Path,
        default=Path('runs/evaluation'),
        help='folder of cached results (default: %(default)s)',
    )
    parser.add_argument(
        '--only', type=_tables, default=list(TABLES), metavar='a,b,...', help='tables to make'
    )
    parser.add_argument(
        '--most', type=int, help='number of brains and patients of each kind, for a quick check'
    )
    parser.add_argument('--threads', type=int, default=2, help='of the network (default: 2)')
    return parser.parse_args(argv)


def make_tables(setup: 'Setup', letters: Sequence[str]) -> None:
    """Make, print and write tables, each with the hashes of the networks."""
    measured = name_networks(setup.models)
    for letter in letters:
        LOGGER.info('table %s', letter)
        module = importlib.import_module(f'bids_inpaint.evaluation.tables.{TABLES[letter]}')
        for table in module.make(setup):
            noted = replace(table, notes=[*table.notes, measured])
            sys.stdout.write(write_table(noted, setup.out) + '\n')
            sys.stdout.flush()


def name_networks(models: Path) -> str:
    """Describe the networks of a folder by the start of their hashes."""
    found = [
        f'{folder.name} {read_card(folder).sha256[:_HASH_DIGITS]}'
        for folder in (models / 'blind', models / 'nonblind')
        if (folder / CARD_FILE).is_file()
    ]
    return f'Networks, by the SHA-256 of their weights: {", ".join(found)}.'


def main(argv: Sequence[str] | None = None) -> int:
    """Make the tables that the arguments ask for."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format='%(asctime)s %(message)s')
    arguments = _parse(argv)
    # With several threads of ITK two registrations of an image differ; it reads this when loaded.
    os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = '1'
    # After parsing, so that `--help` does not wait for the libraries.
    from bids_inpaint.evaluation.cases import Setup
    from bids_inpaint.evaluation.memory import Memory

    setup = Setup(
        brains=tuple(arguments.brains),
        masks=arguments.masks,
        patients=arguments.patients,
        unlike=tuple(arguments.unlike),
        label_maps=arguments.label_maps,
        models=arguments.models,
        out=arguments.out,
        memory=Memory(arguments.work),
        most=arguments.most,
        threads=arguments.threads,
    )
    # With several threads, small matrix products of examples would keep all cores waiting.
    with threadpool_limits(limits=1, user_api='blas'):
        make_tables(setup, arguments.only)
    return 0


if __name__ == '__main__':
    sys.exit(main())
