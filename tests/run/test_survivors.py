"""No process of a run outlives it, whatever ends it and when.

FAULTS says how many runs are ended (4), FAULTS_SEED by which moments, drawn at random.
"""

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest
import tiny_app
from conftest import tiny_command
from image_grids import grid_of
from seeded import COUNT, SEED, drawn

from bids_inpaint.cli.process import raising_signals
from bids_inpaint.run import pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
LOGGER = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
PEOPLE = 4
AT_LATEST_S = 10
LINES = 260  # about as many as such a run writes; pages are made after the last


def processes_of(run: str) -> list[int]:
    """Processes with the mark of a run in their environment, but those waited for only."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            marked = f'TINY_RUN={run}\0'.encode() in (folder / 'environ').read_bytes()
        except OSError:  # it has ended, or is of somebody else
            continue
        if marked:  # what has ended has no environment
            found.append(int(folder.name))
    return found


@pytest.fixture
def people(tiny_dataset):
    """More participants, so that a run lasts, and several pages are made at once."""
    for label in range(10, 10 + PEOPLE - 2):
        name = f'sub-{label}/anat/sub-{label}_T1w.nii.gz'
        tiny_app.write_head(tiny_dataset / name, grid_of('RAS'))


def end_at_random(command: list[str], number: int) -> tuple[int, list[int]]:
    """End a run at a moment; return its status, and which of its processes are left after 10 s."""
    draw = drawn(f'end {number}')
    line, then = draw.randrange(LINES), draw.uniform(0, 2)
    what = SIGNALS[number % len(SIGNALS)]
    run = uuid.uuid4().hex
    process = subprocess.Popen(
        command,
        env={**os.environ, 'TINY_RUN': run},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for _ in range(line):
        if not process.stderr.readline():
            break
    time.sleep(then)
    alive = len(processes_of(run))
    process.send_signal(what)
    asked = time.monotonic()
    while processes_of(run) and time.monotonic() - asked < AT_LATEST_S:
        process.poll()
        time.sleep(0.05)
    left = processes_of(run)
    took = time.monotonic() - asked
    LOGGER.info('%s %.2f s after line %d: %d processes', what.name, then, line, alive)
    LOGGER.info('%d of them left after %.1f s', len(left), took)
    for survivor in left:
        os.kill(survivor, signal.SIGKILL)
    process.stderr.close()
    return process.wait(), left


@pytest.mark.usefixtures('people')
@pytest.mark.parametrize('number', range(COUNT), ids=lambda number: f'seed{SEED}-{number}')
def test_no_process_outlives_a_run(line, number):
    status, left = end_at_random(tiny_command(line('--nprocs', '2', '--mem', '4')), number)
    assert left == []
    assert status in {0, 143, 130, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL}


@pytest.mark.parametrize('what', SIGNALS)
def test_processes_that_draw_pages_end_with_the_run(settings, monkeypatch, what):
    monkeypatch.setattr(pages, 'report_participant', lambda *_: time.sleep(600))
    monkeypatch.delitem(sys.modules, 'keras', raising=False)
    jobs = [pages._Job(settings.output_dir, subject, [], []) for subject in ('1', '2', '3')]
    run = os.fork()
    if run == 0:
        try:
            with raising_signals():
                pages._run(jobs, 2)
        finally:
            os._exit(1)
    main = psutil.Process(run)
    while len(drawing := main.children()) < 2:
        time.sleep(0.01)
    main.send_signal(what)
    os.waitpid(run, 0)
    assert psutil.wait_procs(drawing, timeout=AT_LATEST_S)[1] == []
