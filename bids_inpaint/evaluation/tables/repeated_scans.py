"""Table h: repeated scans, and how well the tissue volumes of a person agree between them.

Two segmentations with Atropos per image, 42 s of CPU each, and one prediction.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.cases import Case, Setup, single_images
from bids_inpaint.evaluation.methods import Network, predict_case
from bids_inpaint.evaluation.report import Row, Table
from bids_inpaint.evaluation.segmenters import TISSUES, atropos
from bids_inpaint.evaluation.tables.segmentation import Labels


class Session(NamedTuple):
    """Tissue volumes of a scan, in ml, by tissue."""

    name: str
    before: Mapping[str, float]
    after: Mapping[str, float]


def make(setup: Setup) -> list[Table]:
    """Segment all sessions of people with several, before and after."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    program = Labels('Atropos', atropos, setup.memory)
    scans_of = Counter(case.participant for _, case in single_images(setup))
    measured: dict[str, list[Session]] = defaultdict(list)
    for _, case in single_images(setup):
        if scans_of[case.participant] == 1:
            continue
        after = predict_case(network, case).apply(network.card.thresholds).inpainted
        before, filled = (
            tissue_volumes(program.of(t1w, case.brain_mask), case) for t1w in (case.given, after)
        )
        session = Session(case.name.rpartition('/')[2], before, filled)
        measured[case.participant].append(session)
    return [
        Table(
            'h_repeated_scans',
            'h. Repeated scans: agreement of tissue volumes between sessions',
            [
                row
                for participant, scans in measured.items()
                for row in compare(participant, scans)
            ],
            [
                'Absolute difference between the volumes of two sessions (Atropos, in the T1w '
                'image), relative to their mean.',
                'Time passes between the sessions of a patient, so part of a difference may be '
                'real.',
            ],
        )
    ]


def tissue_volumes(labels: NDArray[np.uint8], case: Case) -> dict[str, float]:
    """Volume of each tissue in the space of the T1w, in ml."""
    voxel_ml = 1 / abs(np.linalg.det(case.anat2std_xfm[:3, :3])) / 1000
    return {
        tissue: float((labels == label).sum()) * voxel_ml
        for label, tissue in enumerate(TISSUES, start=1)
    }


def compare(participant: str, sessions: Sequence[Session]) -> list[Row]:
    """Compare the volumes of each pair of sessions."""
    return [
        {
            'participant': participant.rpartition('/')[2].removeprefix('sub-'),
            'sessions': f'{one.name}, {other.name}',
            **{
                f'{tissue}_{when}': relative_difference(first[tissue], second[tissue])
                for tissue in TISSUES
                for when, first, second in (
                    ('before', one.before, other.before),
                    ('after', one.after, other.after),
                )
            },
        }
        for one, other in combinations(sessions, 2)
    ]


def relative_difference(one: float, other: float) -> float:
    """Absolute difference, relative to the mean.

    Examples
    --------
    >>> relative_difference(90.0, 110.0)
    0.2

    """
    return abs(one - other) / ((one + other) / 2)
