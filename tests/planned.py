"""Paths of all that is written of a scan, by the options."""

from pathlib import PurePosixPath
from typing import Any

from bids_inpaint.bids import names
from bids_inpaint.bids.scan import Scan


def planned_paths(scan: Scan, extension: str = '.nii.gz', **options: Any) -> list[PurePosixPath]:
    return names.planned_paths(scan, names.planned_kinds(**options), extension=extension)
