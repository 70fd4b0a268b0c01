"""Running, and saying what failed, with graphs of one node or two."""

import gc
import itertools
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from nipype.interfaces.utility import Function
from nipype.pipeline import engine as pe

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.run import execute
from bids_inpaint.run.failures import error_message, find_failures, read_crashes
from bids_inpaint.run.processes import Crash, ProcessesPlugin

SOURCES = ('sub-01/anat/sub-01_T1w.nii.gz', 'sub-01/anat/sub-01_run-2_T1w.nii.gz')


def refuse(name):
    from pathlib import Path as ImportedPath

    from bids_inpaint.errors import BidsInpaintError as ImportedError

    try:
        ImportedPath('/no/such/file').read_bytes()
    except OSError as error:
        msg = f'{name}: expected\na NIfTI image'
        raise ImportedError(msg) from error


def divide():
    return 1 / 0


def leave():
    import sys as imported_sys

    imported_sys.exit(3)


def kill():
    import os as imported_os

    imported_os.kill(imported_os.getpid(), 9)


def wait_and_count(path):
    import time as imported_time
    from pathlib import Path as ImportedPath

    imported_time.sleep(0.5)
    with ImportedPath(path).open('a') as stream:
        stream.write('x')
    return path


@pytest.fixture
def scans(make_dataset):
    root = make_dataset(*SOURCES)
    return [parse_t1w(root / name) for name in SOURCES]


@pytest.fixture
def make_workflow(settings, scans):
    """Maker of a graph: of each scan, a function and its inputs."""

    def make(*functions, follow=None, **changed):
        execute._configure_nipype(replace(settings, **changed))
        workflow = pe.Workflow(name='app_wf', base_dir=str(settings.run_work_dir))
        for scan, (function, inputs) in zip(scans, functions, strict=True):
            scan_wf = pe.Workflow(name=scan.workflow_name)
            interface = Function(list(inputs), ['out'], function=function)
            node = pe.Node(interface, name='step')
            node.inputs.trait_set(**inputs)
            scan_wf.add_nodes([node])
            if follow:
                after = pe.Node(Function(['path'], ['out'], function=follow), name='after')
                scan_wf.connect(node, 'out', after, 'path')
            workflow.add_nodes([scan_wf])
        return workflow

    return make


def run_with(plugin, workflow, settings, scans, tmp_path):
    """Run with a plugin, and return what failed."""
    if plugin != 'MultiProc':
        (tmp_path / 'plugin.yml').write_text(f'plugin: {plugin}')
        settings = replace(settings, plugin_file=tmp_path / 'plugin.yml')
    crashes, error = execute._run(workflow, settings, scans)
    return find_failures(crashes, scans), error


@pytest.mark.parametrize('plugin', ['Linear', 'MultiProc'])
def test_a_failure_is_told_by_scan_step_and_message(
    plugin, make_workflow, settings, scans, tmp_path
):
    workflow = make_workflow((refuse, {'name': 'a.nii'}), (divide, {}))
    failures, error = run_with(plugin, workflow, settings, scans, tmp_path)
    assert error is not None
    found = {f.scan.name: (f.step, f.reason) for f in failures}
    assert found == {
        'sub-01': ('step', 'a.nii: expected a NIfTI image'),
        'sub-01_run-2': ('step', 'ZeroDivisionError: division by zero'),
    }
    for failure in failures:
        assert failure.crash_file.parent == settings.run_log_dir
        assert 'Traceback' in failure.crash_file.read_text()
    # The files alone tell the same, for plugins that run elsewhere.
    again = find_failures(read_crashes(settings.run_log_dir), scans)
    assert {f.scan.name: (f.step, f.reason) for f in again} == found


@pytest.mark.slow
@pytest.mark.parametrize('plugin', ['Linear', 'MultiProc'])
def test_a_failure_does_not_stop_the_other_scan(plugin, make_workflow, settings, scans, tmp_path):
    counted = tmp_path / 'count'
    workflow = make_workflow(
        (divide, {}), (wait_and_count, {'path': str(counted)}), follow=wait_and_count
    )
    failures, _ = run_with(plugin, workflow, settings, scans, tmp_path)
    assert [f.scan.name for f in failures] == ['sub-01']
    assert counted.read_text() == 'xx'


def test_a_clock_that_is_set_back_holds_nothing_up(
    make_workflow, settings, scans, tmp_path, monkeypatch
):
    clock, naps, sleep = itertools.count(0, -3600), [], time.sleep
    monkeypatch.setattr('nipype.pipeline.plugins.base.time', lambda: float(next(clock)))
    monkeypatch.setattr(
        'nipype.pipeline.plugins.base.sleep', lambda s: (naps.append(s), sleep(min(s, 1)))
    )
    function = (wait_and_count, {'path': str(tmp_path / 'count')})
    workflow = make_workflow(function, function)
    assert run_with('MultiProc', workflow, settings, scans, tmp_path) == ([], None)
    assert naps
    assert max(naps) < 1


