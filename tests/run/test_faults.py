"""What a run survives: by stand-ins, or by the real steps on small heads (FAULTS_STEPS=real).

In each case: no file has wrong or half bytes under its final name, at any time; a run that did
not do all ends with a status that is not 0, and a reason; and the next run ends with the bytes of
an undisturbed one. FAULTS says how many runs are killed (4), half as many disks are full, and
FAULTS_SEED when. FAULTS_TABLE is a file for the table of outcomes, which FAULTS_OUTCOMES, a
folder, keeps.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from attempt import Attempt, Outcome, Run, copy_as, keep, kept, table, write_heads
from conftest import mount
from seeded import COUNT, SEED, drawn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
STEPS = (
    'register',
    'denoise',
    'to_template',
    'brain_mask',
    'bias_field',
    'normalise',
    'inpaint',
    'composite',
    'add_change',
)
GROUP = 12345  # of setgid folders
DISKS = max(1, COUNT // 2)


@pytest.fixture(scope='module', autouse=True)
def outcomes() -> Iterator[None]:
    """Write the table after the last test of each worker: the last has all."""
    yield
    if path := os.environ.get('FAULTS_TABLE'):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(table(kept()))


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory) -> Path:
    """Folder of an undisturbed run: `raw`, `out`, and `other`, sub-01 with the head of sub-02."""
    folder = tmp_path_factory.mktemp('undisturbed')
    write_heads(folder)
    run = Attempt(folder, folder / 'models').start('01', '02')
    assert run.end() == 0, run.log.read_text()
    copy_as(folder / 'out', 'sub-02', 'sub-01', folder / 'other')
    return folder


@pytest.fixture
def attempt(undisturbed, tmp_path) -> Iterator[Attempt]:
    """A copy of the dataset, and a watched output folder."""
    shutil.copytree(undisturbed / 'raw', tmp_path / 'raw')
    made = Attempt(tmp_path, undisturbed / 'models', [undisturbed / 'out'])
    made.watch()
    yield made
    made.end()


@pytest.fixture
def survives(attempt) -> Callable[..., None]:
    """Check what must hold after a fault, and take it into the table.

    `reason` is a pattern of what the run says; empty if it can say nothing. `mend` ends the fault,
    and `more` are options of the next run.
    """

    def check(
        fault: str,
        run: Run,
        reason: str,
        mend: Callable[[], object] = lambda: None,
        more: Sequence[str] = (),
    ) -> None:
        status = run.end()
        said = run.told(reason)
        expected = attempt.expected[-1]
        if status == 0:
            told = not all(attempt.differs(one) for one in attempt.expected)
        else:
            told = not reason or bool(said)
        mend()
        again = attempt.start(more=more)
        again.end()
        log = again.log.read_text()
        left, wrong = attempt.differs(expected), attempt.wrong()
        right = told and again.process.returncode == 0 and not left and not wrong
        keep(Outcome(fault, status, said if status else '', right))
        assert wrong == []
        assert told, (status, run.log.read_text())
        assert again.process.returncode == 0, log
        assert left == [], log

    return check


def seeds(count: int) -> list[str]:
    return [f'seed{SEED}-{number}' for number in range(count)]


def step_for(fault: str) -> str:
    return drawn(fault).choice(STEPS)


@pytest.mark.parametrize('number', range(COUNT), ids=seeds(COUNT))
def test_killed(attempt, survives, undisturbed, number):
    draw = drawn(f'kill {number}')
    lines = (undisturbed / '0.log').read_text().count('sub-01')
    line, then = draw.randrange(lines), draw.uniform(0, 1)
    run = attempt.start()
    run.wait_for(lambda: run.lines() > line)
    time.sleep(then)
    run.process.kill()
    survives('kill -9 at a random moment', run, '')
    assert run.end() in {0, -signal.SIGKILL}


def size_for(number: int, fault: str, undisturbed: Path) -> int:
    """Bytes of a disk that is full before the end; of all sizes in turn."""
    share = (number + drawn(f'{fault} {number}').uniform(0.05, 0.95)) / DISKS
    paths = [path for path in (undisturbed / 'out').rglob('*sub-01*') if path.is_file()]
    return int(0.9 * share * sum(path.stat().st_size for path in paths))


@pytest.mark.parametrize('number', range(DISKS), ids=seeds(DISKS))
def test_output_disk_full(attempt, survives, undisturbed, small_disk, number):
    small_disk('out', f'size={max(4096, size_for(number, "disk", undisturbed))}')
    survives(
        'output disk full',
        attempt.start(),
        'No space left on device',
        mend=lambda: mount('-o', 'remount,size=1g', str(attempt.out)),
    )


@pytest.mark.parametrize('number', range(DISKS), ids=seeds(DISKS))
def test_quota_of_the_output(attempt, survives, undisturbed, number):
    size = size_for(number, 'quota', undisturbed)
    run = attempt.start(fault=f'quota {attempt.out} {size}')
    survives('quota of the output used up', run, 'Disk quota exceeded')


def test_work_dir_deleted(attempt, survives):
    run, go_on = attempt.hold(step_for('work'))
    shutil.rmtree(attempt.work, ignore_errors=True)
    go_on.touch()
    survives('work directory deleted', run, 'was removed during the run: do not remove it')


def test_input_changed(attempt, survives, undisturbed):
    run, go_on = attempt.hold(step_for('change'))
    attempt.expected.append(undisturbed / 'other')
    other = next((undisturbed / 'raw/sub-02/anat').glob('*_T1w.nii.gz'))
    shutil.copy(other, attempt.t1w)
    go_on.touch()
    survives('input changed', run, 'it was changed during the run')


def test_input_removed(attempt, survives, undisturbed):
    run, go_on = attempt.hold(step_for('remove'))
    source = undisturbed / attempt.t1w.relative_to(attempt.folder)
    attempt.t1w.unlink()
    go_on.touch()
    survives(
        'input removed',
        run,
        'expected a file, found none',
        mend=lambda: shutil.copy(source, attempt.t1w),
    )


def test_two_runs_of_different_participants(attempt, undisturbed):
    runs = [attempt.start(label) for label in ('01', '02')]
    status = max(run.end() for run in runs)
    left, wrong = attempt.differs(undisturbed / 'out', '01', '02'), attempt.wrong()
    right = not (status or left or wrong)
    keep(Outcome('two runs at once, of different participants', status, '', right))
    assert wrong == left == []
    assert status == 0, [run.log.read_text() for run in runs]


@pytest.mark.parametrize('works', [('work', 'work'), ('work', 'work2')], ids='-'.join)
def test_two_runs_of_the_same_participant(attempt, undisturbed, works):
    runs = [attempt.start(work=work) for work in works]
    statuses = [run.end() for run in runs]
    said = [run.told('expected one run at a time') for run in runs]
    left, wrong = attempt.differs(undisturbed / 'out'), attempt.wrong()
    told = [not status or text for status, text in zip(statuses, said, strict=True)]
    where = 'one working folder' if len(set(works)) == 1 else 'working folders of their own'
    right = 0 in statuses and all(told) and not left and not wrong
    fault = f'two runs at once, of the same participant, {where}'
    keep(Outcome(fault, max(statuses), ''.join(said), bool(right)))
    assert wrong == left == []
    assert right, [run.log.read_text() for run in runs]


def test_output_is_mounted_read_only(attempt, survives, small_disk):
    small_disk('out', 'ro')
    survives(
        'output on a read-only mount',
        attempt.start(),
        'output folder must be writable',
        mend=lambda: mount('-o', 'remount,rw', str(attempt.out)),
    )


def test_output_becomes_read_only(attempt, survives, small_disk):
    small_disk('out', 'size=1g')
    run, go_on = attempt.hold(step_for('read-only'))
    assert mount('-o', 'remount,ro', str(attempt.out))
    go_on.touch()
    survives(
        'output becomes read-only during the run',
        run,
        'Read-only file system',
        mend=lambda: mount('-o', 'remount,rw', str(attempt.out)),
    )


@pytest.mark.parametrize('umask', [0o077, 0o002])
@pytest.mark.skipif(os.getuid() != 0, reason='a folder of another group needs root')
def test_umask_and_setgid(attempt, undisturbed, umask):
    attempt.out.mkdir()
    os.chown(attempt.out, -1, GROUP)
    attempt.out.chmod(0o2777 & ~umask)
    run = attempt.start(umask=umask)
    status = run.end()
    odd = [
        (str(path), oct(state.st_mode), state.st_gid)
        for path in (attempt.out, *attempt.out.rglob('*'))
        for state in [path.stat()]
        if state.st_gid != GROUP
        or state.st_mode & 0o7777 != (0o2777 if path.is_dir() else 0o666) & ~umask
    ]
    left, wrong = attempt.differs(undisturbed / 'out'), attempt.wrong()
    right = not (status or odd or left or wrong)
    keep(Outcome(f'umask {umask:03o} in a setgid folder', status, '', right))
    assert status == 0, run.log.read_text()
    assert wrong == left == odd == []


def test_clock_goes_backwards(attempt, survives):
    after_s = drawn('clock').uniform(3, 10)
    run = attempt.start(fault=f'clock {after_s}')
    survives('clock goes back by an hour', run, 'no reason', more=['--skip-existing'])


def test_worker_killed_for_memory(attempt, survives):
    run = attempt.start(fault=f'kill {step_for("memory")}')
    survives('worker killed for memory', run, 'out of memory: had|killed, probably out of memory')
