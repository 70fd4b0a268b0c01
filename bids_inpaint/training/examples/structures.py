"""The structures that a brain is made of, and how bright each may be.

Labels are FreeSurfer's numbers, with those of the head around the brain from 500 on.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LABELS = 600
"""No label is as large."""
# Of the head around the brain, in grey matters: bone is dark, fat is bright.
_HEAD = (0.05, 2.0)


class Structure(NamedTuple):
    """Labels that are equally bright, and the range that their brightness is drawn from.

    A brightness of 0 is that of cortex, one of 1 that of white matter, -1 that of fluid.
    """

    name: str
    labels: tuple[int, ...]
    brightness: tuple[float, float]


STRUCTURES: Final = (
    Structure('fluid around the brain', (0, 24), (-1.0, -1.0)),
    Structure('ventricles', (4, 5, 14, 15, 43, 44, 72), (-1.05, -0.85)),
    Structure('choroid plexus', (31, 63, 136, 137, 163, 164), (-0.7, 0.2)),
    Structure('cortex', (3, 42), (0.0, 0.0)),
    # Of the older ones a few ml had been labelled as pale: here they are drawn as healthy.
    Structure('white matter', (2, 41, 25, 57, 77), (1.0, 1.0)),
    Structure('thalamus', (10, 49), (0.25, 0.85)),
    Structure('caudate', (11, 50), (-0.05, 0.45)),
    Structure('putamen', (12, 51), (0.0, 0.6)),
    Structure('pallidum', (13, 52), (0.35, 0.95)),
    Structure('hippocampus and amygdala', (17, 18, 53, 54), (-0.1, 0.3)),
    Structure('accumbens', (26, 58), (-0.1, 0.3)),
    Structure('ventral diencephalon', (28, 60), (0.3, 0.9)),
    Structure('brainstem', (16,), (0.45, 1.0)),
    Structure('white matter of the cerebellum', (7, 46), (0.7, 1.05)),
    Structure('cortex of the cerebellum', (8, 47), (-0.2, 0.25)),
    Structure('vessels', (30, 62), (-0.9, 0.0)),
    Structure('optic chiasm', (85,), (0.2, 0.9)),
)
_HEAD_LABELS = (502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)
OUTSIDE: Final = len(STRUCTURES)
"""First class of the head around the brain; one for each of its labels."""
CLASSES: Final = OUTSIDE + len(_HEAD_LABELS)
FLUID, VENTRICLES, CORTEX, WHITE_MATTER, CEREBELLAR_WHITE = (
    [s.name for s in STRUCTURES].index(name)
    for name in (
        'fluid around the brain',
        'ventricles',
        'cortex',
        'white matter',
        'white matter of the cerebellum',
    )
)


@cache
def class_table() -> NDArray[np.uint8]:
    """Class of each label: its number in `STRUCTURES`; unknown labels are fluid."""
    table = np.full(LABELS, FLUID, np.uint8)
    for number, structure in enumerate(STRUCTURES):
        table[list(structure.labels)] = number
    for number, label in enumerate(_HEAD_LABELS, start=OUTSIDE):
        table[label] = number
    return table


def draw_brightness(rng: np.random.Generator, white: float, fluid: float) -> NDArray[np.float32]:
    """Draw how bright each class is, in grey matters.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws within the range of each structure.
    white, fluid : float
        Of white matter and fluid, in grey matters.

    Returns
    -------
    (CLASSES,) float32

    """
    scale = np.array([rng.uniform(*structure.brightness) for structure in STRUCTURES])
    brain = 1 + np.where(scale >= 0, scale * (white - 1), scale * (1 - fluid))
    head = rng.uniform(*_HEAD, len(_HEAD_LABELS))
    return np.asarray(np.concatenate([brain, head]), dtype=np.float32)


def typical_brightness() -> NDArray[np.float32]:
    """How bright each class is in most scans: the middle of its range; (CLASSES,) float32."""
    middle = np.array([np.mean(structure.brightness) for structure in STRUCTURES])
    brain = 1 + np.where(middle >= 0, 0.4 * middle, 0.6 * middle)
    return np.asarray(np.concatenate([brain, np.ones(len(_HEAD_LABELS))]), dtype=np.float32)
