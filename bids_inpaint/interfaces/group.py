"""From rows of QC numbers to the page of the group."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_inpaint.bids.atomic import write_text
from bids_inpaint.reports.group import render_group

GROUP_PAGE = 'group_T1w.html'


def write_group(
    output_dir: Path,
    rows: Sequence[Mapping[str, Any]],
    participants: Mapping[str, Mapping[str, str]],
) -> Path:
    """Write the page of the group.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset; participants who have a page there are linked to it.
    rows : sequence of mapping
        Of `bids_inpaint.bids.group.gather_group`.
    participants : mapping
        Of `bids_inpaint.bids.group.read_participants`.

    """
    pages = {path.stem for path in output_dir.glob('sub-*.html')}
    return write_text(output_dir / GROUP_PAGE, render_group(rows, participants, pages))
