"""The SLURM plugin with commands that stand in for SLURM's."""

import os
import re
import signal
from dataclasses import replace

import pytest
from nipype.interfaces.utility import Function
from nipype.pipeline import engine as pe

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import Terminated
from bids_inpaint.run import execute
from bids_inpaint.run.failures import find_failures
from bids_inpaint.run.slurm import SlurmPlugin, job_end, resource_arguments

SOURCE = 'sub-01/anat/sub-01_T1w.nii.gz'


def add(a, b):
    return a + b


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Folder of made-up sbatch (runs the script, unless `lost` exists), squeue and scontrol."""
    folder = tmp_path / 'commands'
    folder.mkdir()
    scripts = {
        'sbatch': f'echo "$@" >> {folder}/asked\n'
        f'[ -e {folder}/lost ] || bash "${{@: -1}}" >/dev/null\necho Submitted batch job 7\n',
        'squeue': f'echo x >> {folder}/polled\necho none\n',
        'scontrol': 'echo "JobId=7 JobName=a JobState=NODE_FAIL Reason=b"\n',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f'#!/bin/bash\n{script}')
        (folder / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    monkeypatch.setenv('LOGNAME', 'somebody')
    return folder


@pytest.fixture
def run(settings, make_dataset, tmp_path, monkeypatch):
    """Run a graph of one step; return what failed, and the error it ended with."""
    monkeypatch.setattr(execute, '_POLL_QUEUE_SECONDS', 0.1)

    def run_step(work_dir='work', **arguments):
        (tmp_path / 'plugin.yml').write_text(f'{{plugin: SLURM, plugin_args: {arguments}}}')
        changed = replace(
            settings,
            plugin_file=tmp_path / 'plugin.yml',
            work_dir=tmp_path / work_dir,
            output_dir=tmp_path / f'{work_dir}_out',
        )
        execute._configure_nipype(changed)
        scan = parse_t1w(make_dataset(SOURCE) / SOURCE)
        workflow = pe.Workflow(name='app_wf', base_dir=str(changed.work_dir))
        workflow.config['execution'] = {'job_finished_timeout': '0.1'}
        scan_wf = pe.Workflow(name=scan.workflow_name)
        node = pe.Node(Function(['a', 'b'], ['out'], function=add), 'step', n_procs=2, mem_gb=1.6)
        node.inputs.trait_set(a=1, b=2)
        scan_wf.add_nodes([node])
        workflow.add_nodes([scan_wf])
        crashes, error = execute._run(workflow, changed, [scan])
        return find_failures(crashes, [scan]), error

    return run_step


@pytest.mark.slow
def test_memory_and_threads_of_a_step_reach_sbatch(commands, run):
    assert run(sbatch_args='--partition=long') == ([], None)
    asked = (commands / 'asked').read_text()
    assert '--mem=2000M --cpus-per-task=2 --partition=long' in asked
    assert re.search(r'-J step\.sub_01_wf\.app_wf\.somebody', asked)


@pytest.mark.slow
def test_paths_may_have_per_cent_signs_and_spaces(commands, run):
    assert run(work_dir='100% of %(x)s') == ([], None)
    assert '100%% of %%(x)s' in (commands / 'asked').read_text()


@pytest.mark.slow
def test_a_job_that_is_lost_is_told_by_its_state(commands, run):
    (commands / 'lost').touch()
    failures, error = run()
    assert not isinstance(error, TypeError)
    (failure,) = failures
    assert failure.step == 'step'
    assert 'SLURM job 7 ended without a result: NODE_FAIL' in failure.reason


def test_jobs_are_cancelled_when_the_run_is_ended(commands, monkeypatch):
    (commands / 'scancel').write_text(f'#!/bin/bash\necho "$@" > {commands}/cancelled\n')
    (commands / 'scancel').chmod(0o755)
    plugin = SlurmPlugin({})
    plugin._pending = {3: 'a', 4: 'b'}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr('nipype.pipeline.plugins.base.DistributedPluginBase.run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        plugin.run(None, {})
    assert (commands / 'cancelled').read_text() == '3 4\n'


def test_a_run_that_is_ended_while_it_submits_notes_the_job_first(commands):
    plugin = SlurmPlugin({})
    script = f'#!/bin/bash\nkill -TERM {os.getpid()}\necho Submitted batch job 9\n'
    (commands / 'sbatch').write_text(script)
    node = pe.Node(Function(['a', 'b'], ['out'], function=add), 'step', base_dir=str(commands))

    def terminate(*_):
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            plugin._submit_batchtask(str(commands / 'script.sh'), node)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert list(plugin._pending) == [9]


@pytest.mark.usefixtures('commands')
def test_a_state_that_nobody_knows(monkeypatch):
    assert job_end(7) == 'NODE_FAIL'
    monkeypatch.setenv('PATH', '')
    assert 'SLURM' in job_end(7)


def test_a_job_that_was_killed_for_memory(commands):
    (commands / 'job.out').write_text('begun\nerror: Exceeded job memory limit\n\n')
    told = f'JobId=7 JobState=FAILED MinMemoryNode=500M StdErr={commands}/job.out StdIn=/dev/null'
    (commands / 'scontrol').write_text(f'#!/bin/bash\necho "{told}"\n')
    last = 'error: Exceeded job memory limit'
    assert job_end(7) == f'FAILED, had 500M of memory, wrote last: {last}'
    (commands / 'job.out').unlink()
    assert job_end(7) == 'FAILED, had 500M of memory'


@pytest.mark.parametrize(('mem_gb', 'text'), [(0.2, '500M'), (4.0, '5000M')])
def test_resources(mem_gb, text):
    assert resource_arguments(mem_gb, 1) == f'--mem={text} --cpus-per-task=1'
