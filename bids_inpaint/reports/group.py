"""The page of the group: plots and a table, drawn by the browser from data in the page."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from bids_inpaint import __version__
from bids_inpaint.bids.group import UNREAD
from bids_inpaint.qc import Number, with_derived
from bids_inpaint.reports.quality import SHOWN, shown_limits
from bids_inpaint.reports.render import asset, render

_PLOTLY = 'vendor/plotly-cartesian.min.js'
_NAMES = ('participant_id', 'session_id', 'source')


def render_group(
    rows: Sequence[Mapping[str, Any]],
    participants: Mapping[str, Mapping[str, str]],
    pages: Collection[str],
) -> str:
    """Render the page; it needs no other file.

    Parameters
    ----------
    rows : sequence of mapping
        One for each scan: `participant_id`, `session_id`, `source`, `problems` and QC numbers.
    participants : mapping of str to mapping
        Participant to columns of participants.tsv.
    pages : collection of str
        Participants who have a page.

    Returns
    -------
    str
        HTML.

    """
    content = {
        'rows': [_row(row) for row in rows],
        'measures': [_measure(number) for number in SHOWN],
        'participants': participants,
        'pages': sorted(pages),
    }
    return render(
        'group.html',
        count=len(rows),
        people=len({row['participant_id'] for row in rows}),
        missing=[_missing(row) for row in rows if row.get('brain_mean') is None],
        version=__version__,
        style=asset('report.css'),
        plotly=asset(_PLOTLY),
        script=asset('group.js'),
        data=as_script_data(content),
    )


def _missing(row: Mapping[str, Any]) -> str:
    """Name a scan without numbers, and say why if it was processed."""
    unread = row.get('problems') == UNREAD
    return f'{row["source"]}: {UNREAD}' if unread else str(row['source'])


def as_script_data(content: Any) -> Markup:
    r"""Write JSON that is safe in a script element, whatever its texts are.

    Examples
    --------
    >>> print(as_script_data({'group': '</script>'}))
    {"group": "\u003c/script\u003e"}

    """
    text = json.dumps(content, allow_nan=False)
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return Markup(text)  # noqa: S704 - characters that end the element are escaped


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Select the finite values of a row that the page shows, in its units."""
    found = with_derived(row)
    shown = {number.name: _shown(found.get(number.name), number.scale) for number in SHOWN}
    texts = {name: str(row.get(name) or '') for name in (*_NAMES, 'device', 'problems')}
    return {**texts, **shown}


def _shown(value: Any, scale: float) -> float | None:
    """Convert a finite number to the unit of the page; else None."""
    usable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) * scale if usable else None


def _measure(number: Number) -> dict[str, Any]:
    """Describe a number for the script of the page."""
    low, high = shown_limits(number)
    return {
        'name': number.name,
        'title': number.title,
        'low': low,
        'high': high,
        'unit': number.unit,
        'scale': number.scale,
        'optional': number.optional,
    }
