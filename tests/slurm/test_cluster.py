"""The array script and nipype's plugin on a cluster of two nodes, which lose power and network."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from same_derivatives import check_same
from waiting import PATIENCE_S, run_watched, wait_until

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CLUSTER = Path(__file__).with_name('cluster.sh')
SCRIPT = ROOT / 'hpc/bids_inpaint.sbatch'
TINY = (sys.executable, str(TESTS / 'tiny_app.py'))
LIMITS = ('--nprocs=2', '--omp-nthreads=2')
PLUGIN_PATH = ':'.join(map(str, (ROOT, TESTS, TESTS / 'slurm')))
pytestmark = pytest.mark.slurm


class Cluster:
    """A cluster of two nodes, n1 and n2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, operation: str, *arguments: str, **environ: str
    ) -> 'subprocess.CompletedProcess[str]':
        """Run `cluster.sh OPERATION FOLDER ARGUMENTS`."""
        command = self.command(operation, *arguments)
        return run_watched(command, env={**os.environ, **environ}, cwd=self.folder.parent)

    def command(self, operation: str, *arguments: str) -> list[str]:
        """Command line of `run`."""
        return [str(CLUSTER), operation, str(self.folder), *arguments]

    def __call__(self, operation: str, *arguments: str, **environ: str) -> str:
        """Run something that must not fail, and give what it writes."""
        ran = self.run(operation, *arguments, **environ)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def queue(self) -> str:
        """Tell of the jobs that are not finished."""
        asked = self.run('exec', 'squeue', '--noheader', '--format=%j %T %N')
        return asked.stdout if not asked.returncode else 'no answer'

    def node_of(self, job_name: str) -> str:
        """Wait until a job runs; tell where."""
        job = re.compile(rf'^{re.escape(job_name)}\S* RUNNING (\S+)$', re.MULTILINE)
        wait_until(lambda: job.search(self.queue()), self.queue)
        return job.search(self.queue())[1]

    def wait(self) -> None:
        """Wait until no job is left."""
        wait_until(lambda: not self.queue().strip(), self.queue)

    def wait_for_nodes(self) -> None:
        """Wait until both nodes are at work again."""
        idle = ('exec', 'sinfo', '--noheader', '--Node', '--states=idle', '--format=%N %T')

        def are_idle() -> bool:
            lines = self.run(*idle).stdout.split('\n')
            return {'n1 idle', 'n2 idle'} <= set(lines)

        wait_until(are_idle, lambda: self.run('exec', 'sinfo', '--Node', '--long').stdout)


@pytest.fixture(scope='module')
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """Make a cluster; its name is that of its folder, and those of its networks."""
    if not shutil.which('slurmctld') or os.getuid():
        pytest.skip('needs SLURM and root; make test-slurm')
    made = Cluster(tmp_path_factory.mktemp('slurm') / f'bi{os.getpid()}')
    made('up', 'n1', 'n2')
    yield made
    made('down')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory) -> Path:
    """Folder with `data` of three participants, `models`, and `local`, made on this machine."""
    folder = tmp_path_factory.mktemp('tiny')
    environ = {**os.environ, 'PYTHONPATH': str(ROOT)}
    make = [sys.executable, TESTS / 'containers/make_data.py', folder, '3']
    subprocess.run(make, check=True, env=environ)
    folders = [f'{folder}/data', f'{folder}/local', 'participant', '-w', f'{folder}/w']
    options = [f'--models={folder}/models', f'--bids-database-dir={folder}/db']
    subprocess.run([*TINY, *folders, *options, *LIMITS], check=True, env=environ)
    return folder


@pytest.fixture
def submit(cluster, tiny, tmp_path) -> Callable[..., None]:
    """Submit the array script for some participants: `submit('1-3', TINY_WAIT='go')`."""

    def submit_array(array: str, **environ: str) -> None:
        limits = ('--mem=1500M', '--cpus-per-task=2')  # a task fills a node
        arguments = (*limits, f'--array={array}', f'--chdir={tmp_path}', str(SCRIPT))
        usual = {
            'DATA': f'{tiny}/data',
            'OUT': f'{tmp_path}/out',
            'RUN': ' '.join(TINY),
            'OPTIONS': f'--models={tiny}/models --bids-database-dir={tiny}/db',
            'SCRATCH': f'{cluster.folder}/scratch',
            'PYTHONPATH': str(ROOT),
        }
        cluster('exec', 'sbatch', *arguments, **{**usual, **environ})

    return submit_array


