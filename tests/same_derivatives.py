"""What two runs of the same scans have in common: all but time, memory, device and container."""

import json
from pathlib import Path
from typing import Any

_OF_ONE_RUN = {'seconds', 'peak_memory_mb', 'device', 'Container'}


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
        if name.suffix == '.json':
            assert _stripped(out / name) == _stripped(expected / name), name
        else:
            assert (out / name).read_bytes() == (expected / name).read_bytes(), name


def _files(root: Path, subjects: list[str]) -> list[Path]:
    """Relative paths of the derivatives of some participants, those with hidden names as well."""
    paths = (path for subject in subjects for path in root.glob(f'{subject}/**/anat/*'))
    return sorted(path.relative_to(root) for path in paths)


def _stripped(path: Path) -> Any:
    """Content of a sidecar, without what tells of one run only.

    Of numbers nine digits: the last bit of a correlation depends on where arrays lie in memory.
    """

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(one) for name, one in value.items() if name not in _OF_ONE_RUN}
        if isinstance(value, float):
            return float(f'{value:.9g}')
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip(json.loads(path.read_text()))
