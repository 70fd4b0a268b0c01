"""Table b: the blind network on healthy brains, simulated lesions and patients.

A prediction (about 15 s of CPU time) for each image; measuring them takes less.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from bids_inpaint.evaluation.lesions import (
    DARKNESSES,
    LEAST_DARKNESS,
    SIZES_MM3,
    class_names,
    class_of,
    find_lesions,
    mean_brightness,
    mean_by_volume,
    mean_contrast,
)
from bids_inpaint.evaluation.methods import NO_NONBLIND, Network, all_methods, has_network
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.image.metrics import correlation, psnr
from bids_inpaint.training.thresholds import LESION_SHARE

# Changes beyond this, outside what experts drew, are reported for patients.
_CHANGE = 0.15
_VOLUMES = ('nothing', 'resampling', 'network', 'inpainted')
Volumes = Mapping[str, NDArray[np.float32]]


def make(setup: Setup) -> list[Table]:
    """Measure whole volumes, single simulated lesions, and patients one by one."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    whole: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for case in healthy_cases(setup):
        volumes, changed = all_methods(network, case)
        _add(whole, 'healthy', case.given, volumes)
        whole['healthy', 'inpainted'][-1] |= {'change_ml': changed.sum() / 1000}
    lesions: list[Row] = []
    for case in simulated_cases(setup):
        volumes, _ = all_methods(network, case)
        _add(whole, 'simulated', case.example.target, volumes)
        lesions += measure_lesions(case, volumes)
    patients, notes = _patients(setup, network, whole)
    return [
        Table(
            'b_whole_volume',
            'b. Blind inpainting, whole volumes',
            summarise_whole(whole),
            [
                'Against the image itself (healthy), the image before lesions were put in '
                '(simulated), the non-blind filling (patients). Manjon et al. 2020: 44.97 dB and '
                '0.9999 for healthy, 49.57 dB and 0.9998 for patients.',
                'PSNR has the 99.9th percentile of the reference as its peak, `psnr_max_db` its '
                'maximum. `network` is its own output, `inpainted` what users get: only changes '
                'above the thresholds of the card.',
                *notes,
            ],
        ),
        _lesion_table('b_lesions_by_size', 'size', 'per size', lesions),
        _lesion_table('b_lesions_by_darkness', 'darkness', 'per darkness', lesions),
        patients,
    ]


def _add(
    whole: dict[tuple[str, str], list[Any]],
    group: str,
    reference: NDArray[np.float32],
    volumes: Volumes,
) -> None:
    """Measure each volume of a case against its reference."""
    for method, volume in volumes.items():
        figures = {
            'psnr_db': psnr(reference, volume),
            'psnr_max_db': psnr(reference, volume, peak='max'),
            'correlation': correlation(reference, volume),
        }
        whole[group, method].append(figures)


def summarise_whole(whole: Mapping[tuple[str, str], Sequence[Row]]) -> list[Row]:
    """Mean and standard deviation over volumes, for each group and method."""
    rows = []
    for (group, method), values in whole.items():
        row: dict[str, Any] = {'images': group, 'method': method, 'volumes': len(values)}
        for name in values[0]:
            row[name], row[f'{name}_sd'] = mean_and_sd(value[name] for value in values)
        rows.append(row)
    return rows


def measure_lesions(case: Case, volumes: Volumes) -> list[Row]:
    """Error and contrast of each simulated lesion, by each method."""
    rows = []
    truth = case.example.target
    for lesion in find_lesions(case):
        row: dict[str, Any] = {
            'size': class_of(lesion.size_mm3, SIZES_MM3),
            'darkness': class_of(lesion.darkness, DARKNESSES),
            'size_mm3': lesion.size_mm3,
        }
        for method in _VOLUMES:
            row[f'error_{method}'] = lesion.error(truth, volumes[method])
            row[f'core_error_{method}'] = lesion.error(truth, volumes[method], core=True)
            row[f'contrast_{method}'] = lesion.contrast(volumes[method])
        rows.append(row)
    return rows


def pool_lesions(lesions: Iterable[Row], by: str) -> list[Row]:
    """Pool lesions of each class: errors are summed, contrasts averaged by volume.

    Parameters
    ----------
    lesions : iterable of mapping
        As `measure_lesions` makes them.
    by : {'size', 'darkness'}
        Which class. By size, only lesions at least 10 % darker than white matter count.

    Returns
    -------
    list of mapping
        For each class that has lesions (by size, also all that are no dots), their number, their
        share of the volume of lesions, and for each method the errors as shares of those of doing
        nothing, and the contrast.

    """
    names = class_names(SIZES_MM3, ' mm3') if by == 'size' else class_names(DARKNESSES)
    dark = class_of(LEAST_DARKNESS, DARKNESSES)
    counted = [row for row in lesions if by == 'darkness' or row['darkness'] >= dark]
    classes = [
        (name, [row for row in counted if row[by] == number]) for number, name in enumerate(names)
    ]
    if by == 'size':  # all but dots, which no network finds each of
        classes.append((f'>= {SIZES_MM3[0]:g} mm3', [row for row in counted if row[by] > 0]))
    return [{by: name, **_pool(members)} for name, members in classes if members]