def logs(folder: Path) -> str:
    """Join the logs of all tasks."""
    return '\n'.join(path.read_text() for path in sorted(folder.glob('bids_inpaint_*.log')))


def wait_for_log(folder: Path, text: str, count: int) -> None:
    """Wait until the logs have a text so often."""
    wait_until(lambda: logs(folder).count(text) >= count, lambda: logs(folder))


def node_of(folder: Path, subject: str) -> str:
    """Tell on which node a participant was begun."""
    return re.search(rf'{subject} on (\w+), attempt', logs(folder))[1]


def test_an_array_gives_what_one_machine_gives_and_may_be_submitted_again(
    cluster, submit, tiny, tmp_path
):
    submit('1-3')
    cluster.wait()
    assert logs(tmp_path).count('ended with status 0') == 3, logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', ['sub-01', 'sub-02', 'sub-03'])
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob('out/sub-*/anat/*')}
    next(tmp_path.glob('out/sub-02/anat/*_mask.nii.gz')).unlink()
    submit('1-3', AFTER='1')
    cluster.wait()
    assert logs(tmp_path).count('1 of 1 T1w images are left') == 3 + 1
    assert logs(tmp_path).count('0 of 1 T1w images are left') == 1
    assert 'participants.tsv has no participant number 4' in logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', ['sub-01', 'sub-02', 'sub-03'])
    same = {path for path, written in times.items() if path.stat().st_mtime_ns == written}
    assert {path.parts[-3] for path in same} == {'sub-01', 'sub-03'}


@pytest.fixture
def submit_containers(submit, tiny, tmp_path) -> Callable[..., None]:
    """`submit`, with the tiny app in a container: `submit_containers('1-2', '--env=A=b')`."""
    image = os.environ.get('BIDS_INPAINT_SIF')
    if not image or not shutil.which('apptainer'):
        pytest.skip('needs apptainer and BIDS_INPAINT_SIF; make test-containers sets it')

    def submit_array(array: str, *options: str, **environ: str) -> None:
        (tmp_path / 'out').mkdir()
        folders = f'{TESTS}:/tests:ro,{tiny}:{tiny},{tmp_path}/out:{tmp_path}/out'
        line = ['apptainer exec --containall -B', f'{folders},{{scratch}}:{{scratch}}', *options]
        run = ' '.join([*line, image, 'python /tests/tiny_app.py'])
        drop = {'APPTAINER_DROP_CAPS': 'CAP_SYS_RESOURCE', 'TMPDIR': '/tmp'}  # noqa: S108 - anyone
        submit(array, RUN=run, **drop, **environ)

    return submit_array


def test_an_array_of_containers(cluster, submit_containers, tiny, tmp_path):
    submit_containers('1-2')
    cluster.wait()
    assert logs(tmp_path).count('ended with status 0') == 2, logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', ['sub-01', 'sub-02'])
    description = json.loads((tmp_path / 'out/dataset_description.json').read_text())
    assert description['GeneratedBy'][0]['Container']['Type'] == 'singularity'


def check_end_of_a_task(cluster: Cluster, tmp_path: Path) -> None:
    """Ask the task to end as at a time limit, when the script alone is told; see that it did."""
    wait_for_log(tmp_path, 'denoise\n', 1)
    cluster('exec', 'scancel', '--batch', '--signal=TERM', '--name=bids_inpaint')
    cluster.wait()
    assert 'sub-01 ended with status 143' in logs(tmp_path)
    assert list((tmp_path / 'scratch').iterdir()) == []
    assert [p for p in (tmp_path / 'out').rglob('.*') if p.name != '.bidsignore'] == []


def test_a_task_that_is_asked_to_end(cluster, submit, tmp_path):
    (tmp_path / 'scratch').mkdir()
    submit('1', TINY_WAIT=f'{tmp_path}/never', SCRATCH=f'{tmp_path}/scratch')
    check_end_of_a_task(cluster, tmp_path)


