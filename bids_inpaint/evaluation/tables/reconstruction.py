"""Table a: how well the non-blind network restores hidden lesions.

A prediction (about 15 s of CPU time) for each of the two volumes of a test participant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.cases import Case, Setup, healthy_cases
from bids_inpaint.evaluation.masking import draw_mask_to_psnr
from bids_inpaint.evaluation.methods import NO_NONBLIND, Network, has_network, resample_only
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.image.metrics import correlation, psnr, ssim
from bids_inpaint.image.template import load_template
from bids_inpaint.image.tissue import white_matter_of
from bids_inpaint.training.data import load_masks
from bids_inpaint.training.examples.simulate import conceal
from bids_inpaint.training.split import TEST_SEED

# Of Manjon et al. 2020: what the masked input has, and how far from it the mean may be.
_WANTED_DB = 34.2
_TOLERANCE_DB = 0.5
_PER_BRAIN = 2
_TITLE = 'a. Non-blind reconstruction of hidden lesions, healthy test participants'
_NAME = 'a_reconstruction'


def make(setup: Setup) -> list[Table]:
    """Hide unseen lesions of the test participants, fill them, and compare with the truth."""
    folder = setup.models / 'nonblind'
    if not has_network(folder):
        return [Table(_NAME, _TITLE, notes=[NO_NONBLIND.format(folder=folder)])]
    network = Network(folder, setup.memory, setup.threads)
    found: dict[str, list[Row]] = {}
    for case, mask in hidden_cases(setup):
        for method, volume in fill(network, case, mask).items():
            found.setdefault(method, []).append(figures(case.given, volume, mask))
    return [summary(found)]


def hidden_cases(setup: Setup) -> Iterator[tuple[Case, NDArray[np.bool_]]]:
    """Yield test participants with masks in their white matter, always the same ones."""
    masks = load_masks(setup.masks, 'test')
    template = load_template()
    for case in healthy_cases(setup):
        allowed = white_matter_of(
            case.given, case.brain_mask, template.grey_matter, template.white_matter
        )
        for number in range(_PER_BRAIN):
            rng = np.random.default_rng((TEST_SEED, *case.participant.encode(), number))
            yield case, draw_mask_to_psnr(case.given, allowed, masks, _WANTED_DB, rng)


def fill(network: Network, case: Case, mask: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Fill hidden lesions (X, Y, Z) by each method; the mean of white matter is the plainest."""
    hidden = conceal(case.given, mask)
    return {
        'nothing': hidden,
        'resampling': resample_only(replace(case, given=hidden)),
        'white matter': np.where(mask, np.float32(case.white_matter), case.given),
        'network': network.fill(case.given, mask, case.brain_mask),
    }


def figures(
    truth: NDArray[np.float32], volume: NDArray[np.float32], mask: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure one volume (X, Y, Z) against the truth."""
    return {
        'psnr_db': psnr(truth, volume),
        'psnr_max_db': psnr(truth, volume, peak='max'),
        'correlation': correlation(truth, volume),
        'psnr_inside_db': psnr(truth[mask], volume[mask]),
        'ssim_inside': ssim(truth, volume, mask),
        'mae_inside': float(np.abs(truth - volume)[mask].mean()),
    }


def summary(found: Mapping[str, list[Row]]) -> Table:
    """Means over volumes, and whether what was hidden is as much as wanted."""
    rows = []
    for method, values in found.items():
        row: dict[str, object] = {'method': method, 'volumes': len(values)}
        for name in values[0]:
            row[name], row[f'{name}_sd'] = mean_and_sd(value[name] for value in values)
        rows.append(row)
    before, _ = mean_and_sd(value['psnr_db'] for value in found['nothing'])
    after, _ = mean_and_sd(value['psnr_db'] for value in found['network'])
    kept = abs(before - _WANTED_DB) <= _TOLERANCE_DB
    notes = [
        f'The masked input has {before:.2f} dB in the mean, which is {"" if kept else "NOT "}'
        f'within {_TOLERANCE_DB} dB of the {_WANTED_DB} dB wanted; the network gains '
        f'{after - before:.2f} dB (Manjon et al. 2020: 34.21 to 48.13 dB, a gain of 13.9; '
        'correlation 0.9835 to 0.9997).',
        'Hidden voxels are -1. PSNR over the whole volume has the 99.9th percentile of the truth '
        'as its peak, `psnr_max_db` the maximum; inside, the percentile of the truth there.',
        'Errors are in units of the mean of the brain. `white matter` fills with the median of '
        'the white matter.',
    ]
    return Table(_NAME, _TITLE, rows, notes)