def _pool(members: Sequence[Row]) -> Row:
    """Pool the lesions of one class."""
    row: dict[str, Any] = {'lesions': len(members)}
    row['volume_ml'] = sum(member['size_mm3'] for member in members) / 1000
    for name in ('error', 'core_error'):
        before = sum(member[f'{name}_nothing'] for member in members)
        for method in _VOLUMES:
            after = sum(member[f'{name}_{method}'] for member in members)
            row[f'{name}_{method}'] = after / before if before else float('nan')
    for method in _VOLUMES:
        row[f'contrast_{method}'] = mean_by_volume(members, f'contrast_{method}')
    return row


def _lesion_table(name: str, by: str, title: str, lesions: Sequence[Row]) -> Table:
    rows = pool_lesions(lesions, by)
    notes = [
        'Error: sum of absolute differences to the truth in lesions, over the same sum for doing '
        'nothing (0 perfect, 1 as good as doing nothing), pooled over the lesions of a row; '
        '`error` with their soft rims, in which little is to be seen, `core_error` without.',
        'Contrast: absolute difference of the mean of a lesion and of the white matter 2 to 5 mm '
        'around it, in units of the mean of the brain; mean weighted by volume.',
        f'Size: sum of the shares of lesion of all voxels. Core: voxels above {LESION_SHARE} '
        'lesion. Darkness: of the core, as a share of white matter.',
    ]
    if by == 'size':
        notes.append(
            f'Lesions less than {LEAST_DARKNESS:.0%} darker than white matter are not in.'
        )
    return Table(name, f'b. Blind inpainting, simulated lesions {title}', rows, notes)


def _patients(
    setup: Setup, network: Network, whole: dict[tuple[str, str], list[Any]]
) -> tuple[Table, list[str]]:
    """Patients one by one; and where there is a non-blind network, their whole volumes."""
    folder = setup.models / 'nonblind'
    reference = Network(folder, setup.memory, setup.threads) if has_network(folder) else None
    rows: list[Row] = []
    for case in patient_cases(setup):
        volumes, _ = all_methods(network, case)
        if reference is not None:
            filled = reference.fill(case.given, case.share > 0, case.brain_mask)
            _add(whole, 'patients', filled, volumes)
            volumes = volumes | {'non-blind': filled}
        rows += patient_rows(case, volumes)
    notes = [] if reference else [f'Patients: {NO_NONBLIND.format(folder=folder)}']
    if setup.patients is None:
        notes = ['Patients: left out, as no folder of patients was given.']
    table = Table(
        'b_patients',
        'b. Blind inpainting, patients one by one',
        rows,
        [
            'Lesions as experts drew them. `brightness`: mean of a lesion relative to the white '
            'matter 2 to 5 mm around it, weighted by volume. Contrast as for simulated lesions; '
            '`reduction` is the share of it that is gone.',
            f'`change_outside_ml`: voxels outside what was drawn that changed by more than '
            f'{_CHANGE} of the mean of the brain.',
            'Patients of the validation side have had a part in choosing thresholds; the network '
            'has learnt from those of the training side.',
            *notes[:1],
        ],
    )
    return table, notes


def patient_rows(case: Case, volumes: Volumes) -> list[Row]:
    """Lesions of one patient before and after, by each method."""
    lesions = list(find_lesions(case))
    mask = case.share > 0
    before = mean_contrast(lesions, case.given)
    rows = []
    for method, volume in volumes.items():
        contrast = mean_contrast(lesions, volume)
        rows.append(
            {
                'patient': case.name,
                'side': case.side,
                'lesions': len(lesions),
                'lesion_ml': float(mask.sum()) / 1000,
                'white_matter': case.white_matter,
                'method': method,
                'lesion_mean': float(volume[mask].mean()) if mask.any() else float('nan'),
                'brightness': mean_brightness(lesions, volume),
                'contrast': contrast,
                'reduction': 1 - contrast / before,
                'change_outside_ml': float(
                    (np.abs(volume - case.given) > _CHANGE)[~mask].sum() / 1000
                ),
            }
        )
    return rows
