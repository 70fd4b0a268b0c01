"""What two runs of the same scans have in common: all but time, memory, device and places."""

import json
import re
from pathlib import Path
from typing import Any

_OF_ONE_RUN = {'seconds', 'peak_memory_mb', 'device', 'Container'}
_TIME_AND_MEMORY = re.compile(rb'<td>[\d.,]+ (s|MB)</td>')


def check_same(out: Path, expected: Path, subjects: list[str]) -> None:
    """Compare all files below `anat` of some participants: images byte by byte, sidecars by field.

    Parameters
    ----------
    out, expected : Path
        Output folders; `expected` may have more participants.
    subjects : list of str
        Names of folders: `sub-01`. Those of `out` must be these.

    """
    assert sorted(path.name for path in out.glob('sub-*/')) == subjects
    names = _files(expected, subjects)
    assert _files(out, subjects) == names
    assert len(names) > len(subjects)
    for name in names:
        assert content(out / name) == content(expected / name), name


def _files(root: Path, subjects: list[str]) -> list[Path]:
    """Relative paths of the derivatives of some participants, those with hidden names as well."""
    paths = (path for subject in subjects for path in root.glob(f'{subject}/**/anat/*'))
    return sorted(path.relative_to(root) for path in paths)


def content(path: Path) -> Any:
    """Content of a file of the output, without what tells of one run only.

    Images, figures and texts are bytes, sidecars are fields, of whose numbers nine digits count:
    the last bit of a correlation depends on where arrays lie in memory.

    Raises
    ------
    ValueError
        If it is half a sidecar or half a page.

    """

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(one) for name, one in value.items() if name not in _OF_ONE_RUN}
        if isinstance(value, float):
            return float(f'{value:.9g}')
        if isinstance(value, str) and value.startswith('file://'):
            return value.rpartition('/')[2]
        return [strip(one) for one in value] if isinstance(value, list) else value

    found = path.read_bytes()
    if path.suffix == '.json':
        return strip(json.loads(found))
    if path.suffix == '.html':
        if not found.rstrip().endswith(b'</html>'):
            msg = f'{path} ends early'
            raise ValueError(msg)
        return _TIME_AND_MEMORY.sub(b'', found)
    return found
