"""The array script and nipype's plugin on a cluster of two nodes, which lose power and network."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
        return subprocess.run(
            self.command(operation, *arguments),
            env={**os.environ, **environ},
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def command(self, operation: str, *arguments: str) -> list[str]:
        """Command line of `run`."""
        return [str(CLUSTER), operation, str(self.folder), *arguments]

    def __call__(self, operation: str, *arguments: str, **environ: str) -> str:
        """Run something that must not fail, and give what it writes."""
        ran = self.run(operation, *arguments, **environ)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def node_of(self, job_name: str) -> str:
        """Wait until a job runs, at most three minutes; tell where."""
        queue = ('exec', 'squeue', '--noheader', '--states=RUNNING', '--format=%j %N')
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            for line in self.run(*queue).stdout.splitlines():
                name, node = line.split()
                if name.startswith(job_name):
                    return node
            time.sleep(0.5)
        raise TimeoutError(self('exec', 'squeue'))

    def wait(self) -> None:
        """Wait until no job is left, at most five minutes."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            asked = self.run('exec', 'squeue', '--noheader')
            if not asked.returncode and not asked.stdout.strip():
                return
            time.sleep(1)
        raise TimeoutError(self('exec', 'squeue'))


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
    """Folder with `data` of six participants, `models`, and `local`, made on this machine."""
    folder = tmp_path_factory.mktemp('tiny')
    environ = {**os.environ, 'PYTHONPATH': str(ROOT)}
    make = [sys.executable, TESTS / 'containers/make_data.py', folder, '6']
    subprocess.run(make, check=True, env=environ)
    folders = [f'{folder}/data', f'{folder}/local', 'participant']
    options = [
        f'--models={folder}/models',
        f'--bids-database-dir={folder}/db',
        '-w',
        f'{folder}/w',
    ]
    subprocess.run([*TINY, *folders, *options, *LIMITS], check=True, env=environ)
    return folder


@pytest.fixture
def submit(cluster, tiny, tmp_path) -> Callable[..., None]:
    """Submit the array script for some participants: `submit('1-6', TINY_SLEEP='5')`."""

    def submit_array(array: str, **environ: str) -> None:
        arguments = ('--mem=1500M', f'--array={array}', f'--chdir={tmp_path}', str(SCRIPT))
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
    """Wait until the logs have a text so often, at most two minutes."""
    deadline = time.monotonic() + 120
    while logs(folder).count(text) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(logs(folder))
        time.sleep(0.2)


def check_same(out: Path, local: Path, participants: int) -> None:
    """Compare every image and transform with that of the local run."""
    names = [path.relative_to(out) for path in out.glob('sub-*/**/anat/*')]
    files = [name for name in names if name.suffix != '.json']
    assert len({name.parts[0] for name in files}) == participants
    assert len(files) == participants * len(list(local.glob('sub-01/anat/*[!n]')))
    for name in files:
        assert (out / name).read_bytes() == (local / name).read_bytes(), name


