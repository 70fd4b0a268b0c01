"""Find what was processed before, by the derivatives alone."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint.bids.names import KINDS, NATIVE_SPACE, derivative_path, sidecar_path
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.bids.sidecars import SOURCE_LINK
from bids_inpaint.errors import BidsInpaintError

_XFM_GLOB = f'sub-*_from-{NATIVE_SPACE}_to-*_mode-image_xfm.json'
_EXTENSIONS = ('.nii.gz', '.nii')
_SOURCE_URI = re.compile(f'bids:{SOURCE_LINK}:(?P<path>sub-.+)')


@dataclass(frozen=True)
class Processed:
    """One T1w image of which there are derivatives.

    Attributes
    ----------
    scan : Scan
        The source; its file need not be there any more.
    root : Path
        Root of the derivative dataset.
    numbers : mapping
        QC numbers.
    steps : sequence of mapping
        Facts of each step, as the sidecars have them.

    """

    scan: Scan
    root: Path
    numbers: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]

    def files(self) -> dict[str, Path]:
        """Files that are there: kind, or kind and `_native`, to path; `source` if it is there."""
        found = {}
        for kind, what in KINDS.items():
            for space in what.spaces or (NATIVE_SPACE,):
                native = what.spaces and space == NATIVE_SPACE
                extensions = _EXTENSIONS if what.spaces else ('',)
                for extension in extensions:
                    path = self.root / derivative_path(
                        self.scan, kind, space=space, extension=extension
                    )
                    if path.is_file():
                        found[f'{kind}_native' if native else kind] = path
                        break
        if self.scan.t1w.is_file():
            found['source'] = self.scan.t1w
        return found

    @property
    def written(self) -> float:
        """When its QC file was written: seconds of the system's clock."""
        return (self.root / derivative_path(self.scan, 'qc')).stat().st_mtime


def find_processed(
    output_dir: Path,
    bids_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
) -> list[Processed]:
    """Find all scans of a derivative dataset that were processed to the end.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    bids_dir : Path
        Where the sources were; they need not be there.
    participant_label, session_label : sequence of str
        Labels to restrict the search to; empty for all.

    Returns
    -------
    list of Processed
        In the order of their paths.

    Raises
    ------
    BidsInpaintError
        If a file that describes a scan cannot be read.

    """
    sidecars = [
        path
        for subject in dict.fromkeys(participant_label) or ('*',)
        for folder in ('anat', 'ses-*/anat')
        for path in output_dir.glob(f'sub-{subject}/{folder}/{_XFM_GLOB}')
    ]
    found = [_read(path, output_dir, bids_dir) for path in sorted(sidecars)]
    return [
        one
        for one in found
        if one
        and (not participant_label or one.scan.subject in participant_label)
        and (not session_label or one.scan.session in session_label)
    ]


def _read(sidecar: Path, output_dir: Path, bids_dir: Path) -> Processed | None:
    """Read one scan from the sidecar of its transform; None if it was not finished."""
    fields = read_object(sidecar)
    sources = fields.get('Sources')
    uris = sources if isinstance(sources, list) else []
    match = next((m for uri in uris if (m := _SOURCE_URI.fullmatch(str(uri)))), None)
    if not match:
        msg = f'{sidecar} must name its source as bids:{SOURCE_LINK}:sub-..., has {sources!r}'
        raise BidsInpaintError(msg)
    try:
        scan = parse_t1w(bids_dir / PurePosixPath(match['path']))
    except ValueError as error:
        msg = f'source in {sidecar}: {error}'
        raise BidsInpaintError(msg) from error
    path = derivative_path(scan, 'anat2std_xfm')
    quality = output_dir / derivative_path(scan, 'qc')
    if output_dir / sidecar_path(path) != sidecar or not quality.is_file():
        return None
    steps = fields.get('Steps')
    return Processed(scan, output_dir, read_object(quality), steps if steps else [])


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises
    ------
    BidsInpaintError
        If it does not.

    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        msg = f'{path} must be readable JSON: {error}. Process its scan again'
        raise BidsInpaintError(msg) from error
    if not isinstance(content, dict):
        msg = f'{path} must hold a JSON object. Process its scan again'
        raise BidsInpaintError(msg)
    return content
