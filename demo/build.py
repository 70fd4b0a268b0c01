"""Build the demo dataset: ``python demo/build.py [OUT] [--truth TRUTH] [--seed SEED]``."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from demo import dataset
from demo.head import make_head
from demo.participants import PARTICIPANTS
from demo.scan import scan_participant

SEED = 152
FOLDER = Path(__file__).resolve().parent


def replace(new: Path, old: Path) -> None:
    """Put a finished folder in its place; what is there must be an earlier build, or nothing.

    Raises
    ------
    FileExistsError
        If `old` is something else.

    """
    if old.exists():
        if not dataset.is_ours(old):
            msg = f'{old} exists and is no demo dataset; name another folder'
            raise FileExistsError(msg)
        shutil.rmtree(old)
    old.parent.mkdir(parents=True, exist_ok=True)
    new.chmod(0o755)  # temporary folders are private
    shutil.move(new, old)


def build(out: Path, truth: Path, seed: int = SEED) -> None:
    """Write the raw dataset and what is known of it.

    Parameters
    ----------
    out : Path
        Folder of the BIDS raw dataset.
    truth : Path
        Folder of the lesion-free images, lesion masks and lesion shares; outside of `out`, so
        that nothing which reads the dataset sees them.
    seed : int
        The same seed gives the same files.

    """
    head = make_head(seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix='.demo-') as work:
        new_out, new_truth = Path(work) / 'bids', Path(work) / 'truth'
        dataset.describe(new_out, new_truth, PARTICIPANTS, seed)
        for number, participant in enumerate(PARTICIPANTS):
            scan = scan_participant(participant, head, np.random.default_rng([seed, number]))
            dataset.write_scan(new_out, new_truth, participant, scan)
        replace(new_truth, truth)
        replace(new_out, out)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description='Build the demo dataset.')
    parser.add_argument('out', nargs='?', type=Path, default=FOLDER / 'bids', help='dataset')
    parser.add_argument('--truth', type=Path, default=FOLDER / 'truth', help='truth beside it')
    parser.add_argument('--seed', type=int, default=SEED)
    options = parser.parse_args(arguments)
    build(options.out, options.truth, options.seed)
    sys.stdout.write(f'demo dataset in {options.out}, truth in {options.truth}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
