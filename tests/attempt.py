"""Runs of the app with a fault, what is expected of their output, and a table of how they ended.

FAULTS_STEPS is 'real' for the real steps on small heads, else these are the stand-ins of tiny_app.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import tiny_app
from image_grids import grid_of
from made_heads import SMALL, build_heads
from same_derivatives import content
from seeded import SEED
from waiting import PATIENCE_S, wait_until

REAL = os.environ.get('FAULTS_STEPS') == 'real'
_APP = Path(__file__).with_name('faulty_app.py')
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """How a run with a fault ended, and whether what is asked of it holds."""

    fault: str
    status: int
    said: str
    survived: bool


def keep(outcome: Outcome) -> None:
    """Keep an outcome in FAULTS_OUTCOMES, if given, in place of an earlier one of its test."""
    if folder := os.environ.get('FAULTS_OUTCOMES'):
        test = os.environ['PYTEST_CURRENT_TEST'].rpartition('::')[2].split()[0]
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f'{test}.json').write_text(json.dumps(asdict(outcome)))


def kept() -> list[Outcome]:
    """Outcomes of all workers, and of earlier parts of the same trial."""
    paths = sorted(Path(os.environ['FAULTS_OUTCOMES']).glob('*.json'))
    found = [Outcome(**json.loads(path.read_text())) for path in paths]
    return sorted(found, key=lambda outcome: outcome.fault)


@dataclass(frozen=True)
class Run:
    """A run of the app; its log grows."""

    process: 'subprocess.Popen[bytes]'
    log: Path

    def end(self) -> int:
        return self.process.wait(PATIENCE_S)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until something is true, or the run has ended."""
        wait_until(lambda: done() or self.process.poll() is not None, self.log.read_text)

    def lines(self, part: str = '') -> int:
        return sum(part in line for line in self.log.read_text().splitlines())

    def told(self, reason: str) -> str:
        """Give what the log says of a reason; nothing beside a traceback."""
        text = self.log.read_text()
        found = re.search(reason, text)
        return found[0] if found and 'Traceback' not in text else ''


class Attempt:
    """Runs in a folder with `raw`, whose output is watched.

    Parameters
    ----------
    folder : Path
        Of `raw`, `work` and `out`.
    models : Path
        Networks, for the stand-ins.
    expected : sequence of Path
        Output folders of undisturbed runs. A file of `out` must at all times be as in one of them.

    """

    def __init__(self, folder: Path, models: Path, expected: Sequence[Path] = ()) -> None:
        self.folder, self.models, self.expected = folder, models, list(expected)
        self.t1w = folder / 'raw/sub-01/anat/sub-01_T1w.nii.gz'
        self.out, self.work = folder / 'out', folder / 'work'
        self._wrong: set[str] = set()
        self._seen: set[tuple[Any, ...]] = set()
        self._runs: list[Run] = []
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def start(
        self, *labels: str, fault: str = '', work: str = 'work', more: Sequence[str] = (), umask=-1
    ) -> Run:
        """Start a run for some participants, sub-01 if none is named."""
        resources = ['--nprocs', '2', '--mem', '4', '--models', str(self.models)]
        if REAL:
            resources = ['--nprocs', '1', '--omp-nthreads', '1', '--device', 'cpu']
        log = self.folder / f'{len(list(self.folder.glob("*.log")))}.log'
        folders = [str(self.folder / 'raw'), str(self.out), 'participant']
        options = ['-w', str(self.folder / work), '--participant-label', *(labels or ('01',))]
        with log.open('w') as stream:
            process = subprocess.Popen(
                [sys.executable, str(_APP), *folders, *options, *resources, *more],
                stderr=stream,
                env={**os.environ, 'FAULT': fault},
                start_new_session=True,
                umask=umask,
            )
        self._runs.append(Run(process, log))
        return self._runs[-1]

    def hold(self, step: str) -> tuple[Run, Path]:
        """Start a run, and wait until it waits before a step; it goes on once the file exists."""
        file = self.folder / 'go'
        run = self.start(fault=f'hold {step} {file}')
        run.wait_for(file.with_name('go.reached').exists)
        return run, file

    def files(self) -> dict[str, Path]:
        """Files under their final names, without logs, by name below the output folder."""
        paths = {path.relative_to(self.out): path for path in self.out.rglob('*')}
        return {
            str(name): path
            for name, path in paths.items()
            if path.is_file()
            and name.parts[0] != 'logs'
            and (name.name == '.bidsignore' or not name.name.startswith('.'))
        }

    def end(self) -> None:
        """End the watch, and runs that are left, as where a test failed."""
        self.wrong()
        for run in self._runs:
            run.process.kill()
            run.process.wait()

    def watch(self) -> None:
        self._watcher.start()

    def wrong(self) -> list[str]:
        """End the watch; return the files whose content was at any time not as expected."""
        self._ended.set()
        if self._watcher.is_alive():
            self._watcher.join()
        return sorted(self._wrong)

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        """Look at files that are new or were replaced."""
        for name, path in self.files().items():
            try:
                state = path.stat()
                key = (name, state.st_ino, state.st_size, state.st_mtime_ns)
                if key not in self._seen and not self._is_right(name):
                    self._wrong.add(name)
                self._seen.add(key)
            except FileNotFoundError:  # replaced or removed at this moment
                continue

    def _is_right(self, name: str) -> bool:
        """Whether a file is whole and as expected; a page may tell of a failure until the end."""
        if name.endswith('.html'):
            return is_same(self.out / name, self.out / name)
        wanted = [one / name for one in self.expected if (one / name).exists()]
        return any(is_same(self.out / name, one) for one in wanted)

    def differs(self, expected: Path, *labels: str) -> list[str]:
        """Files that are not as in an undisturbed run for these participants."""
        wanted = {
            str(path.relative_to(expected))
            for path in expected.rglob('*')
            if path.is_file() and path.relative_to(expected).parts[0] != 'logs'
        }
        chosen = tuple(f'sub-{label}' for label in labels or ('01',))
        wanted = {name for name in wanted if not name.startswith('sub-') or name[:6] in chosen}
        found = set(self.files())
        return sorted(wanted ^ found) + [
            name
            for name in sorted(wanted & found)
            if not is_same(self.out / name, expected / name)
        ]