def test_an_array_gives_what_one_machine_gives_and_may_be_submitted_again(
    cluster, submit, tiny, tmp_path
):
    submit('1-6')
    cluster.wait()
    assert logs(tmp_path).count('ended with status 0') == 6, logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', 6)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob('out/sub-*/anat/*')}
    next(tmp_path.glob('out/sub-02/anat/*_mask.nii.gz')).unlink()
    submit('1-2')
    cluster.wait()
    assert logs(tmp_path).count('0 of 1 T1w images are left to do') == 1
    assert logs(tmp_path).count('1 of 1 T1w images are left to do') == 7
    check_same(tmp_path / 'out', tiny / 'local', 6)
    same = {path for path, written in times.items() if path.stat().st_mtime_ns == written}
    assert {path.parts[-3] for path in same} == {f'sub-0{n}' for n in (1, 3, 4, 5, 6)}


def test_an_array_may_begin_after_a_participant(cluster, submit, tmp_path):
    submit('1-2', AFTER='5')
    cluster.wait()
    assert logs(tmp_path).count('sub-06 ended with status 0') == 1, logs(tmp_path)
    assert 'participants.tsv has no participant number 7' in logs(tmp_path)


def test_an_array_of_containers(cluster, submit, tiny, tmp_path):
    image = os.environ.get('BIDS_INPAINT_SIF')
    if not image or not shutil.which('apptainer'):
        pytest.skip('needs apptainer and BIDS_INPAINT_SIF; make test-containers sets it')
    (tmp_path / 'out').mkdir()
    folders = f'{TESTS}:/tests:ro,{tiny}:{tiny},{tmp_path}/out:{tmp_path}/out'
    run = f'apptainer exec --containall -B {folders},{{scratch}}:{{scratch}} {image}'
    drop = {'APPTAINER_DROP_CAPS': 'CAP_SYS_RESOURCE', 'TMPDIR': '/tmp'}  # noqa: S108
    submit('1-2', RUN=f'{run} python /tests/tiny_app.py', **drop)
    cluster.wait()
    assert logs(tmp_path).count('ended with status 0') == 2, logs(tmp_path)
    check_same(tmp_path / 'out', tiny / 'local', 2)
    description = json.loads((tmp_path / 'out/dataset_description.json').read_text())
    assert description['GeneratedBy'][0]['Container']['Type'] == 'singularity'


def test_a_node_that_loses_power(cluster, submit, tiny, tmp_path):
    submit('1-2', TINY_SLEEP='5')
    wait_for_log(tmp_path, 'denoise\n', 2)
    cluster('kill', 'n2')
    time.sleep(12)
    cluster('start', 'n2')
    cluster.wait()
    assert logs(tmp_path).count('ended with status 0') == 2, logs(tmp_path)
    assert '_1\n' in logs(tmp_path)  # the second attempt
    check_same(tmp_path / 'out', tiny / 'local', 2)


def test_a_node_that_is_cut_off_goes_on_writing(cluster, submit, tiny, tmp_path):
    submit('1-2', TINY_SLEEP='25')
    wait_for_log(tmp_path, 'denoise\n', 2)
    cluster('cut', 'n2')
    time.sleep(30)
    cluster('heal', 'n2')
    cluster.wait()
    check_same(tmp_path / 'out', tiny / 'local', 2)
    assert [p for p in (tmp_path / 'out').rglob('.*') if p.name != '.bidsignore'] == []


@pytest.fixture
def plugin_line(tiny, tmp_path) -> list[str]:
    """Command line of a run by the plugin, for one participant."""
    arguments = '{plugin: SLURM, plugin_args: {sbatch_args: --no-requeue}}'
    (tmp_path / 'plugin.yml').write_text(arguments)
    return [
        *(*TINY, f'{tiny}/data', f'{tmp_path}/out', 'participant', f'--work-dir={tmp_path}/w'),
        *(f'--models={tiny}/models', f'--use-plugin={tmp_path}/plugin.yml', *LIMITS),
        '--participant-label=01',
    ]


def test_the_plugin_gives_what_one_machine_gives_also_without_logname(
    cluster, plugin_line, tiny, tmp_path
):
    nameless = ('env', '--unset=LOGNAME', '--unset=USER')
    cluster('exec', *nameless, *plugin_line, PYTHONPATH=PLUGIN_PATH)
    check_same(tmp_path / 'out', tiny / 'local', 1)
    assert '.uid0 ' in (cluster.folder / 'log/jobcomp.log').read_text()  # names of the jobs


def test_the_plugin_tells_of_a_job_that_is_lost_with_its_node_and_goes_on(
    cluster, plugin_line, tiny, tmp_path
):
    running = subprocess.Popen(
        cluster.command('exec', *plugin_line),
        env={**os.environ, 'PYTHONPATH': PLUGIN_PATH, 'TINY_SLEEP': '600'},
        stderr=subprocess.PIPE,
        text=True,
    )
    node = cluster.node_of('denoise.')
    cluster('kill', node)
    told = running.communicate(timeout=180)[1]
    cluster('start', node)
    assert running.returncode == 1, told
    assert re.search(r'SLURM job \d+ ended without a result: NODE_FAIL', told), told
    assert '1 of 1 T1w images failed' in told
    assert 'TypeError' not in told
    cluster('exec', *plugin_line, PYTHONPATH=PLUGIN_PATH)
    check_same(tmp_path / 'out', tiny / 'local', 1)
