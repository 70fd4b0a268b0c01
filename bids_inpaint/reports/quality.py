"""QC numbers beside their limits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bids_inpaint.image.quality import (
    MAX_CHANGE_MM3,
    MAX_CORRELATION_DROP,
    MAX_VENTRICLE_CHANGE,
    MIN_OUTSIDE_CORRELATION,
)
from bids_inpaint.image.register import DETERMINANT_LIMITS, LEAST_COVERAGE, LEAST_SIMILARITY

NO_PROBLEM = 'none'


class Measure(NamedTuple):
    """One number with its limits; None is no limit.

    `scale` turns the number of the QC file into what is shown in `unit`. An `optional` one that
    was not measured is left out; any other with limits has failed.
    """

    name: str
    title: str
    low: float | None = None
    high: float | None = None
    unit: str = ''
    scale: float = 1.0
    optional: bool = False


MEASURES = (
    Measure('registration_similarity', 'similarity to the template', low=LEAST_SIMILARITY),
    Measure('affine_determinant', 'scaling of volume to the template', *DETERMINANT_LIMITS),
    Measure('brain_coverage', 'part of the brain in the field of view', low=LEAST_COVERAGE),
    Measure(
        'outside_correlation',
        'correlation with the source outside the change',
        low=MIN_OUTSIDE_CORRELATION,
    ),
    Measure(
        'correlation_drop',
        'drop of correlation beyond resampling',
        high=MAX_CORRELATION_DROP,
    ),
    Measure(
        'change_volume_mm3', 'volume changed', high=MAX_CHANGE_MM3 / 1e3, unit='ml', scale=1e-3
    ),
    Measure(
        'ventricle_change',
        'fluid of the ventricles taken for lesion, of the mean of the brain',
        high=MAX_VENTRICLE_CHANGE,
        optional=True,
    ),
    Measure('lesion_count', 'lesions'),
    Measure('lesion_volume_mm3', 'volume of lesions', unit='ml', scale=1e-3),
    Measure('brain_volume_std_ml', 'volume of the brain on the template', unit='ml'),
    Measure('brain_mean', 'mean of the brain, units of the source'),
    Measure('seconds', 'time of all steps', unit='s'),
    Measure('peak_memory_mb', 'most memory of a step', unit='MB'),
)


class Row(NamedTuple):
    """A line of the table: all text, and whether the number is within its limits.

    `passed` is None where there is no limit.
    """

    title: str
    value: str
    limits: str
    passed: bool | None


def derived(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a QC file, and those that follow from them."""
    outside, control = numbers.get('outside_correlation'), numbers.get('control_correlation')
    drop = None if outside is None or control is None else control - outside
    return {**numbers, 'correlation_drop': drop}


def quality_rows(numbers: Mapping[str, Any]) -> list[Row]:
    """Lay out the numbers of a QC file; those that a scan has not are left out, unless limited.

    Examples
    --------
    >>> quality_rows({'brain_coverage': 0.5})[2]
    Row(title='part of the brain in the field of view', value='0.5', limits='at least 0.8', \
passed=False)

    """
    found = derived(numbers)
    return [
        _row(measure, found.get(measure.name))
        for measure in MEASURES
        if found.get(measure.name) is not None or (_limits(measure) and not measure.optional)
    ]


def sentences(numbers: Mapping[str, Any]) -> Sequence[str]:
    """Say what is wrong with a scan, a sentence each; empty if nothing is."""
    text = str(numbers.get('problems') or NO_PROBLEM)
    parts = [] if text == NO_PROBLEM else [part.strip() for part in text.split(';')]
    return [part[0].upper() + part[1:].rstrip('.') + '.' for part in parts if part]


def _row(measure: Measure, number: float | None) -> Row:
    """Lay out one number."""
    limits = _limits(measure)
    if number is None:
        return Row(measure.title, 'not measured', limits, passed=False)
    value = number * measure.scale
    low = measure.low if measure.low is not None else value
    high = measure.high if measure.high is not None else value
    text = f'{value:,.4g}' if abs(value) < 1e4 else f'{value:,.0f}'
    passed = bool(low <= value <= high) if limits else None
    return Row(measure.title, f'{text} {measure.unit}'.strip(), limits, passed)


def _limits(measure: Measure) -> str:
    """Say what the limits of a number are; empty if there are none."""
    low, high = measure.low, measure.high
    if low is not None and high is not None:
        return f'{low:g} to {high:g} {measure.unit}'.strip()
    if low is not None:
        return f'at least {low:g} {measure.unit}'.strip()
    return '' if high is None else f'at most {high:g} {measure.unit}'.strip()
