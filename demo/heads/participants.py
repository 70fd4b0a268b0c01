"""A synthetic participant is a table of numbers; that of the demo."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from demo.heads.head import Look

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Disease:
    """White-matter lesions of a participant; without them, healthy."""

    diameters_mm: tuple[float, ...] = ()
    cap_mm: float = 0.0
    """Mean depth of lesions along the ventricles."""
    cap_darkening: float = 0.35


@dataclass(frozen=True)
class Participant:
    """Head, scan and file of one participant."""

    name: str
    # The head: turned, scaled and shifted against the template, and of its own shape.
    rotation_deg: Triple
    scale: Triple
    shift_mm: Triple
    ventricles: float
    look: Look
    # The scan.
    shape: tuple[int, int, int]
    zooms_mm: Triple
    axcodes: str
    white: float
    """Mean of white matter in the units of the scan."""
    noise: float
    """Standard deviation in each receiver channel, as a share of `white`."""
    bias: float
    # The file.
    dtype: type[np.integer[Any]]
    extension: str
    slope: float = 1.0
    intercept: float = 0.0
    oblique_deg: Triple = (0, 0, 0)
    slices_averaged: int = 1
    """Slices of the head that make one of the scan: thick slices blur."""
    codes: tuple[int, int] = (1, 1)
    """Of qform and sform."""
    disease: Disease = field(default_factory=Disease)


WITH_LESIONS = Participant(
    name='lesions',
    rotation_deg=(-13, 5, 6),
    scale=(0.90, 0.91, 0.89),
    shift_mm=(4, -9, 12),
    ventricles=0.28,
    look=Look(fluid=0.19, grey=0.64, fat=1.40),
    shape=(208, 192, 164),
    zooms_mm=(1.0, 1.0, 1.0),
    axcodes='PSR',
    white=620,
    noise=0.030,
    bias=0.25,
    dtype=np.int16,
    extension='.nii.gz',
    disease=Disease(
        (12, 10.5, 9, 8, 7.5, 7, 6.5, 6, 6, 5, 5, 5, 4.5, 4, 4, 4, 3.5, 3.5, 3, 3, 3), 2.6
    ),
)
"""11 ml of lesions, 18 ml with their rims: along the ventricles, 21 ovoids and dots."""
