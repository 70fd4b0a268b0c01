"""Print what was changed in the demo: ``python demo/summary.py OUT``."""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from demo.dataset import read_groups
from demo.measure import EXPERT_MARGIN_VOX, STRONG_CHANGE, Change, measure_participant

FOLDER = Path(__file__).resolve().parent
PRODUCT = '_desc-inpainted_T1w.nii'
QC = '_desc-inpaint_qc.json'
WIDTH = 80  # of a terminal

Changes = Mapping[tuple[str, str], Change]
"""By participant (`sub-<label>`) and group."""

STRONG = f'by more than {STRONG_CHANGE:g} of mean brain intensity'


def gone(change: Change) -> float | None:
    """Per cent of the contrast of lesions that is gone."""
    if change.contrast is None:
        return None
    before, after = change.contrast
    return 100 * (1 - after / before)


ROWS: tuple[tuple[str, Callable[[Change], float | None], str], ...] = (
    ('known lesions, ml', lambda change: change.lesion_ml, '.1f'),
    ('changed, ml', lambda change: change.changed_ml, '.1f'),
    (f'  {STRONG}', lambda change: change.strong_ml, '.1f'),
    ('changed outside lesions, ml', lambda change: change.outside_ml, '.1f'),
    (f'  {STRONG}', lambda change: change.outside_strong_ml, '.1f'),
    ('contrast of lesions before', lambda change: change.contrast and change.contrast[0], '.1f'),
    ('contrast of lesions after', lambda change: change.contrast and change.contrast[1], '.1f'),
    ('contrast gone, %', gone, '.0f'),
    ('error left in lesions', lambda change: change.error_left, '.2f'),
)


def table(changes: Changes) -> Iterator[str]:
    """Lines of a table with a column for each participant; `-` is unknown."""
    width = max(len(name) for name, _, _ in ROWS)
    yield ' '.join([f'{"":<{width}}', *(f'{sub:>9}' for sub, _ in changes)])
    yield ' '.join([f'{"":<{width}}', *(f'{group:>9}' for _, group in changes)])
    for name, value_of, digits in ROWS:
        values = [value_of(change) for change in changes.values()]
        cells = [f'{"-" if v is None else format(v, digits):>9}' for v in values]
        yield ' '.join([f'{name:<{width}}', *cells])


def sentences(sub: str, group: str, change: Change) -> str:
    """Describe what was changed in a participant."""
    strong = f'{change.outside_strong_ml:.1f} ml of it {STRONG}'
    outside = f'{change.outside_ml:.1f} ml were changed, {strong}.'
    if group == 'patient':
        return (
            f'{sub}, a patient with multiple sclerosis: {gone(change):.0f} % of the contrast '
            f'between the expert-drawn lesions and the surrounding white matter is gone. More '
            f'than {EXPERT_MARGIN_VOX} voxels away from these lesions, {outside}'
        )
    if group == 'healthy':
        return f'{sub}, healthy, where nothing should change: {outside}'
    return (
        f'{sub}, a synthetic head with known truth: {change.error_left:.2f} of the error in the '
        f'lesions is left (1: doing nothing; 0: the truth). Outside the lesions, {outside}'
    )


def problems(product: Path) -> str:
    """Read the problems of the QC numbers of a scan; `none` if there are none."""
    qc_file = product.with_name(product.name.split('_desc-')[0] + QC)
    if not qc_file.exists():
        return f'no {qc_file.name}'
    return str(json.loads(qc_file.read_text())['problems'])


def summarise(out: Path, bids: Path, truth: Path) -> str:
    """Text about all participants of the demo in an output folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no inpainted image.

    """
    groups = read_groups(bids)
    products = {
        sub: product for sub in groups for product in out.glob(f'{sub}/anat/{sub}{PRODUCT}*')
    }
    if not products:
        msg = f'{out} has no sub-*/anat/sub-*{PRODUCT}*; did the app run?'
        raise FileNotFoundError(msg)
    changes = {
        (sub, groups[sub]): measure_participant(product, bids, truth, groups[sub])
        for sub, product in products.items()
    }
    lines = [*table(changes), '']
    for (sub, group), change in changes.items():
        lines += textwrap.wrap(sentences(sub, group, change), WIDTH)
        lines += [f'  QC problems: {problems(products[sub])}']
        lines += [f'  {products[sub]}', f'  {out / sub}.html', '']
    return '\n'.join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description='Print what the app changed in the demo dataset.')
    parser.add_argument('out', nargs='?', type=Path, default=FOLDER / 'derivatives')
    parser.add_argument('--bids', type=Path, default=FOLDER / 'bids', help='demo dataset')
    parser.add_argument('--truth', type=Path, default=FOLDER / 'truth', help='truth beside it')
    options = parser.parse_args(arguments)
    sys.stdout.write(summarise(options.out, options.bids, options.truth))
    return 0


if __name__ == '__main__':
    sys.exit(main())
