"""The group level: one table, and one page, of all scans."""

from pathlib import Path

from bids_inpaint.bids.group import gather_group, read_participants, write_group_table
from bids_inpaint.interfaces.group import write_group
from bids_inpaint.settings import Settings


def report_group(settings: Settings) -> list[Path]:
    """Write `group_T1w.tsv`, its data dictionary, and `group_T1w.html`.

    Returns
    -------
    list of Path
        The table and the page.

    Raises
    ------
    BidsInpaintError
        If no scan was processed.

    """
    rows = gather_group(settings.output_dir, settings.bids_dir)
    table = write_group_table(settings.output_dir, rows)
    page = write_group(settings.output_dir, rows, read_participants(settings.bids_dir))
    return [table, page]