def is_same(path: Path, expected: Path) -> bool:
    """Whether a file is whole and as expected, but for what tells of one run only."""
    try:
        return bool(content(path) == content(expected))
    except ValueError:
        return False


def write_heads(folder: Path) -> None:
    """Write `raw` with two heads on which a run is quick, and networks for the stand-ins."""
    if REAL:
        build_heads(folder / 'raw', folder / 'truth', SMALL)
        return
    for label, noise in (('01', 4.0), ('02', 8.0)):
        path = folder / f'raw/sub-{label}/anat/sub-{label}_T1w.nii.gz'
        tiny_app.write_head(path, grid_of('RAS'), noise=noise)
    fields = {'Name': 'made', 'BIDSVersion': '1.9.0'}
    (folder / 'raw/dataset_description.json').write_text(json.dumps(fields))
    tiny_app.write_models(folder / 'models')


def copy_as(out: Path, old: str, new: str, folder: Path) -> Path:
    """Copy the output of a participant as if it were that of another."""
    for path in out.rglob('*'):
        name = str(path.relative_to(out))
        others = name.startswith(('logs', 'sub-')) and not name.startswith(old)
        if path.is_dir() or others:
            continue
        made = folder / name.replace(old, new)
        made.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        packed = path.suffix == '.gz'
        made.write_bytes(data if packed else data.replace(old.encode(), new.encode()))
    return folder


def table(outcomes: Sequence[Outcome]) -> str:
    """Write a table with a row for each fault."""
    steps = 'the real steps on small heads' if REAL else 'stand-ins for the steps'
    rows = [
        '<!-- Written by make test-faults. -->',
        '# Faults survived',
        '',
        f'Tried with {steps}, seed {SEED}. Survived: no file had wrong or half bytes under its',
        'final name at any time; what could not be done was told, with a status that is not 0;',
        'and the next run ended with the files of an undisturbed one, byte by byte.',
        '',
        '| fault | tried | survived | exit status | what is told |',
        '|---|--:|--:|---|---|',
    ]
    for fault, group in groupby(outcomes, lambda outcome: outcome.fault):
        tried = list(group)
        statuses = ', '.join(map(str, sorted({one.status for one in tried})))
        said = next((one.said for one in tried if one.said), '')
        survived = sum(one.survived for one in tried)
        rows.append(f'| {fault} | {len(tried)} | {survived} | {statuses} | {said} |')
    return '\n'.join(rows) + '\n'
