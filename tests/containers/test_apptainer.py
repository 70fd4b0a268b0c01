"""The image of singularity.def, as Apptainer runs it."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_checks import check_whole
from waiting import run_watched

from bids_inpaint import __version__

TESTS = Path(__file__).parents[1]
pytestmark = pytest.mark.container


@pytest.fixture(scope='session')
def sif() -> str:
    """Path of the image."""
    path = os.environ.get('BIDS_INPAINT_SIF')
    if not path or not shutil.which('apptainer'):
        pytest.skip('needs apptainer and BIDS_INPAINT_SIF; make test-containers sets it')
    return path


def apptainer(*arguments: str, **options: object) -> 'subprocess.CompletedProcess[str]':
    """Run Apptainer, which wants a capability left out that root may lack in a container."""
    command = [str(shutil.which('apptainer')), *arguments]
    environ = {**os.environ, 'APPTAINER_DROP_CAPS': 'CAP_SYS_RESOURCE'}
    environ['TMPDIR'] = '/tmp'  # noqa: S108 - any user may write there
    return run_watched(command, env=environ, **options)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Folder that any user may come to, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def tiny_line(sif, folder) -> Callable[..., list[str]]:
    """Maker of arguments that run the tiny app in the image."""
    made = apptainer(
        *('exec', '--containall', '-B', f'{TESTS}:/tests:ro,{folder}:/tiny', sif),
        *('python', '/tests/containers/make_data.py', '/tiny'),
    )
    assert made.returncode == 0, made.stderr
    for name in ('out', 'work'):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    binds = f'{TESTS}:/tests:ro,{folder}/data:/data:ro,{folder}/models:/models:ro'

    def make(*options: str) -> list[str]:
        return [
            *('exec', *options, '-B', f'{binds},{folder}/out:/out,{folder}/work:/work', sif),
            *('python', '/tests/tiny_app.py', '/data', '/out', 'participant'),
            *('--models=/models', '--nprocs=2', '--work-dir=/work'),
        ]

    return make


def test_version_and_labels(sif):
    assert apptainer('run', '--containall', sif, '--version').stdout == (
        f'bids_inpaint {__version__}\n'
    )
    labels = json.loads(apptainer('inspect', '--json', '--labels', sif).stdout)
    found = labels['data']['attributes']['labels']
    assert found['org.opencontainers.image.version'] == __version__
    assert 'bids_inpaint.sif' in apptainer('run-help', sif).stdout


def test_its_own_test(sif):
    tested = apptainer('test', '--containall', sif)
    assert tested.returncode == 0, tested.stderr


def run_as(user: str, line: list[str], out: Path) -> None:
    """Run the tiny app as a user, from a folder not theirs, and check what it wrote."""
    entry = pwd.getpwnam(user)
    ran = apptainer(*line, cwd='/', user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    assert ran.returncode == 0, ran.stderr
    assert check_whole(out) == ['sub-01', 'sub-02']
    assert {path.stat().st_uid for path in out.rglob('*')} == {entry.pw_uid}


def test_root_with_nothing_of_the_host(tiny_line, folder):
    run_as('root', tiny_line('--containall'), folder / 'out')
    fields = json.loads((folder / 'out/dataset_description.json').read_text())
    assert fields['GeneratedBy'][0]['Container'] == {
        'Type': 'singularity',
        'Tag': f'bids_inpaint:{__version__}-cpu',
    }


def test_a_plain_user_with_a_home_of_the_host(tiny_line, folder):
    home = folder / 'home'
    spoilt = {
        '.config/matplotlib/matplotlibrc': 'backend: none of these\n',
        '.nipype/nipype.cfg': '[execution]\nstop_on_first_crash = perhaps\n',
        '.keras/keras.json': '{"backend": "none of these"}',
        '.local/lib/python3.11/site-packages/numpy/__init__.py': 'raise ImportError\n',
    }
    for name, text in spoilt.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    entry = pwd.getpwnam('nobody')
    for path in [home, *home.rglob('*')]:
        os.chown(path, entry.pw_uid, entry.pw_gid)
    run_as('nobody', tiny_line(f'--home={home}'), folder / 'out')
    assert {str(path.relative_to(home)) for path in home.rglob('*') if path.is_file()} == {*spoilt}
