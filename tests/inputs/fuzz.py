"""Damage files at random and read them: `python fuzz.py --seconds 600`.

Nothing but a documented error may come of it within 10 s of computing and 2 GB of memory, which is
held by limits of the process. The file that does more is kept.
"""

import argparse
import faulthandler
import logging
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

if __name__ == '__main__':
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import numpy as np
from mutate import mutate
from readers import ALLOWED, READERS, Reader

MOST_CPU_S = 10
MOST_BYTES = 2 * 2**30
# Waiting for nothing is a hang, too; the machine may be busy.
MOST_WALL_S = 600
# Stop signals and failures of a child are told by its end.
_ENDS = {-signal.SIGPROF: f'more than {MOST_CPU_S} s', 1: 'a crash'}


def fuzz(reader: Reader, *, seed: int, seconds: float, folder: Path) -> int:
    """Read damaged files for a time, in this process; return their number.

    What is raised beside documented errors is that of the file that lies there.
    """
    rng = np.random.default_rng(seed)
    valid = reader.prepare(folder)
    path = folder / reader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reader.pack(valid[0]))
    reader.read(folder, path)  # loads what it needs, before limits are set
    _limit_memory()
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        content = valid[tried] if tried < len(valid) else valid[rng.integers(len(valid))]
        damaged = mutate(content, valid, rng) if tried >= len(valid) else content
        path.write_bytes(reader.pack(damaged))
        faulthandler.dump_traceback_later(MOST_WALL_S, exit=True)
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)  # ends the process, if it comes
        try:
            reader.read(folder, path)
        except (ALLOWED, *reader.errors):
            pass
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        tried += 1
    return tried


def _limit_memory() -> None:
    """Allow this process 2 GB more than it has."""
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def fuzz_apart(name: str, *, seed: int, seconds: float, keep: Path) -> tuple[int, str]:
    """Read damaged files in a process of its own.

    Returns
    -------
    tried : int
        Number of files, if nothing failed.
    failure : str
        What failed, and where the file is; empty if nothing did.

    """
    with tempfile.TemporaryDirectory() as folder:
        options = ['--seed', str(seed), '--seconds', str(seconds), '--folder', folder]
        command = [sys.executable, __file__, '--reader', name, *options]
        threads = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'NO_ET': '1'}
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **threads}
        )
        if ran.returncode == 0:
            return int(ran.stdout.split()[-1]), ''
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f'{name.replace(" ", "-")}-{seed}-{Path(READERS[name].name).name}'
        if (Path(folder) / READERS[name].name).exists():
            shutil.copyfile(Path(folder) / READERS[name].name, kept)
        end = _ENDS.get(ran.returncode, f'status {ran.returncode}')
        return 0, f'{name}, seed {seed}: {end}; the file is {kept}\n{ran.stderr[-3000:]}'


def main() -> int:
    """Fuzz all readers, one after the other, or be the process of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=600, help='for all readers together')
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--keep', type=Path, default=Path(tempfile.gettempdir()) / 'fuzzed')
    parser.add_argument('--reader', choices=READERS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    if options.folder:
        logging.disable()
        warnings.simplefilter('ignore')
        reader = READERS[options.reader]
        tried = fuzz(reader, seed=seed, seconds=options.seconds, folder=options.folder)
        sys.stdout.write(f'{tried}\n')
        return 0
    names = [options.reader] if options.reader else list(READERS)
    sys.stdout.write(f'seed {seed}\n')
    failures = []
    for name in names:
        each = options.seconds / len(names)
        tried, failure = fuzz_apart(name, seed=seed, seconds=each, keep=options.keep)
        sys.stdout.write(failure or f'{name}: {tried} files\n')
        sys.stdout.flush()
        failures += [failure] if failure else []
    return int(bool(failures))


if __name__ == '__main__':
    sys.exit(main())
