"""What a scan costs, beside a plain chain: ``make bench``, or ``python benchmarks/bench.py``.

Whole runs are timed as processes, each followed by the plain chain on the same image with as many
threads (`plain_chain.py`), on as many CPUs as the case says. Writes a row for each run into a
table, and the page docs/benchmarks.md between its markers. Nothing else should run meanwhile.

The whole head is that of the demo. ``--data`` is a folder with ds000011 and ds002748 of OpenNeuro,
for the extracted brain and the cohort.
"""

import argparse
import contextlib
import csv
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
import psutil
from scipy import ndimage

from bids_inpaint.image.volume import open_nifti

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs/benchmarks.md'
TABLE = ROOT / 'docs/results/benchmarks.tsv'
COHORT = ('01', '02', '04', '05', '06', '08', '09', '11')
_GB, _MB = 1024**3, 1e6
_SEED = 0
_INTERVAL_S = 0.25
_STARTS = 3
COLUMNS = (
    'case', 'cores', 'wall_s', 'core_s', 'core_s_per_scan', 'memory_gb', 'working_gb',
    'files_per_scan', 'mb_per_scan', 'plain_core_s', 'ratio', 'steps',
)  # fmt: skip


class Case(NamedTuple):
    """A dataset to run, on how many CPUs, with its images."""

    name: str
    cores: int
    images: dict[str, Path]
    zoom_mm: float = 0.0


class Cost(NamedTuple):
    """What a process cost."""

    wall_s: float
    core_s: float
    memory_gb: float
    working_gb: float


