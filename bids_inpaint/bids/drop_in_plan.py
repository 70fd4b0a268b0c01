"""Which T1w images of a dataset have an inpainted one that can stand in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bids_inpaint.bids.derivatives import Processed, find_processed
from bids_inpaint.bids.existing import source_sha256
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError

_T1W = ('_T1w.nii', '_T1w.nii.gz')
_AT_MOST_SHOWN = 10


@dataclass(frozen=True)
class Plan:
    """What becomes of the T1w images of a dataset.

    Attributes
    ----------
    results : mapping of PurePosixPath to Processed
        By the image's path within its dataset.
    left_out : frozenset of PurePosixPath
        Images without result.
    subjects : frozenset of str
        Folders of participants who are in the new dataset: 'sub-01'.

    """

    results: Mapping[PurePosixPath, Processed]
    left_out: frozenset[PurePosixPath]
    subjects: frozenset[str]


def plan_drop_in(
    bids_dir: Path, output_dir: Path, labels: Sequence[str], *, allow_missing: bool
) -> Plan:
    """Find the result of each T1w image, and what has none.

    Raises
    ------
    BidsInpaintError
        If there is no result at all, none of an image that a run takes, or one of an image that
        was replaced since.

    """
    images = [
        path
        for pattern in ('sub-*/anat/*', 'sub-*/ses-*/anat/*')
        for path in sorted(bids_dir.glob(pattern))
        if path.name.endswith(_T1W) and (not labels or _subject(path, bids_dir)[4:] in labels)
    ]
    found = {PurePosixPath(path.relative_to(bids_dir).as_posix()): path for path in images}
    results = {
        PurePosixPath(one.scan.relative_path): one
        for one in find_processed(output_dir, bids_dir, participant_label=labels)
        if 'inpainted_native' in one.files()
    }
    results = {path: one for path, one in results.items() if path in found}
    _check_sources(results)
    left_out = frozenset(found.keys() - results.keys())
    lacking = sorted(str(path) for path in left_out if _is_usual(found[path]))
    unknown = [f'sub-{label}' for label in labels if not (bids_dir / f'sub-{label}').is_dir()]
    if unknown or not results or (lacking and not allow_missing):
        msg = (
            f'every T1w image of {bids_dir} must have its inpainted one in {output_dir}'
            + (f'; no such participant: {", ".join(unknown)}' if unknown else '')
            + f'; without: {_shown(lacking) or "all"}. Process them, or give --allow-missing to '
            f'leave them out of the new dataset'
        )
        raise BidsInpaintError(msg)
    return Plan(results, left_out, frozenset(path.parts[0] for path in results))


def _check_sources(results: Mapping[PurePosixPath, Processed]) -> None:
    """Refuse results of images that were replaced since.

    The fingerprint is compared where there is one, and the image can be read: the content of a
    link may not have been fetched.
    """
    for path, one in results.items():
        noted = [step['source_sha256'] for step in one.steps if 'source_sha256' in step]
        if noted and one.scan.t1w.is_file() and source_sha256(one.scan.t1w) != noted[0]:
            msg = f'{path} is not the image any more that was inpainted: process it again'
            raise BidsInpaintError(msg)


def _is_usual(path: Path) -> bool:
    """Whether a run takes this T1w image if it is told nothing: not with a contrast agent."""
    try:
        scan = parse_t1w(path)
    except ValueError:
        return False
    return 'ce' not in dict(scan.entities)


def _subject(path: Path, bids_dir: Path) -> str:
    """Folder of the participant: 'sub-01'."""
    return path.relative_to(bids_dir).parts[0]


def _shown(items: Sequence[str]) -> str:
    """Join items for a message, the first of many only."""
    more = len(items) - _AT_MOST_SHOWN
    return ', '.join(items[:_AT_MOST_SHOWN]) + (f' and {more} more' if more > 0 else '')
