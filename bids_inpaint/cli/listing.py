"""Text for people: what will be done, and what failed."""

from collections.abc import Sequence

from bids_inpaint.bids.names import planned_paths
from bids_inpaint.bids.scan import Scan
from bids_inpaint.settings import Settings


def list_scans(scans: Sequence[Scan], settings: Settings) -> str:
    """List the images found, one a line."""
    images = '1 T1w image' if len(scans) == 1 else f'{len(scans)} T1w images'
    lines = [f'{images} in {settings.bids_dir}', *(f'  {scan.relative_path}' for scan in scans)]
    return '\n'.join(lines)


def list_plan(scans: Sequence[Scan], settings: Settings) -> str:
    """List the images found, and under each the files that would be written."""
    extension = '.nii' if settings.uncompressed else '.nii.gz'
    lines = [f'would write to {settings.output_dir}, with a .json beside each image:']
    for scan in scans:
        lines.append(str(scan.relative_path))
        paths = planned_paths(
            scan,
            output_spaces=settings.output_spaces,
            lesion_map=settings.lesion_map,
            extension=extension,
        )
        lines += [f'  {path}' for path in paths]
    return '\n'.join(lines)


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
