"""Find the lesion mask of a T1w image, if it has one."""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bids_inpaint.bids.names import derivative_path
from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError

LOGGER = logging.getLogger(__name__)

_EXTENSIONS = ('.nii.gz', '.nii')
_AT_MOST_SHOWN = 5


def with_lesion_masks(
    scans: Iterable[Scan], *, mode: str, derivatives: Sequence[Path] = ()
) -> list[Scan]:
    """Give each scan the lesion mask that belongs to it.

    Parameters
    ----------
    scans : iterable of Scan
        T1w images.
    mode : {'auto', 'required', 'off'}
        What of a scan without mask: it is left without one, or an error; 'off' looks for none.
    derivatives : sequence of Path
        Derivative datasets to look into, the first first.

    Returns
    -------
    scans : list of Scan
        In the same order, with `lesion_mask` set where there is one.

    Raises
    ------
    BidsInpaintError
        If a mask is required and a scan has none; the message names the scans, and the files
        that were looked for.

    """
    scans = list(scans)
    if mode == 'off':
        return scans
    found = [replace(scan, lesion_mask=_find(scan, derivatives)) for scan in scans]
    without = [scan for scan in found if scan.lesion_mask is None]
    if without and mode == 'required':
        msg = f'--lesion-mask required: {_lack(without, len(scans), derivatives)}'
        raise BidsInpaintError(msg)
    if without and derivatives:
        LOGGER.warning('%s. They are inpainted without', _lack(without, len(scans), derivatives))
    return found


def mask_candidates(scan: Scan, derivatives: Sequence[Path]) -> list[Path]:
    """Files that may be the lesion mask of a scan, the one to be taken first.

    These are `<source>_label-lesion_mask` at the scan's place in each derivative dataset, and
    `<source>_label-lesion_roi` beside the image, or `<source>_T1w_label-lesion_roi`, as it was
    named before BIDS had the entity `label`.
    """
    beside = scan.t1w.parent
    return [
        *(
            folder / derivative_path(scan, 'lesion_mask', extension=extension)
            for folder in derivatives
            for extension in _EXTENSIONS
        ),
        *(
            beside / f'{scan.name}{name}{extension}'
            for name in ('_label-lesion_roi', '_T1w_label-lesion_roi')
            for extension in _EXTENSIONS
        ),
    ]


def _find(scan: Scan, derivatives: Sequence[Path]) -> Path | None:
    """Take the first mask that is there; a link to nothing is, as its content may be fetched."""
    found = [path for path in mask_candidates(scan, derivatives) if os.path.lexists(path)]
    if len(found) > 1:
        left = ', '.join(map(str, found[1:]))
        LOGGER.warning('%s has several lesion masks: took %s, left %s', scan.name, found[0], left)
    return found[0] if found else None


def _lack(without: Sequence[Scan], total: int, derivatives: Sequence[Path]) -> str:
    """Say which scans have no mask, and by the example of the first, what was looked for."""
    names = ', '.join(str(scan.relative_path) for scan in without[:_AT_MOST_SHOWN])
    more = len(without) - _AT_MOST_SHOWN
    wanted = ', '.join(map(str, mask_candidates(without[0], derivatives)[::2]))
    return (
        f'{len(without)} of {total} T1w images have no lesion mask: {names}'
        + (f' and {more} more' if more > 0 else '')
        + f'; looked for, of the first: {wanted} (or .nii)'
    )
