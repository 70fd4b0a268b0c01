"""What the machine lets this process use."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

MAX_DEFAULT_THREADS = 8  # ITK's filters gain little beyond
_BYTES_PER_GB = 1e9


def usable_cpus(root: Path = Path('/')) -> int:
    """Count the CPUs that this process may use: by affinity, and by its control groups' quota.

    Parameters
    ----------
    root : Path
        Root of the file system.

    Returns
    -------
    count : int
        At least one.

    """
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _control_groups(root, 'cpu'):
        quota = _read(folder / 'cpu.max').split() or [
            _read(folder / 'cpu.cfs_quota_us'),
            _read(folder / 'cpu.cfs_period_us'),
        ]
        if len(quota) == 2 and all(text.isdigit() for text in quota) and int(quota[1]) > 0:
            limits.append(int(quota[0]) / int(quota[1]))
    return max(1, int(min(limits)))


def usable_memory_gb(root: Path = Path('/')) -> float:
    """Memory that this process may use, in GB: what is free, or a control group's limit.

    Parameters
    ----------
    root : Path
        Root of the file system.

    Returns
    -------
    memory : float

    """
    limits = [psutil.virtual_memory().available]
    for folder in _control_groups(root, 'memory'):
        for name in ('memory.max', 'memory.limit_in_bytes'):
            text = _read(folder / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits) / _BYTES_PER_GB


def _control_groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process' control groups and of those around them, of version 1 or 2.

    A limit set further up holds as well; and in a container, whose own group is mounted as the
    root, the path that the process is told of need not exist.
    """
    for line in _read(root / 'proc/self/cgroup').splitlines():
        _, controllers, path = line.split(':', 2)
        if controllers and controller not in controllers.split(','):
            continue
        top = root / 'sys/fs/cgroup' / (controller if controllers else '')
        group = top / path.strip('/')
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _read(path: Path) -> str:
    """Text of a small file; empty if it cannot be read."""
    try:
        return path.read_text(encoding='utf-8').strip()
    except OSError:
        return ''
