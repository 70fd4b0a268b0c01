"""Find the lesion masks of T1w images."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bids_inpaint.bids.names import IMAGE_EXTENSIONS, LESION_ROI, derivative_path
from bids_inpaint.bids.scan import Scan, parse_any
from bids_inpaint.errors import BidsInpaintError, first_of

_T1W = re.compile(r'sub-.+_T1w\.nii(\.gz)?')
_MASK = re.compile(r'sub-.*label-lesions?(_.+)?_(roi|mask)\.nii(\.gz)?', re.IGNORECASE)

LOGGER = logging.getLogger(__name__)


def with_lesion_masks(
    scans: Iterable[Scan], *, mode: str, derivatives: Sequence[Path] = ()
) -> list[Scan]:
    """Find the lesion mask of each scan.

    Parameters
    ----------
    scans : iterable of Scan
        T1w images.
    mode : {'auto', 'required', 'off'}
        A scan without mask is kept ('auto') or an error ('required'); 'off' ignores masks.
    derivatives : sequence of Path
        Derivative datasets with masks, in order of precedence.

    Returns
    -------
    scans : list of Scan
        In the same order, with `lesion_mask` set if there is one.

    Raises
    ------
    BidsInpaintError
        If a mask is required and a scan has none; the message names the scans and the expected
        files.

    """
    scans = list(scans)
    if mode == 'off':
        return scans
    found = [replace(scan, lesion_mask=_find(scan, derivatives)) for scan in scans]
    _warn_of_unclaimed(found, derivatives)
    without = [scan for scan in found if scan.lesion_mask is None]
    if without and mode == 'required':
        msg = f'--lesion-mask required: {_lack(without, len(scans), derivatives)}'
        raise BidsInpaintError(msg)
    if without and derivatives:
        LOGGER.warning('%s. They are filled blindly', _lack(without, len(scans), derivatives))
    return found


def mask_candidates(scan: Scan, derivatives: Sequence[Path]) -> list[Path]:
    """Possible files of the lesion mask of a scan, in order of precedence.

    `<source>_label-lesion_mask` in the folder of the scan in each derivative dataset, then
    `<source>_label-lesion_roi` beside the image, or `<source>_T1w_label-lesion_roi`, its name
    before BIDS had the entity `label`.
    """
    beside = scan.t1w.parent
    return [
        *(
            folder / derivative_path(scan, 'lesion_mask', extension=extension)
            for folder in derivatives
            for extension in IMAGE_EXTENSIONS
        ),
        *(
            beside / f'{scan.name}{name}{extension}'
            for name in LESION_ROI
            for extension in IMAGE_EXTENSIONS
        ),
    ]


def _find(scan: Scan, derivatives: Sequence[Path]) -> Path | None:
    """Take the first existing mask; broken links count, as their content may not be fetched."""
    found = [path for path in mask_candidates(scan, derivatives) if os.path.lexists(path)]
    if len(found) > 1:
        left = ', '.join(map(str, found[1:]))
        LOGGER.warning(
            '%s has several lesion masks: using %s, ignoring %s', scan.name, found[0], left
        )
    return found[0] if found else None


def _warn_of_unclaimed(scans: Iterable[Scan], derivatives: Sequence[Path]) -> None:
    """Warn of lesion masks in the folders of scans whose names fit no T1w image there.

    In derivative datasets only if a scan has no mask, as they may hold masks in other spaces.
    """
    folders = defaultdict(list)
    for scan in scans:
        folders[scan.t1w.parent].append(scan)
    for folder, here in folders.items():
        images = [one for path in _named(folder, _T1W) if (one := parse_any(path))]
        claimed = {mask for one in images for mask in mask_candidates(one, derivatives)}
        without = [scan for scan in here if scan.lesion_mask is None]
        places = [folder, *(root / here[0].folder for root in derivatives if without)]
        one = (without or here)[0]
        *of_derivatives, roi, _, _, _ = mask_candidates(one, derivatives)
        for mask in (path for place in places for path in _named(place, _MASK)):
            if mask not in claimed:
                wanted = roi if mask.parent == folder else of_derivatives[0]
                LOGGER.warning(
                    'lesion mask %s belongs to no image, as its entities match none: for %s it '
                    'must be %s',
                    mask,
                    one.t1w.name,
                    wanted.name,
                )


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Files of a folder by their names; empty if there is no such folder."""
    try:
        return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    except OSError:
        return []


def _lack(without: Sequence[Scan], total: int, derivatives: Sequence[Path]) -> str:
    """Name the scans without mask, and the expected files of the first."""
    names = first_of((str(scan.relative_path) for scan in without), at_most=5)
    wanted = ', '.join(map(str, mask_candidates(without[0], derivatives)[::2]))
    return (
        f'{len(without)} of {total} T1w images have no lesion mask: {names}'
        f'; expected for the first: {wanted} (or .nii)'
    )
