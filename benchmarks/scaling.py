"""A SLURM array of many tasks without their computation, to see what grows with their number.

``python benchmarks/scaling.py TEMPLATE FOLDER [--scans 1000] [--shrink 20]``, as root, with SLURM
installed: makes a dataset and a cluster of two nodes in FOLDER, submits `hpc/bids_inpaint.sbatch`
for all participants, waits, and runs the group level. TEMPLATE is an output folder in which sub-01
was processed (see `benchmarks/stand_in.py`). Prints, for each tenth of the tasks in the order in
which they ended, medians of what they took.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = Path(__file__).with_name('stand_in.py')
CLUSTER = ROOT / 'tests/slurm/cluster.sh'
COLUMNS = ('cpu', 'wall', 'opened', 'listed')
_T1W_BYTES = 1000  # nobody reads them
_POLL_S = 5.0
_TENTHS = 10
_PATIENCE_S = '120'  # both nodes are this machine, and it is busy


def make_dataset(folder: Path, scans: int) -> Path:
    """Write a dataset of that many participants, with a T1w image each, in name only."""
    labels = [f'sub-{number:06}' for number in range(1, scans + 1)]
    for label in labels:
        anat = folder / label / 'anat'
        anat.mkdir(parents=True)
        (anat / f'{label}_T1w.nii.gz').write_bytes(bytes(_T1W_BYTES))
    description = {'Name': 'scaling', 'BIDSVersion': '1.9.0'}
    (folder / 'dataset_description.json').write_text(json.dumps(description))
    (folder / 'participants.tsv').write_text('\n'.join(['participant_id', *labels, '']))
    return folder


@contextlib.contextmanager
def stand_in(template: Path, shrink: int, folder: Path) -> Iterator[str]:
    """Serve the stand-in; gives the command that runs it."""
    notes, address = folder / 'notes', folder / 'socket'
    notes.mkdir()
    command = [STAND_IN, 'serve', template, shrink, address, notes]
    with subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE) as server:
        try:
            if not server.stdout or server.stdout.readline() != b'ready\n':
                msg = f'{STAND_IN} must say that it is ready; its messages are above'
                raise RuntimeError(msg)
            yield f'{sys.executable} -IS {STAND_IN} run {address}'
        finally:
            server.terminate()


def read_notes(folder: Path) -> list[dict[str, Any]]:
    """Read what was noted of each run, in the order in which they ended."""
    return [json.loads(path.read_text()) for path in sorted((folder / 'notes').iterdir())]


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[None]:
    """Make a cluster of two nodes, and end it."""
    patient = {**os.environ, 'PATIENCE': _PATIENCE_S}
    subprocess.run([CLUSTER, 'up', folder, 'n1', 'n2'], check=True, env=patient)
    try:
        yield
    finally:
        subprocess.run([CLUSTER, 'down', folder], check=True)


def run_array(cluster: Path, folder: Path, scans: int, **environ: str) -> float:
    """Submit the array, wait for its end, and return the seconds that it took."""
    limits = ('--mem=1500M', '--cpus-per-task=1', f'--chdir={folder / "logs"}')
    script = [str(ROOT / 'hpc/bids_inpaint.sbatch')]
    (folder / 'logs').mkdir()
    (folder / 'scratch').mkdir()
    started = time.monotonic()
    in_cluster = [str(CLUSTER), 'exec', str(cluster)]
    submit = [*in_cluster, 'sbatch', *limits, f'--array=1-{scans}', *script]
    subprocess.run(submit, check=True, env={**os.environ, **environ})
    queue = [*in_cluster, 'squeue', '--noheader', '--array', '--format=%i']
    while True:
        asked = subprocess.run(queue, check=False, capture_output=True)
        left = len(asked.stdout.split())
        if not asked.returncode and not left:
            return time.monotonic() - started
        # A controller that is busy may not answer.
        sys.stderr.write(f'{time.monotonic() - started:.0f} s: {left} tasks left\n')
        time.sleep(_POLL_S)


def tenths(notes: Sequence[dict[str, Any]]) -> list[str]:
    """Make a line for each tenth of the runs: medians."""
    lines = ['tasks'.ljust(14) + ''.join(name.rjust(10) for name in COLUMNS)]
    for tenth in range(_TENTHS):
        first, last = (len(notes) * number // _TENTHS for number in (tenth, tenth + 1))
        middle = [statistics.median(one[name] for one in notes[first:last]) for name in COLUMNS]
        lines.append(
            f'{first + 1}-{last}'.ljust(14) + ''.join(f'{value:10.3f}' for value in middle)
        )
    return lines


def main() -> int:
    """Run all, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('template', type=Path)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--scans', type=int, default=1000)
    parser.add_argument('--shrink', type=int, default=20, help='divides the size of images')
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    data, out, index = make_dataset(folder / 'data', asked.scans), folder / 'out', folder / 'index'
    cluster = folder / f'bi{os.getpid()}'  # names the networks, too
    with stand_in(asked.template.resolve(), asked.shrink, folder) as command, two_nodes(cluster):
        timed: dict[str, float] = {}

        def time_of(what: str, *arguments: str) -> None:
            started = time.monotonic()
            subprocess.run([*command.split(), data, out, *arguments], check=True)
            timed[what] = time.monotonic() - started

        kept = f'--bids-database-dir={index}'
        time_of('index', 'participant', '--dry-run', kept)
        environ = {'DATA': str(data), 'OUT': str(out), 'RUN': command, 'OPTIONS': kept}
        timed['array'] = run_array(
            cluster, folder, asked.scans, SCRATCH=str(folder / 'scratch'), **environ
        )
        time_of('group', 'group')
    index_note, *tasks, group_note = read_notes(folder)
    report = [f'{what}: {seconds:.1f} s wall' for what, seconds in timed.items()]
    for what, note in (('index', index_note), ('group', group_note)):
        report.append(f'{what}: ' + ', '.join(f'{name} {note[name]:.3f}' for name in COLUMNS))
    failed = sum(note['status'] != 0 for note in tasks)
    report += [f'{len(tasks)} tasks, {failed} failed', *tenths(tasks)]
    sys.stdout.write('\n'.join(report) + '\n')
    return 1 if failed or len(tasks) != asked.scans else 0


if __name__ == '__main__':
    sys.exit(main())
