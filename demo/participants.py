"""The three participants of the demo, each a table of numbers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from demo.head import Look

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

    label: str
    age: int
    sex: str
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


PARTICIPANTS = (
    Participant(
        label='01',
        age=44,
        sex='F',
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
    ),
    Participant(
        label='02',
        age=31,
        sex='M',
        rotation_deg=(11, -6, -10),
        scale=(0.92, 0.87, 0.91),
        shift_mm=(-6, 14, -20),
        ventricles=-0.25,
        look=Look(fluid=0.15, grey=0.60, fat=1.25, skull_mm=8.0, fat_mm=4.0),
        shape=(160, 196, 180),
        zooms_mm=(1.05, 1.05, 1.05),
        axcodes='LPS',
        white=290,
        noise=0.025,
        bias=0.30,
        dtype=np.uint8,
        extension='.nii.gz',
        slope=2.4,
        codes=(1, 0),
    ),
    Participant(
        label='03',
        age=58,
        sex='F',
        rotation_deg=(6, -4, 14),
        scale=(0.86, 0.90, 0.88),
        shift_mm=(2, 5, -4),
        ventricles=0.15,
        look=Look(fluid=0.23, grey=0.68, fat=1.55, fat_mm=6.0),
        shape=(184, 228, 104),
        zooms_mm=(0.9, 0.9, 1.8),
        axcodes='LAS',
        white=410,
        noise=0.022,
        bias=0.20,
        dtype=np.uint16,
        extension='.nii',
        slope=0.02,
        intercept=-20.0,
        oblique_deg=(16, -7, 5),
        slices_averaged=2,
        disease=Disease((9, 8, 7, 6, 5, 4.5)),
    ),
)
