"""Tell whether the derivatives of a scan are all there, made in the way that is asked for."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint import __version__
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import Scan
from bids_inpaint.bids.sidecars import PIPELINE


def source_sha256(t1w: Path) -> str:
    """Fingerprint of an image as it is stored; its time and its place do not count."""
    with t1w.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def is_done(
    scan: Scan,
    output_dir: Path,
    planned: Sequence[PurePosixPath],
    *,
    parameters: Mapping[str, Any],
    accept_problems: bool,
) -> bool:
    """Tell whether nothing is left to do for a scan.

    Each file is looked at, and not one for all: a run that ended early may have replaced some.
    A sidecar is written after its image, so that an image is at least as new.

    Parameters
    ----------
    scan : Scan
    output_dir : Path
        Root of the derivative dataset.
    planned : sequence of PurePosixPath
        What is to be there, of `bids_inpaint.bids.names.planned_paths`.
    parameters : mapping
        What decides on the result; compared with that of the sidecars.
    accept_problems : bool
        Whether a scan is done whose QC numbers are out of their limits.

    Returns
    -------
    done : bool
        False also if the source or a sidecar cannot be read.

    """
    quality = derivative_path(scan, 'qc')
    found = _read(output_dir / quality)
    if found.get('version') != __version__:
        return False
    if found.get('problems') != 'none' and not accept_problems:
        return False
    try:
        source = source_sha256(scan.t1w)
    except OSError:
        return False
    wanted = json.loads(json.dumps(parameters))
    return all(
        (output_dir / path).is_file()
        and _made_so(_read(output_dir / sidecar_path(path)), wanted, source)
        for path in planned
        if path != quality
    )


def _made_so(sidecar: Mapping[str, Any], parameters: Mapping[str, Any], source: str) -> bool:
    """Tell whether a sidecar names this program's version, the parameters and the source."""
    try:
        program = sidecar['GeneratedBy'][0]
        found = (program['Name'], program['Version'], program['Parameters'])
        sources = [step['source_sha256'] for step in sidecar['Steps'] if 'source_sha256' in step]
    except (KeyError, IndexError, TypeError):
        return False
    return found == (PIPELINE, __version__, parameters) and sources == [source]


def _read(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; an empty one if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
