"""The page of the group: plots and a table, drawn by the browser from numbers in the page."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bids_inpaint import __version__
from bids_inpaint.reports.quality import MEASURES, derived

ASSETS = Path(__file__).parent / 'assets'
_PLOTLY = 'vendor/plotly-cartesian.min.js'
_NAMES = ('participant_id', 'session_id', 'source')


def render_group(
    rows: Sequence[Mapping[str, Any]],
    participants: Mapping[str, Mapping[str, str]],
    pages: Collection[str],
) -> str:
    """Render the page; nothing outside it is needed to show it.

    Parameters
    ----------
    rows : sequence of mapping
        One for each scan: `participant_id`, `session_id`, `source`, `problems` and QC numbers.
    participants : mapping of str to mapping
        Participant to columns of participants.tsv.
    pages : collection of str
        Participants who have a page of their own.

    Returns
    -------
    str
        HTML.

    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    content = {
        'rows': [_row(row) for row in rows],
        'measures': [measure._asdict() for measure in MEASURES],
        'participants': participants,
        'pages': sorted(pages),
    }
    return environment.get_template('group.html.j2').render(
        count=len(rows),
        people=len({row['participant_id'] for row in rows}),
        missing=[row['source'] for row in rows if row.get('brain_mean') is None],
        version=__version__,
        style=_asset('report.css'),
        plotly=_asset(_PLOTLY),
        script=_asset('group.js'),
        data=as_script_data(content),
    )


def as_script_data(content: Any) -> Markup:
    r"""Write JSON that may stand in a script element, whatever its texts are.

    Examples
    --------
    >>> print(as_script_data({'group': '</script>'}))
    {"group": "\u003c/script\u003e"}

    """
    text = json.dumps(content, allow_nan=False)
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return Markup(text)  # noqa: S704 - what would end the element is escaped


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a row what the page shows, in its units; what is not finite is missing."""
    found = derived(row)
    numbers = {measure.name: _number(found.get(measure.name)) for measure in MEASURES}
    shown = {
        measure.name: None if value is None else value * measure.scale
        for measure, value in zip(MEASURES, numbers.values(), strict=True)
    }
    texts = {name: str(row.get(name) or '') for name in (*_NAMES, 'device', 'problems')}
    return {**texts, **shown}


def _number(value: Any) -> float | None:
    """Take a finite number, or nothing."""
    usable = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if usable else None


def _asset(name: str) -> Markup:
    """Read a file of the package that goes into the page as it is."""
    return Markup((ASSETS / name).read_text(encoding='utf-8'))  # noqa: S704 - our own file
