"""Table c: effect of lesions on tissue segmentation, before and after inpainting.

About 42 s of CPU for each image with Atropos and 16 s with dipy, three images for each case and
one reference for each participant: some 60 minutes for the test set.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_inpaint.evaluation.cases import Case, Setup, patient_cases, simulated_cases
from bids_inpaint.evaluation.figure import Panel, draw_before_and_after
from bids_inpaint.evaluation.memory import Memory, code_digest, digest
from bids_inpaint.evaluation.methods import NO_NONBLIND, Network, all_methods, has_network
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.evaluation.segmenters import GREY, TISSUES, Segmenter, available
from bids_inpaint.image.metrics import dice
from bids_inpaint.training.thresholds import LESION_SHARE

FIGURE = 'c_grey_matter.png'
_METHODS = ('nothing', 'resampling', 'inpainted')
_LEAST_FOR_TEST = 6
_COLUMNS = (*TISSUES, 'average')


class Labels:
    """Segmentations by one program, each made once."""

    def __init__(self, name: str, segmenter: Segmenter, memory: Memory) -> None:
        self.name, self.segmenter, self.memory = name, segmenter, memory

    def of(self, t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Segment a volume (X, Y, Z)."""
        code = code_digest('evaluation/segmenters')
        key = digest(self.name, code, t1w, brain_mask)
        return self.memory.array(key, lambda: self.segmenter(t1w, brain_mask))


def make(setup: Setup) -> list[Table]:
    """Segment simulated cases and patients; draw the picture."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    folder = setup.models / 'nonblind'
    filler = Network(folder, setup.memory, setup.threads) if has_network(folder) else None
    segmenters, notes = available()
    programs = [Labels(name, run, setup.memory) for name, run in segmenters.items()]
    simulated = [
        row
        for case in simulated_cases(setup)
        for row in _case_rows(programs, network, case, case.truth)
    ]
    patients = []
    for case in patient_cases(setup):
        filled = None
        if filler is not None:
            filled = filler.fill(case.given, case.share > 0, case.brain_mask)
        patients += _case_rows(programs, network, case, filled)
    notes.append(_draw(setup, network, programs[0]))
    left_out = [] if filler else [f'Dice of patients: {NO_NONBLIND.format(folder=folder)}']
    return [
        Table(
            'c_segmentation',
            'c. Segmentation of simulated lesions',
            summarise(simulated),
            [
                'Dice with the segmentation of the same brain before lesions were put in; '
                '`average` is that of GM and WM. Manjon et al. 2020, SPM12, 43 patients against '
                'their non-blind filling: GM 0.9729 to 0.9845, WM 0.9707 to 0.9823, average '
                '0.9718 to 0.9834.',
                '`error_gone`: share of 1 - Dice (average, of means) that is gone. `p`: '
                f"Wilcoxon signed-rank test against `nothing`, of participants' means, from "
                f'{_LEAST_FOR_TEST} participants on.',
                '`lesion_gm`: share of the voxels of lesions that are called GM.',
                *notes,
            ],
        ),
        Table(
            'c_segmentation_patients',
            'c. Segmentation of patients, one by one',
            patients,
            ['Dice with the segmentation of the non-blind filling.', *left_out],
        ),
    ]


def _case_rows(
    programs: Sequence[Labels],
    network: Network,
    case: Case,
    reference: NDArray[np.float32] | None,
) -> list[Row]:
    """Segment a case by each program and method, and compare with the reference, if any."""
    volumes, _ = all_methods(network, case)
    mask = case.share > LESION_SHARE
    rows = []
    for program in programs:
        labels = {m: program.of(volumes[m], case.brain_mask) for m in _METHODS}
        wanted = None if reference is None else program.of(reference, case.brain_mask)
        if wanted is not None:
            labels['reference'] = wanted
        rows += [
            {
                'segmenter': program.name,
                'name': case.name,
                'participant': case.participant,
                'method': method,
                'lesion_gm': grey_share(found, mask),
                **tissue_dice(found, wanted),
            }
            for method, found in labels.items()
        ]
    return rows


def tissue_dice(found: NDArray[np.uint8], wanted: NDArray[np.uint8] | None) -> dict[str, float]:
    """Dice of each tissue, and the average of GM and WM; nothing without reference."""
    if wanted is None:
        return {}
    scores = {
        tissue: dice(wanted == label, found == label)
        for label, tissue in enumerate(TISSUES, start=1)
    }
    return scores | {'average': (scores['GM'] + scores['WM']) / 2}


def grey_share(labels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Share of the voxels of a mask that are labelled GM; NaN of an empty mask."""
    return float((labels[mask] == GREY).mean()) if mask.any() else float('nan')


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Mean and standard deviation of each program and method, and what is gained."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row['segmenter'], row['method']].append(row)
    summary = []
    for (segmenter, method), members in groups.items():
        line: Row = {'segmenter': segmenter, 'method': method, 'volumes': len(members)}
        for column in _COLUMNS:
            line[column], line[f'{column}_sd'] = mean_and_sd(m[column] for m in members)
        line['lesion_gm'], _ = mean_and_sd(m['lesion_gm'] for m in members)
        nothing = groups[segmenter, 'nothing']
        before, _ = mean_and_sd(m['average'] for m in nothing)
        if method not in {'nothing', 'reference'}:
            line['error_gone'] = (line['average'] - before) / (1 - before) if before < 1 else None
            line['p'] = wilcoxon(_by_participant(nothing), _by_participant(members))
        summary.append(line)
    return summary


def _by_participant(rows: Sequence[Row]) -> dict[str, float]:
    """Mean Dice of each participant: volumes of one brain are not independent."""
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[row['participant']].append(row['average'])
    return {participant: float(np.mean(found)) for participant, found in values.items()}


def wilcoxon(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test of pairs; None of fewer than six."""
    pairs = [(before[key], after[key]) for key in before]
    if len(pairs) < _LEAST_FOR_TEST or all(a == b for a, b in pairs):
        return None
    first, second = zip(*pairs, strict=True)
    return float(stats.wilcoxon(first, second).pvalue)


def _draw(setup: Setup, network: Network, program: Labels) -> str:
    """Draw GM before and after, of the test patient with the most lesions."""
    cases = list(patient_cases(setup, 'test')) or list(simulated_cases(setup))[:1]
    if not cases:
        return 'No picture: there is neither a patient nor a simulated case.'
    case = max(cases, key=lambda c: float(c.share.sum()))
    volumes, _ = all_methods(network, case)
    panels = [
        Panel(title, volumes[method], program.of(volumes[method], case.brain_mask) == GREY)
        for title, method in (('before', 'nothing'), ('after', 'inpainted'))
    ]
    draw_before_and_after(panels, case.share > LESION_SHARE, setup.out / FIGURE)
    return f'![GM before and after]({FIGURE}) {case.name}: T1w and GM ({program.name}).'