class PeakWatch(threading.Thread):
    """Samples the memory of a process tree, and the size of a folder, until it ends."""

    def __init__(self, process: psutil.Popen, folder: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.folder = process, folder
        self.memory_bytes, self.disk_bytes = 0, 0

    def run(self) -> None:
        """Sample until the process is gone."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            self.memory_bytes = max(self.memory_bytes, tree_memory(self.process))
            self.disk_bytes = max(self.disk_bytes, folder_size(self.folder))
            time.sleep(_INTERVAL_S)


def tree_memory(process: psutil.Process) -> int:
    """Proportional set size of a process and all its children, in bytes."""
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_full_info().pss
    except psutil.Error:  # one of them ended meanwhile
        pass
    return total


def folder_size(folder: Path) -> int:
    """Bytes on disk of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what is removed meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_blocks * 512
    return total


def cases(head: Path, data: Path | None) -> Iterator[Case]:
    """Choose images; those that are not there are left out."""
    one = {'01': head}
    yield Case('head, 1 mm', 1, one)
    yield Case('head, 1 mm', 2, one)
    yield Case('head, 0.8 mm', 1, one, 0.8)
    yield Case('head, 0.5 mm', 1, one, 0.5)
    if data is None:
        return
    brain = next((data / 'ds002748/sub-02').rglob('*_T1w.nii.gz'))
    yield Case('brain, 288 x 288 x 181', 1, {'02': brain})
    heads = {name: next((data / f'ds000011/sub-{name}').rglob('*_T1w.nii*')) for name in COHORT}
    yield Case('8 heads, 1 mm', 2, heads)


def write_dataset(case: Case, folder: Path) -> list[Path]:
    """Write the images of a case as a dataset; finer voxels get noise of their own."""
    folder.mkdir(parents=True)
    fields = {'Name': case.name, 'BIDSVersion': '1.9.0'}
    (folder / 'dataset_description.json').write_text(json.dumps(fields))
    written = []
    for label, source in case.images.items():
        suffix = '.nii.gz' if source.name.endswith('.gz') else '.nii'
        path = folder / f'sub-{label}/anat/sub-{label}_T1w{suffix}'
        path.parent.mkdir(parents=True)
        if case.zoom_mm:
            refine(source, case.zoom_mm).to_filename(path)
        else:
            shutil.copyfile(source, path)
        written.append(path)
    return written


def refine(source: Path, zoom_mm: float) -> nb.Nifti1Image:
    """Resample an image to finer voxels, with noise of 2 % of its 99th percentile."""
    img = open_nifti(source)
    data = np.asarray(img.dataobj, np.float32)
    factors = np.array(img.header.get_zooms()[:3]) / zoom_mm
    fine = ndimage.zoom(data, factors, order=1)
    noise = np.random.default_rng(_SEED).normal(0, 0.02 * np.percentile(data, 99), fine.shape)
    affine = img.affine @ np.diag([*(np.array(data.shape) / fine.shape), 1])
    return nb.Nifti1Image(np.clip(fine + noise, 0, 32767).astype(np.int16), affine)


def cost_of(command: Sequence[str], cores: int, work: Path) -> Cost:
    """Run a command on the first CPUs, and measure it with all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    usable = sorted(os.sched_getaffinity(0))[:cores]
    process = psutil.Popen(
        list(command),
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, usable),
    )
    watch = PeakWatch(process, work)
    watch.start()
    status = process.wait()
    wall = time.monotonic() - started
    watch.join()
    if status:
        raise subprocess.CalledProcessError(status, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, core, watch.memory_bytes / _GB, watch.disk_bytes / _GB)


def run_case(case: Case, folder: Path, plain_core_s: float | None) -> dict[str, Any]:
    """Run the app on a case, and the plain chain unless its core seconds are given."""
    images = write_dataset(case, folder / 'raw')
    out, work = folder / 'out', folder / 'work'
    work.mkdir()
    threads = ['--nprocs', str(case.cores)]
    app = [sys.executable, str(ROOT / 'run.py'), str(folder / 'raw'), str(out), 'participant']
    cost = cost_of([*app, '-w', str(work), '--device', 'cpu', *threads], case.cores, work)
    if plain_core_s is None:
        chain = [sys.executable, str(ROOT / 'benchmarks/plain_chain.py'), str(images[0])]
        plain = cost_of([*chain, str(folder / 'plain'), str(case.cores)], case.cores, work)
        plain_core_s = plain.core_s
    files = [p for p in out.rglob('*') if p.is_file() and 'logs' not in p.parts]
    of_scans = [p for p in files if p.relative_to(out).parts[0].startswith('sub-')]
    number = len(images)
    per_scan = cost.core_s / number
    return {
        'case': case.name,
        'cores': case.cores,
        'wall_s': round(cost.wall_s, 1),
        'core_s': round(cost.core_s, 1),
        'core_s_per_scan': round(per_scan, 1),
        'memory_gb': round(cost.memory_gb, 2),
        'working_gb': round(cost.working_gb, 2),
        'files_per_scan': round(len(of_scans) / number, 1),
        'mb_per_scan': round(sum(p.stat().st_size for p in of_scans) / number / _MB, 1),
        'plain_core_s': round(plain_core_s, 1),
        'ratio': round(plain_core_s / per_scan, 1),
        'steps': steps_of(next(out.rglob('*_desc-inpainted_T1w.json'))),
    }


def start_up(head: Path, folder: Path) -> tuple[float, float]:
    """Time `--help`, and from the command to the first step of a run; the best of three."""
    case = Case('start', 1, {'01': head})
    write_dataset(case, folder / 'raw')
    app = [sys.executable, str(ROOT / 'run.py')]
    folders = [str(folder / 'raw'), str(folder / 'out'), 'participant', '-w', str(folder / 'work')]
    run = [*app, *folders, '--device', 'cpu']
    help_s, first_step_s = [], []
    for _ in range(_STARTS):
        started = time.monotonic()
        subprocess.run([*app, '--help'], stdout=subprocess.DEVNULL, check=True)
        help_s.append(time.monotonic() - started)
        started = time.monotonic()
        with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as process:
            next(line for line in process.stderr or () if 'sub-01: conform' in line)
            first_step_s.append(time.monotonic() - started)
            process.terminate()
    return min(help_s), min(first_step_s)


def steps_of(sidecar: Path) -> str:
    """Seconds of each step of a scan, as text."""
    steps = json.loads(sidecar.read_text())['Steps']
    return ' '.join(f'{step["step"]}:{step["seconds"]:.1f}' for step in steps)


def machine() -> str:
    """Describe machine and versions in a line."""
    text = Path('/proc/cpuinfo').read_text()
    model = re.search(r'model name\s*: (.+)', text)
    tensorflow = packages_distributions()['tensorflow'][0]  # on a machine without GPU another
    names = ('antspyx', tensorflow, 'keras', 'numpy', 'scipy', 'nipype')
    versions = ', '.join(f'{name} {version(name)}' for name in names)
    return (
        f'{model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, a loop of 5 million '
        f'additions {loop_s():.2f} s; Python {platform.python_version()}, {versions}; '
        f'{datetime.now(UTC):%Y-%m-%d}'
    )


def loop_s() -> float:
    """Time a plain loop: it tells a slow machine from a slow program."""
    started, total = time.process_time(), 0
    for number in range(5_000_000):
        total += number
    return time.process_time() - started


def page(rows: Sequence[dict[str, Any]], about: str, starts: tuple[float, float]) -> str:
    """Make the generated part of the page."""
    lines = [
        f'{about}.',
        '',
        f'`--help` takes {starts[0]:.1f} s. The first step begins {starts[1]:.1f} s after the '
        'command.',
        '',
        '| images | cores | wall, s | core s a scan | memory, GB | working files, GB '
        '| files a scan | MB a scan | plain chain, core s | ratio |',
        f'|---{"|--:" * 9}|',
    ]
    keys = ('case', 'cores', 'wall_s', *COLUMNS[4:11])
    lines += ['| ' + ' | '.join(str(row[key]) for key in keys) + ' |' for row in rows]
    lines += ['', '| images | cores | step: s |', '|---|--:|---|']
    lines += [f'| {row["case"]} | {row["cores"]} | {row["steps"]} |' for row in rows]
    return '\n'.join(lines)


def read_rows(table: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of a table that is there already, by case and number of CPUs."""
    if not table.exists():
        return {}
    with table.open(newline='') as file:
        return {(row['case'], row['cores']): row for row in csv.DictReader(file, delimiter='\t')}


def main() -> int:
    """Run the cases, and write table and page."""
    parser = argparse.ArgumentParser(description='Measure the costs of a scan.')
    parser.add_argument('--head', type=Path, default=ROOT / 'demo/images/ds000011-12_T1w.nii.gz')
    parser.add_argument('--data', type=Path, help='folder with ds000011 and ds002748')
    parser.add_argument(
        '--only',
        nargs='+',
        default=[],
        help='cases, or parts of them, as "head, 1 mm, 2 cores"; the other rows stay',
    )
    parser.add_argument(
        '--keep-plain',
        action='store_true',
        help='take the plain chain, which takes most of the time, from the table',
    )
    parser.add_argument('--table', type=Path, default=TABLE)
    parser.add_argument('--page', type=Path, default=PAGE)
    options = parser.parse_args()
    rows = read_rows(options.table) if options.only or options.keep_plain else {}
    for case in cases(options.head, options.data):
        name = f'{case.name}, {case.cores} cores'
        if options.only and not any(part in name for part in options.only):
            continue
        with tempfile.TemporaryDirectory(prefix='bids_inpaint_bench_') as folder:
            before = rows.get((case.name, str(case.cores))) if options.keep_plain else None
            row = run_case(case, Path(folder), float(before['plain_core_s']) if before else None)
        rows[case.name, str(case.cores)] = row
        sys.stdout.write(f'{row}\n')
        sys.stdout.flush()
        with options.table.open('w', newline='') as file:
            table = csv.DictWriter(file, COLUMNS, delimiter='\t')
            table.writeheader()
            table.writerows(rows.values())
    with tempfile.TemporaryDirectory(prefix='bids_inpaint_bench_') as folder:
        starts = start_up(options.head, Path(folder))
    text = options.page.read_text()
    made = f'<!-- bench -->\n\n{page(list(rows.values()), machine(), starts)}\n\n<!-- end -->'
    options.page.write_text(
        re.sub(r'<!-- bench -->.*?<!-- end -->', lambda _: made, text, flags=re.S)
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
