"""Table f: time and memory of one prediction, by threads and device.

Two predictions for each number of threads, and what it takes to load the libraries.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bids_inpaint.bids.names import of_same_scan
from bids_inpaint.evaluation.cases import Setup, brains_of
from bids_inpaint.evaluation.report import Row, Table
from bids_inpaint.network.device import visible_gpus

_CHILD = 'bids_inpaint.evaluation.one_prediction'
# Libraries take their number of threads when they are loaded.
_THREAD_VARIABLES = (
    'OMP_NUM_THREADS',
    'OPENBLAS_NUM_THREADS',
    'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS',
)


def make(setup: Setup) -> list[Table]:
    """Measure each method and number of threads in a process of its own."""
    path = next((path for _, path, _ in brains_of(setup, 'test')), None)
    rows: list[Row] = []
    if path is not None:
        gpus = visible_gpus()
        for device, method, threads in plan(os.cpu_count() or 1, gpu=bool(gpus)):
            found = run_child(method, path, setup.models / 'blind', device, threads)
            rows.append({'device': device, 'threads': threads, 'method': method, **found})
    return [
        Table(
            'f_time_and_memory',
            'f. Time and memory of one prediction',
            rows,
            [
                'One healthy test brain at 1 mm; each row in a new process. `nothing` starts and '
                'loads; `resampling` goes to native space and back. `next_s`: a second image in '
                'the same process. Manjon et al. 2020: about 8 s on a CPU, 0.5 s on a GPU.',
                'Other programs that ran meanwhile count too.'
                if path is not None
                else 'Left out: there is no test participant.',
            ],
        )
    ]


def plan(cpus: int, *, gpu: bool) -> Iterator[tuple[str, str, int]]:
    """Device, method and threads of each measurement: powers of two up to all CPUs.

    Examples
    --------
    >>> [threads for _, method, threads in plan(6, gpu=False) if method == 'network']
    [1, 2, 4, 6]

    """
    yield 'cpu', 'nothing', 1
    yield 'cpu', 'resampling', 1
    threads = 1
    while threads < cpus:
        yield 'cpu', 'network', threads
        threads *= 2
    yield 'cpu', 'network', cpus
    if gpu:
        yield 'gpu', 'nothing', 1
        yield 'gpu', 'network', 1


def run_child(
    method: str, t1w_file: Path, model: Path, device: str, threads: int
) -> dict[str, Any]:
    """Measure in a new process.

    Raises
    ------
    RuntimeError
        If that process fails; with the end of what it said.

    """
    mask_file = of_same_scan(t1w_file, 'preproc', 'brain_mask')
    command = [sys.executable, '-m', _CHILD, method, t1w_file, mask_file, model, device]
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
    done = subprocess.run(
        [*map(str, command), str(threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f'{_CHILD} {method} on {t1w_file} ended with {done.returncode}: {done.stderr[-500:]}'
        raise RuntimeError(msg)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
