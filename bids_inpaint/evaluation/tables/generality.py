"""Table g: single images unlike the training data.

One prediction per image. For other scanners, slices and made-up heads: how much is changed; for
patients with an expert mask also where. And how much is changed in healthy people, by age.
"""

from collections import defaultdict

import numpy as np
from scipy import ndimage

from bids_inpaint.bids.dataset import source_folder
from bids_inpaint.bids.group import read_participants
from bids_inpaint.evaluation.cases import Case, Setup, healthy_cases, single_images
from bids_inpaint.evaluation.lesions import patient_contrast
from bids_inpaint.evaluation.methods import Network, predict_case
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.image.metrics import dice
from bids_inpaint.image.thresholds import Applied
from bids_inpaint.training.thresholds import STRONG_CHANGE, Predicted

# Precision of borders drawn by experts.
_MARGIN_VOX = 2
_AGES = {'below 40': (0, 40), '40 to 49': (40, 50), '50 and more': (50, 150)}


def make(setup: Setup) -> list[Table]:
    """Measure images of `--unlike`, brains of label maps, and patients with masks."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    rows = []
    for dataset, case in single_images(setup):
        predicted = predict_case(network, case)
        applied = predicted.apply(network.card.thresholds)
        cpu_s = network.cpu_s(case.given, case.brain_mask)
        rows.append({'dataset': dataset, **measure(case, predicted, applied), 'cpu_s': cpu_s})
    return [
        Table(
            'g_generality',
            'g. Single images unlike the training data',
            rows,
            [
                'Thresholds were chosen on `other-scanners` and `label-maps`, among others, and '
                'with lesions simulated in `openms`; no real lesion chose them. Limits of QC '
                'were chosen on all images but made-up heads and label maps.',
                f'`strong_ml`: changed by more than {STRONG_CHANGE} of the mean of the brain. '
                '`probability_ml`: sum of the probability of lesion over the brain.',
                f'Patients with an expert mask: share of the contrast of lesions that is gone, '
                f'Dice of the lesion map, and change further than {_MARGIN_VOX} voxels from the '
                'mask.',
                '`cpu_s`: CPU time of the prediction.',
            ],
        ),
        Table(
            'g_by_age',
            'g. Healthy people who did not train, by age',
            by_age(setup, network),
            [
                'Validation and test participants of `--brains` whose age the participants.tsv of '
                'their dataset has. `changed_ml`, `strong_ml`: means, as above; `most_ml`: the '
                'largest `changed_ml`.',
            ],
        ),
    ]


def by_age(setup: Setup, network: Network) -> list[Row]:
    """Measure the change in healthy people, a row for each class of ages that has any."""
    ages = {
        f'{folder.resolve().name}/{name}': float(row['age'])
        for folder in setup.brains
        if (bids_dir := source_folder(folder))
        for name, row in read_participants(bids_dir).items()
        if row.get('age', '').replace('.', '', 1).isdigit()
    }
    measured = defaultdict(list)
    for side in ('validation', 'test'):
        for case in healthy_cases(setup, side):
            if case.participant not in ages:
                continue
            age = ages[case.participant]
            predicted = predict_case(network, case)
            row = measure(case, predicted, predicted.apply(network.card.thresholds))
            (name,) = (name for name, (least, end) in _AGES.items() if least <= age < end)
            measured[name].append(row)
    return [
        {
            'age': name,
            'people': len(rows),
            'changed_ml': mean_and_sd(row['changed_ml'] for row in rows)[0],
            'strong_ml': mean_and_sd(row['strong_ml'] for row in rows)[0],
            'most_ml': max(row['changed_ml'] for row in rows),
        }
        for name in _AGES
        if (rows := measured[name])
    ]


def measure(case: Case, predicted: Predicted, applied: Applied) -> Row:
    """Measure the changes of one image, in ml on the template grid."""
    changed = applied.weights > 0
    strong = np.abs(applied.inpainted - case.given) > STRONG_CHANGE
    probability = predicted.prediction.probability
    row: Row = {
        'name': case.name.rpartition('/')[2],
        'changed_ml': float(changed.sum()) / 1000,
        'strong_ml': float(strong.sum()) / 1000,
        'map_ml': float(applied.lesion_mask.sum()) / 1000,
    }
    if probability is not None:
        row['probability_ml'] = float(probability.sum(dtype=np.float64)) / 1000
    lesions = case.share > 0
    if not lesions.any():
        return row
    outside = ~ndimage.binary_dilation(lesions, iterations=_MARGIN_VOX)
    before = patient_contrast(case, case.given)
    return row | {
        'lesion_ml': float(lesions.sum()) / 1000,
        'contrast_gone': 1 - patient_contrast(case, applied.inpainted) / before,
        'dice': dice(lesions, applied.lesion_mask),
        'outside_ml': float((changed & outside).sum()) / 1000,
        'outside_strong_ml': float((strong & outside).sum()) / 1000,
    }
