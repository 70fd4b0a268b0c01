"""Text for people: what will be done, and what failed."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from bids_inpaint.bids.scan import Scan
from bids_inpaint.settings import Settings


def list_scans(scans: Sequence[Scan], settings: Settings) -> str:
    """List the images found, one per line."""
    images = '1 T1w image' if len(scans) == 1 else f'{len(scans)} T1w images'
    masks = _masks(scans)
    lines = [f'{images} in {settings.bids_dir}']
    lines += [f'  {scan.relative_path}{masks[scan]}' for scan in scans]
    return '\n'.join(lines)


def list_plan(
    scans: Sequence[Scan], settings: Settings, planned: Mapping[Scan, Sequence[PurePosixPath]]
) -> str:
    """List the images found, each with the files that would be written.

    Parameters
    ----------
    scans : sequence of Scan
        T1w images.
    settings : Settings
        Of the run.
    planned : mapping of Scan to sequence of PurePosixPath
        Files of those scans that are not finished.

    """
    masks = _masks(scans)
    lines = [f'would write to {settings.output_dir}, with a .json beside each image:']
    for scan in scans:
        if scan not in planned:
            lines.append(f'{scan.relative_path}{masks[scan]}, done: would be skipped')
            continue
        lines.append(f'{scan.relative_path}{masks[scan]}')
        lines += [f'  {path}' for path in planned[scan]]
    return '\n'.join(lines)


def _masks(scans: Sequence[Scan]) -> dict[Scan, str]:
    """Name the mask of each image; empty if no image has one."""
    if not any(scan.lesion_mask for scan in scans):
        return dict.fromkeys(scans, '')
    return {scan: f', lesion mask: {scan.lesion_mask or "none, filled blindly"}' for scan in scans}


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns; each cell on one line.

    Examples
    --------
    >>> print(format_table(('scan', 'step'), [('sub-01', 'register')]))
    scan    step
    sub-01  register

    """
    cells = [[' '.join(cell.split()) for cell in row] for row in (header, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