@pytest.mark.slow
def test_a_killed_process_fails_its_own_scan_only(make_workflow, settings, scans, tmp_path):
    counted = tmp_path / 'count'
    workflow = make_workflow(
        (kill, {}), (wait_and_count, {'path': str(counted)}), follow=wait_and_count
    )
    started = time.monotonic()
    failures, _ = run_with('MultiProc', workflow, settings, scans, tmp_path)
    assert time.monotonic() - started < 60
    ((failure),) = failures
    assert (failure.scan.name, failure.step) == ('sub-01', 'step')
    assert 'killed' in failure.reason
    assert 'out of memory: had 4.0 GB' in failure.reason
    assert 'needs 0.2 GB' in failure.reason
    assert failure.crash_file.exists()
    assert 'xx' in counted.read_text()


def test_a_crash_file_that_cannot_be_written_is_not_needed(
    make_workflow, settings, scans, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, 'No space left on device')

    workflow = make_workflow((divide, {}), (refuse, {'name': 'a.nii'}))
    monkeypatch.setattr('bids_inpaint.run.processes.crash2txt', full)
    failures, _ = run_with('MultiProc', workflow, settings, scans, tmp_path)
    assert {(f.scan.name, f.crash_file) for f in failures} == {
        ('sub-01', None),
        ('sub-01_run-2', None),
    }
    assert list(settings.run_log_dir.iterdir()) == []


@pytest.mark.slow
def test_stop_on_first_crash(make_workflow, settings, scans, tmp_path):
    counted = tmp_path / 'count'
    workflow = make_workflow(
        (divide, {}),
        (wait_and_count, {'path': str(counted)}),
        follow=wait_and_count,
        stop_on_first_crash=True,
    )
    crashes, error = execute._run(workflow, settings, scans)
    assert isinstance(error, RuntimeError)
    assert [f.scan.name for f in find_failures(crashes, scans)] == ['sub-01']
    time.sleep(1.2)  # what was running may end, what would follow it does not begin
    assert not counted.exists() or counted.read_text() == 'x'


def test_a_step_that_exits_fails_its_scan_and_not_the_run(
    make_workflow, settings, scans, tmp_path
):
    workflow = make_workflow((leave, {}), (divide, {}))
    failures, _ = run_with('MultiProc', workflow, settings, scans, tmp_path)
    assert {failure.reason for failure in failures} == {
        'SystemExit: 3',
        'ZeroDivisionError: division by zero',
    }


