"""Table d: the lesion map against what experts drew, and against simulated lesions.

The predictions are those of table b, and one for each image of the validation set, on which the
threshold is chosen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.cases import (
    Case,
    Setup,
    healthy_cases,
    patient_cases,
    simulated_cases,
)
from bids_inpaint.evaluation.methods import Network, predict_case, resample_only
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.image.lesion_map import count_lesions, label_lesions
from bids_inpaint.image.metrics import dice
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.training.thresholds import LESION_SHARE, Predicted, lesion_dice

_LEAST_FOR_CORRELATION = 3
# Interpolation alone has no probability: its map is from the difference, as in the paper.
_RESAMPLING_THRESHOLD = 0.08


def make(setup: Setup) -> list[Table]:
    """Measure the maps that users get, and what other thresholds give on validation data."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    used = network.card.thresholds
    dice_by_source = {
        'simulated': _validation_dice(network, simulated_cases(setup, 'validation')),
        'patients': _validation_dice(network, patient_cases(setup, 'validation')),
    }
    rows = [
        row
        for group, cases in (
            ('simulated', simulated_cases(setup)),
            ('patients', patient_cases(setup, 'test')),
            ('patients, validation', patient_cases(setup, 'validation')),
            ('patients, training', patient_cases(setup, 'training')),
            ('healthy', healthy_cases(setup)),
        )
        for case in cases
        for row in _case_rows(network, group, case)
    ]
    return [
        Table(
            'd_threshold',
            'd. Lesion map: other thresholds on validation data',
            dice_by_threshold(dice_by_source),
            [
                'Mean Dice with simulated lesions of validation participants and with expert '
                'masks of validation patients, if there are any; both sources count alike.',
                f'Chosen was {used.lesion}: of those that map little in healthy people the best '
                'for simulated lesions (`docs/training.md`).',
            ],
        ),
        Table(
            'd_lesion_map',
            'd. Lesion map against true lesions',
            summarise(rows),
            [
                f'Threshold {used.lesion}, of the {used.lesion_from}. `nothing` is an empty map, '
                '`resampling` that of the image taken to native space and back, '
                f'where it differs by {_RESAMPLING_THRESHOLD} of the mean of the brain.',
                'F1 by lesion: harmonic mean of the share of true lesions that the map touches, '
                'and the share of its lesions that touch a true one.',
                f'Volume correlation (Pearson) needs {_LEAST_FOR_CORRELATION} images. On healthy '
                'brains all of the map is false.',
            ],
        ),
        Table(
            'd_lesion_map_patients',
            'd. Lesion map, patients one by one',
            [row for row in rows if str(row['images']).startswith('patients')],
        ),
    ]


def _validation_dice(network: Network, cases: Iterable[Case]) -> dict[float, list[float]]:
    predictions = [predict_case(network, case) for case in cases]
    if not predictions:
        return {}
    return lesion_dice(predictions, network.card.thresholds)


def dice_by_threshold(dice_by_source: Mapping[str, Mapping[float, Sequence[float]]]) -> list[Row]:
    """Average the Dice of each threshold over the images of each source, and over sources.

    Parameters
    ----------
    dice_by_source : mapping
        Of each source, threshold to the Dice of its images; a source without any is left out.

    """
    sources = {name: scores for name, scores in dice_by_source.items() if scores}
    rows: list[Row] = []
    for threshold in next(iter(sources.values()), {}):
        means = {name: mean_and_sd(scores[threshold])[0] for name, scores in sources.items()}
        row: dict[str, Any] = {'threshold': threshold}
        row |= {f'dice_{name}': value for name, value in means.items()}
        rows.append(row | {'dice': float(np.mean(list(means.values())))})
    return rows


def _case_rows(network: Network, group: str, case: Case) -> list[Row]:
    """Measure the maps of one case."""
    thresholds = network.card.thresholds
    resampled = Predicted(case.example, Prediction(resample_only(case)), case.brain_mask)
    by_difference = replace(thresholds, edge=0.0, core=0.0, lesion=_RESAMPLING_THRESHOLD)
    maps = {
        'nothing': np.zeros(case.given.shape, bool),
        'resampling': resampled.apply(by_difference).lesion_mask,
        'inpainted': predict_case(network, case).apply(thresholds).lesion_mask,
    }
    true = case.share > LESION_SHARE
    return [
        {'images': group, 'name': case.name, 'method': method, **compare_maps(true, found)}
        for method, found in maps.items()
    ]


def compare_maps(true: NDArray[np.bool_], found: NDArray[np.bool_]) -> dict[str, float]:
    """Compare a lesion map with true lesions, both (X, Y, Z) bool at 1 mm."""
    recall, precision = touched(true, found), touched(found, true)
    return {
        'dice': dice(true, found) if true.any() else float('nan'),
        'lesion_recall': recall,
        'lesion_precision': precision,
        'lesion_f1': f1(recall, precision),
        'true_ml': float(true.sum()) / 1000,
        'found_ml': float(found.sum()) / 1000,
        'false_ml': float((found & ~true).sum()) / 1000,
    }


def f1(recall: float, precision: float) -> float:
    """Harmonic mean; 0 if nothing was found, NaN if there is nothing to find."""
    if np.isnan(recall):
        return float('nan')
    if np.isnan(precision) or not recall + precision:
        return 0.0
    return 2 * recall * precision / (recall + precision)


def touched(lesions: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Share of connected lesions that have a voxel in `other`; NaN if there is no lesion."""
    number = count_lesions(lesions)
    if not number:
        return float('nan')
    labels, _ = label_lesions(lesions)
    return len(np.unique(labels[lesions & other])) / number


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Means over the images of each group and method, and the correlation of their volumes."""
    groups = dict.fromkeys((row['images'], row['method']) for row in rows)
    summary = []
    for group, method in groups:
        members = [r for r in rows if (r['images'], r['method']) == (group, method)]
        line: dict[str, Any] = {'images': group, 'method': method, 'volumes': len(members)}
        for name in ('dice', 'lesion_f1', 'lesion_recall', 'lesion_precision', 'false_ml'):
            values = [m[name] for m in members if not np.isnan(m[name])]
            line[name], line[f'{name}_sd'] = mean_and_sd(values)
        line['volume_correlation'] = volume_correlation(
            [m['true_ml'] for m in members], [m['found_ml'] for m in members]
        )
        summary.append(line)
    return summary


def volume_correlation(true_ml: Sequence[float], found_ml: Sequence[float]) -> float:
    """Pearson correlation of volumes; NaN of fewer than three images, or where all are alike."""
    if len(true_ml) < _LEAST_FOR_CORRELATION or not np.ptp(true_ml) or not np.ptp(found_ml):
        return float('nan')
    return float(np.corrcoef(true_ml, found_ml)[0, 1])