def test_containers_are_asked_to_end(cluster, submit_containers, tmp_path):
    (tmp_path / 'scratch').mkdir()
    submit_containers('1', '--env=TINY_WAIT=/never', SCRATCH=f'{tmp_path}/scratch')
    check_end_of_a_task(cluster, tmp_path)


def test_a_node_that_loses_power(cluster, submit, tiny, tmp_path):
    submit('1-2', TINY_WAIT=f'{tmp_path}/go')
    wait_for_log(tmp_path, 'denoise\n', 2)
    lost = node_of(tmp_path, 'sub-02')
    assert node_of(tmp_path, 'sub-01') != lost
    cluster('kill', lost)
    (tmp_path / 'go').touch()
    cluster.wait()
    cluster('start', lost)
    cluster.wait_for_nodes()
    assert logs(tmp_path).count('ended with status 0') == 2, logs(tmp_path)
    assert re.search(r'sub-02 on \w+, attempt \d+_1\n', logs(tmp_path)), logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', ['sub-01', 'sub-02'])


def test_a_node_that_is_cut_off_goes_on_writing(cluster, submit, tiny, tmp_path):
    submit('2', TINY_WAIT=f'{tmp_path}/go')
    wait_for_log(tmp_path, 'denoise\n', 1)
    lost = node_of(tmp_path, 'sub-02')
    cluster('cut', lost)
    wait_for_log(tmp_path, 'denoise\n', 2)
    (tmp_path / 'go').touch()  # both attempts go on, and write the same files
    wait_for_log(tmp_path, 'ended with status 0', 2)
    cluster.wait()
    cluster('heal', lost)
    cluster.wait_for_nodes()
    begun = re.findall(r'sub-02 on (\w+), attempt \d+_(\d)\n', logs(tmp_path))
    assert begun == [(lost, '0'), ('n2' if lost == 'n1' else 'n1', '1')]
    assert logs(tmp_path).count('1 of 1 T1w images are left') == 2
    check_same(tmp_path / 'out', tiny / 'local', ['sub-02'])
    assert [p for p in (tmp_path / 'out').rglob('.*') if p.name != '.bidsignore'] == []


@pytest.fixture
def plugin_line(tiny, tmp_path) -> list[str]:
    """Command line of a run by the plugin, for one participant, by a user without a name."""
    arguments = '{plugin: SLURM, plugin_args: {sbatch_args: --no-requeue}}'
    (tmp_path / 'plugin.yml').write_text(arguments)
    return [
        *('env', '--unset=LOGNAME', '--unset=USER'),
        *(*TINY, f'{tiny}/data', f'{tmp_path}/out', 'participant', f'--work-dir={tmp_path}/w'),
        *(f'--models={tiny}/models', f'--use-plugin={tmp_path}/plugin.yml', *LIMITS),
        '--participant-label=01',
    ]


def test_the_plugin_tells_of_a_lost_job_and_then_gives_what_one_machine_gives(
    cluster, plugin_line, tiny, tmp_path
):
    running = subprocess.Popen(
        cluster.command('exec', *plugin_line),
        env={**os.environ, 'PYTHONPATH': PLUGIN_PATH, 'TINY_WAIT': f'{tmp_path}/never'},
        stderr=subprocess.PIPE,
        text=True,
    )
    node = cluster.node_of('denoise.')
    cluster('kill', node)
    told = running.communicate(timeout=PATIENCE_S)[1]
    cluster('start', node)
    cluster.wait_for_nodes()
    assert running.returncode == 1, told
    assert re.search(r'SLURM job \d+ ended without a result: NODE_FAIL', told), told
    assert '1 of 1 T1w images failed' in told
    assert 'TypeError' not in told
    cluster('exec', *plugin_line, PYTHONPATH=PLUGIN_PATH)
    check_same(tmp_path / 'out', tiny / 'local', ['sub-01'])
    jobs = (cluster.folder / 'log/jobcomp.log').read_text()
    # Names, CPUs and memory, as SLURM saw them.
    assert re.search(r'Name=to_template\.\S+\.uid0 .* ProcCnt=1 .*Tres=cpu=1,mem=', jobs), jobs
    assert re.search(r'Name=inpaint\.\S+\.uid0 .* ProcCnt=2 .*Tres=cpu=2,mem=2500M', jobs), jobs