@pytest.mark.slow
def test_a_result_that_cannot_be_saved_is_a_failure(
    make_workflow, settings, scans, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    workflow = make_workflow((wait_and_count, {'path': str(tmp_path / 'count')}), (divide, {}))
    monkeypatch.setattr('nipype.pipeline.engine.nodes._save_resultfile', full)
    failures, _ = run_with('MultiProc', workflow, settings, scans, tmp_path)
    reasons = {failure.scan.name: failure.reason for failure in failures}
    assert reasons['sub-01'] == 'OSError: [Errno 28] No space left on device'


def test_no_garbage_is_looked_for_among_what_is_loaded(make_workflow, settings, scans):
    frozen = []
    workflow = make_workflow((divide, {}), (divide, {}))
    execute._configure_nipype(settings)
    plugin = ProcessesPlugin(
        {
            'n_procs': 1,
            'memory_gb': 1,
            'status_callback': lambda *_: frozen.append(gc.get_freeze_count()),
        }
    )
    with pytest.raises(RuntimeError):
        workflow.run(plugin=plugin)
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0
    assert len(find_failures(plugin.crashes, scans)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(('nprocs', 'most'), [(1, 1), (2, 2), (8, 3)])
def test_there_is_at_most_one_process_more_than_scans(
    make_workflow, settings, scans, tmp_path, nprocs, most
):
    settings = replace(settings, nprocs=nprocs)
    noted = tmp_path / 'noted'
    inputs = {'path': str(noted)}
    workflow = make_workflow(*[(note_process, inputs)] * 2, follow=note_process)
    assert execute._run(workflow, settings, scans) == ([], None)
    assert 1 <= len(set(noted.read_text().split())) <= most


@pytest.mark.slow
def test_steps_of_a_scan_stay_in_one_process(make_workflow, settings, scans, tmp_path):
    paths = [tmp_path / scan.name for scan in scans]
    steps = [
        (note_process, {'path': str(path), 'seconds': seconds})
        for path, seconds in zip(paths, (0, 1), strict=True)
    ]
    workflow = make_workflow(*steps, follow=note_process)
    settings = replace(settings, nprocs=3)
    assert execute._run(workflow, settings, scans) == ([], None)
    first, second = ([*map(int, path.read_text().split())] for path in paths)
    assert first == first[:1] * 2
    assert second == second[:1] * 2
    assert first != second


class _LoadsInputSpec(BaseInterfaceInputSpec):
    path = traits.Str(mandatory=True)


class _LoadsOutputSpec(TraitedSpec):
    out = traits.Str()


class Loads(SimpleInterface):
    """Note the process that loads ahead, and the one that runs."""

    input_spec = _LoadsInputSpec
    output_spec = _LoadsOutputSpec

    def load_ahead(self):
        note_process(self.inputs.path)

    def _run_interface(self, runtime):
        self._results['out'] = note_process(self.inputs.path)
        return runtime


@pytest.mark.slow
@pytest.mark.parametrize(
    ('nprocs', 'memory_gb', 'ahead'), [(2, 4, True), (1, 4, False), (2, 0.5, False)]
)
def test_a_process_with_nothing_to_do_loads_what_a_later_step_needs(
    settings, tmp_path, nprocs, memory_gb, ahead
):
    execute._configure_nipype(settings)
    workflow = pe.Workflow(name='app_wf', base_dir=str(settings.run_work_dir))
    scan_wf = pe.Workflow(name='scan_wf')
    first = pe.Node(Function(['path'], ['out'], function=note_process), 'first', mem_gb=0.3)
    first.inputs.path = str(tmp_path / 'noted')
    loads = pe.Node(Loads(), 'loads', mem_gb=0.3)
    last = pe.Node(Function(['path'], ['out'], function=note_process), 'last', mem_gb=0.3)
    scan_wf.connect([(first, loads, [('out', 'path')]), (loads, last, [('out', 'path')])])
    loads.inputs.path = str(tmp_path / 'loaded')
    workflow.add_nodes([scan_wf])
    workflow.run(plugin=ProcessesPlugin({'n_procs': nprocs, 'memory_gb': memory_gb}))
    home, *ran = (tmp_path / 'noted').read_text().split()
    if ahead:
        assert (tmp_path / 'loaded').read_text().split() == ran[:1] != [home]
    else:
        assert not (tmp_path / 'loaded').exists()
        assert ran[0] == home
    assert ran[1] == home


@pytest.mark.slow
def test_steps_that_wait_for_a_process_are_run(settings, tmp_path):
    execute._configure_nipype(settings)
    workflow = pe.Workflow(name='app_wf', base_dir=str(settings.run_work_dir))
    scan_wf = pe.Workflow(name='scan_wf')
    for number in range(7):
        interface = Function(['path'], ['out'], function=wait_and_count)
        node = pe.Node(interface, name=f'step{number}', mem_gb=0.1)
        node.inputs.path = str(tmp_path / 'count')
        scan_wf.add_nodes([node])
    workflow.add_nodes([scan_wf])
    workflow.run(plugin=ProcessesPlugin({'n_procs': 7, 'memory_gb': 4}))
    assert (tmp_path / 'count').read_text() == 'x' * 7


def note_process(path, seconds=0):
    import os as imported_os
    import time as imported_time
    from pathlib import Path as ImportedPath

    imported_time.sleep(seconds)
    with ImportedPath(path).open('a') as stream:
        stream.write(f'{imported_os.getpid()}\n')
    return path


def note_start(path, name):
    from pathlib import Path as ImportedPath

    with ImportedPath(path).open('a') as stream:
        stream.write(f'{name}\n')
    return path


def note_end(path):
    from pathlib import Path as ImportedPath

    with ImportedPath(path).open('a') as stream:
        stream.write('after\n')


@pytest.mark.slow
@pytest.mark.parametrize('keep', [False, True])
def test_a_scan_is_finished_and_cleared_away_before_the_next_begins(
    make_workflow, settings, scans, tmp_path, keep
):
    settings = replace(settings, nprocs=1, keep_work_dir=keep)
    inputs = [{'path': str(tmp_path / 'order'), 'name': scan.name} for scan in scans]
    workflow = make_workflow(*((note_start, i) for i in inputs), follow=note_end)
    crashes, error = execute._run(workflow, settings, scans)
    assert (crashes, error) == ([], None)
    order = (tmp_path / 'order').read_text().split()
    assert order == ['sub-01', 'after', 'sub-01_run-2', 'after']
    left = {path.name for path in (settings.run_work_dir / 'app_wf').glob('*_wf')}
    assert left == ({scan.workflow_name for scan in scans} if keep else set())


@pytest.mark.slow
def test_the_files_of_a_scan_that_failed_stay(make_workflow, settings, scans, tmp_path):
    inputs = {'path': str(tmp_path / 'order'), 'name': 'a'}
    workflow = make_workflow((note_start, inputs), (divide, {}))
    failures, _ = run_with('MultiProc', workflow, settings, scans, tmp_path)
    assert [f.scan.name for f in failures] == ['sub-01_run-2']
    left = [path.name for path in (settings.run_work_dir / 'app_wf').glob('*_wf')]
    assert left == [scans[1].workflow_name]


def test_processes_end_with_the_one_that_made_them():
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        pool = ProcessesPlugin({'n_procs': 1, 'memory_gb': 1})._new_worker()
        child = pool.submit(os.getpid).result()
        os.write(write, str(child).encode())
        pool.submit(time.sleep, 60)
        time.sleep(60)
    child = int(os.read(read, 20))
    assert is_running(child)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    survived = is_running(child)
    if survived:
        os.kill(child, signal.SIGKILL)  # else it keeps the output of the tests open
    assert not survived


def is_running(process):
    """Whether a process is there, and not waited for only."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_a_scan_is_named_once_with_its_first_failure(scans):
    wf = scans[0].workflow_name
    crashes = [
        Crash(f'app_wf.{wf}.preprocess_wf.conform', 'ValueError: first', None),
        Crash(f'app_wf.{wf}.ds_qc', 'ValueError: second', None),
        Crash('app_wf.other_wf.conform', 'ValueError: third', None),
    ]
    ((failure),) = find_failures(crashes, scans)
    assert (failure.scan, failure.step) == (scans[0], 'conform')
    assert failure.reason == 'ValueError: first'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('Traceback (most recent call last):\n  File "a"\n    b\nKeyError: 3\n', 'KeyError: 3'),
        (
            'Traceback (most recent call last):\n  File "a"\nzlib.error: bad data',
            'error: bad data',
        ),
        ('Traceback (most recent call last):\n  File "a"\nStopIteration\n', 'StopIteration'),
        (
            'Traceback (most recent call last):\n  File "a"\nx.NodeExecutionError: in node\n\n'
            'Traceback:\n\tTraceback (most recent call last):\n\t  File "b"\n'
            '\tbids_inpaint.errors.BidsInpaintError: a.nii: one thing\n\tand another\n\n'
            'When creating this crashfile, the results file\n',
            'a.nii: one thing and another',
        ),
        (
            'Traceback (most recent call last):\n\n  File "a"\n    b\n\n\nOSError: full\n',
            'OSError: full',
        ),
        ('no traceback', 'no traceback'),
        ('', ''),
    ],
)
def test_error_message(text, message):
    assert error_message(text) == message


def test_crash_files_cut_short_are_passed_over(tmp_path):
    (tmp_path / 'crash-1.txt').touch()
    (tmp_path / 'crash-2.txt').write_text('Node: app_wf.a_wf.step\nWorking directory: x\n')
    assert [crash.node for crash in read_crashes(tmp_path)] == ['app_wf.a_wf.step']


@pytest.mark.parametrize(
    'text',
    [
        '',
        'plugin_args: {}',
        'plugin: NoSuch',
        'plugin: [',
        'plugin: Linear\nplugin_args: 3',
        'plugin: [Linear]',
        'plugin: ' + '[' * 10_000,
        '\n'.join(
            [
                'a: &a0 [x, x]',
                *(f'b{n}: &a{n + 1} [{", ".join([f"*a{n}"] * 9)}]' for n in range(20)),
            ]
        )
        + '\nplugin: *a20',
    ],
    ids=range(8),
)
def test_a_plugin_file_that_is_of_no_use_is_refused(settings, tmp_path, text):
    (tmp_path / 'p.yml').write_text(text)
    with pytest.raises(BidsInpaintError, match=re.escape(str(tmp_path / 'p.yml'))):
        execute._plugin(replace(settings, plugin_file=tmp_path / 'p.yml'))


def test_a_plugin_file_gives_plugin_and_arguments(settings, tmp_path):
    (tmp_path / 'p.yml').write_text('plugin: SLURM\nplugin_args: {sbatch_args: --mem=8G}')
    found = execute._plugin(replace(settings, plugin_file=tmp_path / 'p.yml'))
    assert found == ('SLURM', {'sbatch_args': '--mem=8G'})


def test_machine_limits_reach_the_plugin(settings):
    name, arguments = execute._plugin(settings)
    assert name == 'MultiProc'
    assert arguments['n_procs'] == 2
    assert arguments['memory_gb'] == 4
