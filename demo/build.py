"""Build the demo dataset: ``python demo/build.py [OUT] [--truth TRUTH] [--seed SEED]``."""

import argparse
import sys
import tempfile
from pathlib import Path

from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from demo import dataset
from demo.heads import files
from demo.heads.participants import WITH_LESIONS
from demo.heads.scan import SEED, scan_heads
from demo.people import LICENCES, PEOPLE, copy_person

FOLDER = Path(__file__).resolve().parent
MADE = dataset.Row('03', 'simulated')

README = """\
# bids_inpaint demo

sub-01 is a patient with multiple sclerosis, sub-02 is healthy, sub-03 is a synthetic head with
lesions and known truth (seed {seed}). The expert mask of sub-01 and the truth of sub-03 are in a
separate dataset, outside of this one.

{licences}
## sub-03

{notice}"""


def description(seed: int) -> dataset.Description:
    """Describe sources and licences of the images."""
    return dataset.Description(
        name=f'{dataset.NAME}: a patient, a healthy person and a synthetic head',
        licence=f'sub-01: CC BY 4.0; sub-02: PDDL 1.0; sub-03: {files.LICENCE}',
        authors=(
            'Lesjak et al. (sub-01)',
            'Foerde, Knowlton and Poldrack (sub-02)',
            'the bids_inpaint developers (sub-03)',
        ),
        acknowledge=(
            'Please cite Lesjak et al., Neuroinformatics 2018 (sub-01), Foerde, Knowlton and '
            f'Poldrack, PNAS 2006 (sub-02), {files.CITATION} (sub-03)'
        ),
        links=(
            'https://doi.org/10.1007/s12021-017-9348-7',
            'https://openneuro.org/datasets/ds000011',
            files.LINK,
        ),
        readme=README.format(seed=seed, licences=LICENCES.read_text(), notice=files.NOTICE),
    )


def build(out: Path, truth: Path, seed: int = SEED) -> None:
    """Write the raw dataset and its truth.

    Parameters
    ----------
    out : Path
        Folder of the BIDS raw dataset.
    truth : Path
        Folder of the expert mask and of the truth of the synthetic head; outside of `out`, so that
        no reader of the dataset finds them.
    seed : int
        Of the synthetic head. The same seed gives the same files, on any number of CPUs.

    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix='.demo-') as work:
        new_out, new_truth = Path(work) / 'bids', Path(work) / 'truth'
        rows = [*(person.row for person in PEOPLE), MADE]
        dataset.describe(new_out, new_truth, description(seed), rows, seed)
        for person in PEOPLE:
            copy_person(new_out, new_truth, person)
        with threadpool_limits(1):  # more threads sum in another order
            for participant, scan in scan_heads([WITH_LESIONS], seed):
                files.write_scan(new_out, new_truth, MADE.label, participant, scan)
        dataset.replace(new_truth, truth)
        dataset.replace(new_out, out)


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
