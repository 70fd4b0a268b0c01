"""QC numbers beside their limits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bids_inpaint.qc import NO_PROBLEM, NUMBERS, Number, with_derived

SHOWN = tuple(number for number in NUMBERS if number.title)


class Row(NamedTuple):
    """A line of the table, and whether the number is within limits.

    `passed` is None where there is no limit.
    """

    title: str
    value: str
    limits: str
    passed: bool | None


def quality_rows(numbers: Mapping[str, Any]) -> list[Row]:
    """Format the numbers of a QC file; missing ones are left out unless they have limits.

    Examples
    --------
    >>> quality_rows({'brain_coverage': 0.5})[2]
    Row(title='share of the brain in the field of view', value='0.5', limits='at least 0.9', \
passed=False)

    """
    found = with_derived(numbers)
    return [
        _row(number, found)
        for number in SHOWN
        if found.get(number.name) is not None or (_limits(number) and not number.optional)
    ]


def sentences(numbers: Mapping[str, Any]) -> Sequence[str]:
    """Sentences on the numbers of a scan that are out of limits."""
    text = str(numbers.get('problems') or NO_PROBLEM)
    parts = [] if text == NO_PROBLEM else [part.strip() for part in text.split(';')]
    return [part[0].upper() + part[1:].rstrip('.') + '.' for part in parts if part]


def shown_limits(number: Number) -> tuple[float | None, float | None]:
    """Limits in the unit of the pages."""
    low, high = (
        None if limit is None else limit * number.scale for limit in (number.low, number.high)
    )
    return low, high


def _row(number: Number, found: Mapping[str, Any]) -> Row:
    """Format one number."""
    limits = _limits(number) if number.is_judged(found) else ''
    value = found.get(number.name)
    if value is None:
        return Row(number.title, 'not measured', limits, passed=False)
    shown = value * number.scale
    text = f'{shown:,.4g}' if abs(shown) < 1e4 else f'{shown:,.0f}'
    passed = not number.problem(found) if limits else None
    return Row(number.title, f'{text} {number.unit}'.strip(), limits, passed)


def _limits(number: Number) -> str:
    """Format the limits of a number; empty if there are none."""
    low, high = shown_limits(number)
    if low is not None and high is not None:
        return f'{low:g} to {high:g} {number.unit}'.strip()
    if low is not None:
        return f'at least {low:g} {number.unit}'.strip()
    return '' if high is None else f'at most {high:g} {number.unit}'.strip()
