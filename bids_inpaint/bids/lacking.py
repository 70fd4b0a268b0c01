"""Who and which sessions have no T1w image to process."""

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import first_of

LOGGER = logging.getLogger(__name__)

_AT_MOST = 10
# Names beside the standard that people give to T1w images.
_LIKE_T1W = re.compile(
    r'[^.].*(t1|unit1|mprage|mp2rage|bravo|spgr).*\.(nii|img|mgz)', re.IGNORECASE
)
_LIKE_PERSON = re.compile(r'sub(-.|_?\d)', re.IGNORECASE)


def find_lacking(
    bids_dir: Path,
    scans: Iterable[Scan],
    *,
    participant_label: Sequence[str] = (),
    session_label: Sequence[str] = (),
) -> list[str]:
    """Find who was asked for by name and has nothing.

    Without names one line is logged for all who have nothing.

    Parameters
    ----------
    bids_dir : Path
        Root of the dataset.
    scans : iterable of Scan
        Images to process.
    participant_label, session_label : sequence of str
        What was asked for, without prefix; empty for all.

    Returns
    -------
    list of str
        A sentence for missing participants, and one for sessions that nobody has.

    """
    found = {(scan.subject, scan.session) for scan in scans}
    subjects = {subject for subject, _ in found}
    if not participant_label:
        _tell_of_all(bids_dir, subjects)
    errors = []
    missing = [label for label in participant_label if label not in subjects]
    if missing:
        named = (f'{label} ({_instead(bids_dir, label)})' for label in missing)
        errors.append(
            f'no T1w image to process for {len(missing)} of {len(participant_label)} requested '
            f'participants: {first_of(named)}'
        )
    nowhere = [label for label in session_label if label not in {session for _, session in found}]
    if nowhere:
        errors.append(f'no T1w image to process for sessions {first_of(nowhere)}')
    gaps = [
        f'sub-{subject} in ses-{session}'
        for subject in participant_label
        for session in session_label
        if subject in subjects and session not in nowhere and (subject, session) not in found
    ]
    if gaps:
        LOGGER.warning('no T1w image to process for %s', first_of(gaps))
    return errors


def _tell_of_all(bids_dir: Path, subjects: Collection[str]) -> None:
    """Log who has a folder in the dataset, but no image to process."""
    folders = sorted(path.name for path in bids_dir.iterdir() if _LIKE_PERSON.match(path.name))
    labels = [name.removeprefix('sub-') for name in folders if (bids_dir / name).is_dir()]
    missing = [label for label in labels if label not in subjects]
    if missing:
        shown = [f'{label} ({_instead(bids_dir, label)})' for label in missing[:_AT_MOST]]
        LOGGER.warning(
            '%d of %d participants have no T1w image to process: %s',
            len(missing),
            len(labels),
            first_of([*shown, *missing[_AT_MOST:]], at_most=_AT_MOST),
        )


def _instead(bids_dir: Path, label: str) -> str:
    """Say what a participant has instead of an image to process."""
    folder = bids_dir / f'sub-{label}'
    if not folder.is_dir():
        alike = bids_dir / label
        return 'must be named sub-<label>' if alike.is_dir() else 'no such folder'
    names = sorted(
        path.name
        for pattern in ('*', '*/*', '*/*/*')
        for path in folder.glob(pattern)
        if _LIKE_T1W.match(path.name)
    )
    return f'has {first_of(names, at_most=3)}' if names else 'has no image with such a name'
