"""Say where the outputs are and what was changed: ``python demo/summary.py OUT``."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.metrics import lesion_error

FOLDER = Path(__file__).resolve().parent
PRODUCT = '*_desc-inpainted_T1w.nii*'
QC = '_desc-inpaint_qc.json'


class Change(NamedTuple):
    """What the app changed in one scan, against the truth."""

    lesion_ml: float
    """Volume of the true lesions, soft rims too."""
    lesion_error: float
    """1 is doing nothing, 0 is the lesion-free image; NaN where there is no lesion."""
    unchanged_outside: float
    """Share of the voxels outside lesions that are as they were."""
    changed_outside_ml: float


def measure(
    inpainted: NDArray[np.float64],
    lesioned: NDArray[np.float64],
    truth: NDArray[np.float64],
    lesion_mask: NDArray[np.bool_],
    voxel_ml: float,
) -> Change:
    """Compare an inpainted image with the scan and with the truth; (X, Y, Z) each."""
    same = (inpainted == lesioned)[~lesion_mask]
    has_lesions = bool((lesioned != truth)[lesion_mask].any())
    return Change(
        float(lesion_mask.sum() * voxel_ml),
        lesion_error(truth, inpainted, lesioned, lesion_mask) if has_lesions else float('nan'),
        float(same.mean()),
        float((~same).sum() * voxel_ml),
    )


def load(path: Path) -> NDArray[np.float64]:
    """Voxels of a NIfTI file, scaled."""
    img = nb.Nifti1Image.from_filename(path)
    return np.asarray(img.dataobj, np.float64)


def find_one(folder: Path, pattern: str) -> Path:
    """Only file of a folder that matches a pattern.

    Raises
    ------
    FileNotFoundError
        If there is none, or more than one.

    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        msg = f'{folder} holds {len(found)} files {pattern}, not one; was the demo built?'
        raise FileNotFoundError(msg)
    return found[0]


def measure_participant(product: Path, bids: Path, truth: Path) -> Change:
    """Compare the product of one participant of the demo with scan and truth."""
    sub = product.name.split('_')[0]
    scan = find_one(bids / sub / 'anat', f'{sub}_T1w.nii*')
    known = truth / sub / 'anat'
    zooms = nb.Nifti1Image.from_filename(scan).header.get_zooms()
    return measure(
        load(product),
        load(scan),
        load(find_one(known, f'{sub}_desc-lesionfree_T1w.nii*')),
        load(find_one(known, f'{sub}_label-lesion_mask.nii*')) > 0,
        float(np.prod(zooms)) / 1000,
    )


def flat(qc: dict[str, Any], prefix: str = '') -> Iterator[tuple[str, str]]:
    """Names and values of a QC file, numbers to four digits, for printing."""
    for name, value in qc.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        elif isinstance(value, float):
            yield f'{prefix}{name}', f'{value:.4g}'
        else:
            yield f'{prefix}{name}', str(value)


def lines(product: Path, change: Change) -> Iterator[str]:
    """Tell what was written and changed for one participant."""
    yield f'{product.name.split("_")[0]}'
    stem = product.name.split('_desc-')[0]
    yield from (f'  {path}' for path in sorted(product.parent.glob(f'{stem}*.nii*')))
    qc_file = product.with_name(f'{stem}{QC}')
    if qc_file.exists():
        rows = list(flat(json.loads(qc_file.read_text())))
        width = max((len(name) for name, _ in rows), default=0)
        yield from (f'    {name:<{width}}  {value}' for name, value in rows)
    else:
        yield f'    no {qc_file.name}'
    yield f'  true lesions with their rims: {change.lesion_ml:.2f} ml'
    if np.isfinite(change.lesion_error):
        yield f'  lesion error: {change.lesion_error:.3f} (1: nothing done; 0: the truth)'
    unchanged = 100 * change.unchanged_outside
    yield f'  unchanged outside: {unchanged:.3f} % ({change.changed_outside_ml:.2f} ml changed)'


def summarise(out: Path, bids: Path, truth: Path) -> str:
    """Text about all participants of the demo in an output folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no inpainted image.

    """
    products = sorted(p for p in out.glob(f'sub-*/anat/{PRODUCT}') if '_space-' not in p.name)
    if not products:
        msg = f'{out} holds no sub-*/anat/{PRODUCT}; did the app run?'
        raise FileNotFoundError(msg)
    text = [f'Outputs in {out}']
    text += [f'  {page}' for page in sorted(out.glob('*.html'))]
    for product in products:
        text += lines(product, measure_participant(product, bids, truth))
    return '\n'.join(text) + '\n'


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description='Say what the app changed in the demo dataset.')
    parser.add_argument('out', nargs='?', type=Path, default=FOLDER / 'derivatives')
    parser.add_argument('--bids', type=Path, default=FOLDER / 'bids', help='demo dataset')
    parser.add_argument('--truth', type=Path, default=FOLDER / 'truth', help='truth beside it')
    options = parser.parse_args(arguments)
    sys.stdout.write(summarise(options.out, options.bids, options.truth))
    return 0


if __name__ == '__main__':
    sys.exit(main())
