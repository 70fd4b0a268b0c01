"""Find processed scans from the derivatives alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from bids_inpaint.bids.names import (
    IMAGE_EXTENSIONS,
    KINDS,
    NATIVE_SPACE,
    derivative_path,
    ending,
    sidecar_path,
)
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.bids.sidecars import SOURCE_LINK
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import read_object, read_object_or_nothing
from bids_inpaint.qc import NO_PROBLEM

_XFM_GLOB = sidecar_path(PurePosixPath(f'sub-*{ending("anat2std_xfm")}')).name
_SOURCE_URI = re.compile(f'bids:{SOURCE_LINK}:(?P<path>sub-.+)')


@dataclass(frozen=True)
class Processed:
    """A T1w image with derivatives.

    Attributes
    ----------
    scan : Scan
        The source; its file may have moved.
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
        """Existing files: kind, or kind and `_native`, to path; `source` if it exists."""
        found = {}
        for kind, what in KINDS.items():
            for space in what.spaces or (NATIVE_SPACE,):
                native = what.spaces and space == NATIVE_SPACE
                if path := _existing(self.root, self.scan, kind, space):
                    found[f'{kind}_native' if native else kind] = path
        if self.scan.t1w.is_file():
            found['source'] = self.scan.t1w
        return found

    @property
    def problems(self) -> str:
        """Sentences on QC numbers out of limits; empty if there are none."""
        text = str(self.numbers.get('problems') or NO_PROBLEM)
        return '' if text == NO_PROBLEM else text

    @property
    def written(self) -> float:
        """Time at which its QC file was written, in seconds."""
        return (self.root / derivative_path(self.scan, 'qc')).stat().st_mtime


class Unread(NamedTuple):
    """A scan whose files cannot be read.

    Attributes
    ----------
    subject : str
        Participant, without 'sub-'.
    name : str
        Entities of its name.
    path : Path
        File that describes it.
    reason : str
        What is wrong, with the name of the file.

    """

    subject: str
    name: str
    path: Path
    reason: str


class Found(NamedTuple):
    """Finished scans, and those whose files cannot be read; in the order of their paths."""

    processed: list[Processed]
    unread: list[Unread]


def find_problems(output_dir: Path, scans: Iterable[Scan]) -> dict[Scan, str]:
    """Find the scans with QC numbers out of limits, with sentences on these."""
    files = {scan: output_dir / derivative_path(scan, 'qc') for scan in scans}
    said = {scan: read_object_or_nothing(path).get('problems') for scan, path in files.items()}
    return {scan: str(text) for scan, text in said.items() if text not in {None, NO_PROBLEM}}


def _existing(root: Path, scan: Scan, kind: str, space: str) -> Path | None:
    """File of a scan with either extension of images; None if there is none."""
    extensions = IMAGE_EXTENSIONS if KINDS[kind].spaces else ('',)
    names = (derivative_path(scan, kind, space=space, extension=ext) for ext in extensions)
    return next((root / name for name in names if (root / name).is_file()), None)


def lacks(quality: Path) -> str:
    """Say what the scan of a QC file lacks; empty if it is whole.

    A scan has its inpainted image in a space at least, and a sidecar for each of its files.
    """
    t1w = quality.with_name(quality.name.removesuffix(ending('qc')) + '_T1w.nii.gz')
    try:
        scan = parse_t1w(t1w)
    except ValueError as error:
        return str(error)
    root = quality.parents[len(scan.folder.parts)]
    places = [(kind, space) for kind, what in KINDS.items() for space in what.spaces or ('',)]
    files = {place: _existing(root, scan, *place) for place in places if place[0] != 'qc'}
    if not any(path for (kind, _), path in files.items() if kind == 'inpainted'):
        return f'{derivative_path(scan, "inpainted").name} is missing'
    sidecars = [sidecar_path(PurePosixPath(path)) for path in files.values() if path]
    return next((f'{path.name} is missing' for path in sidecars if not Path(path).is_file()), '')


def find_processed(
    output_dir: Path,
    bids_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
) -> Found:
    """Find all finished scans of a derivative dataset.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    bids_dir : Path
        Source dataset; its files need not exist.
    participant_label, session_label : sequence of str
        Labels to restrict the search to; empty for all.

    Returns
    -------
    Found

    """
    sidecars = [
        path
        for subject in dict.fromkeys(participant_label) or ('*',)
        for folder in ('anat', 'ses-*/anat')
        for path in output_dir.glob(f'sub-{subject}/{folder}/{_XFM_GLOB}')
    ]
    processed, unread = [], []
    for path in sorted(sidecars):
        subject = path.relative_to(output_dir).parts[0].removeprefix('sub-')
        session = path.parent.parent.name.removeprefix('ses-')
        if session_label and session not in session_label:
            continue
        try:
            one = _read(path, output_dir, bids_dir)
        except BidsInpaintError as error:
            name = path.name.removesuffix(_XFM_GLOB.partition('*')[2])
            unread.append(Unread(subject, name, path, str(error)))
            continue
        if one:
            processed.append(one)
    return Found(processed, unread)


def _read(sidecar: Path, output_dir: Path, bids_dir: Path) -> Processed | None:
    """Read one scan from the sidecar of its transform; None if it was not finished."""
    fields = read_written(sidecar)
    sources = fields.get('Sources')
    uris = sources if isinstance(sources, list) else []
    match = next((m for uri in uris if (m := _SOURCE_URI.fullmatch(str(uri)))), None)
    if not match:
        msg = f'{sidecar} must have a source bids:{SOURCE_LINK}:sub-..., has {sources!r}'
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
    return Processed(scan, output_dir, read_written(quality), steps if steps else [])


def read_written(path: Path) -> dict[str, Any]:
    """Read a JSON file of the derivative dataset.

    Raises
    ------
    BidsInpaintError
        If it does not hold an object.

    """
    try:
        return read_object(path)
    except ValueError as error:
        msg = f'{error}. Process its scan again'
        raise BidsInpaintError(msg) from error
