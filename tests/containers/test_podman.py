"""The image, as Docker and podman run it."""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from container_checks import CONFINED, check_whole
from same_derivatives import check_same
from waiting import wait_until

from bids_inpaint import __version__

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.container

MAX_BYTES = 2_000_000_000


def test_size(podman, image):
    size = int(podman('image', 'inspect', '--format={{.Size}}', image).stdout)
    assert size <= MAX_BYTES


def test_labels(podman, image):
    told = podman('image', 'inspect', '--format={{json .Labels}}', image).stdout
    labels = {name.rpartition('.')[2]: value for name, value in json.loads(told).items()}
    assert labels['version'] == __version__
    assert labels['title'] == 'bids_inpaint'
    assert labels['licenses'] == 'Apache-2.0'
    assert re.fullmatch('[0-9a-f]{40}', labels['revision'])


def test_version_without_anything(podman, image):
    told = podman('run', '--rm', *CONFINED, '--user=4711:4711', image, '--version')
    assert (told.returncode, told.stdout) == (0, f'bids_inpaint {__version__}\n')


@pytest.mark.parametrize(('user', 'home'), [('12345:23456', ''), ('0:0', '/nonexistent')])
def test_any_user_without_home_on_a_read_only_root(podman, tiny_line, out, user, home):
    result = podman(*tiny_line(f'--user={user}', '--umask=0027', HOME=home))
    assert result.returncode == 0, result.stderr
    assert check_whole(out) == ['sub-01', 'sub-02']
    for path in out.rglob('*'):
        status = path.stat()
        assert f'{status.st_uid}:{status.st_gid}' == user
        assert status.st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path
    for name in ('dataset_description.json', 'sub-01/anat/sub-01_desc-inpainted_T1w.json'):
        fields = json.loads((out / name).read_text())
        container = {'Type': 'podman', 'Tag': f'bids_inpaint:{__version__}-cpu'}
        assert fields['GeneratedBy'][0]['Container'] == container


def test_the_other_commands_in_the_image(podman, image, tiny, tiny_line, out, tmp_path):
    assert podman(*tiny_line()).returncode == 0
    (tmp_path / 'filled').mkdir()
    folders = {tiny / 'data': '/data:ro', out: '/out:ro', tmp_path / 'filled': '/filled'}
    volumes = [f'--volume={path}:{place}' for path, place in folders.items()]
    line = ('run', '--rm', *CONFINED, '--entrypoint=bids_inpaint_dataset', *volumes, image)
    made = podman(*line, '/data', '/out', '/filled/bids', '--copy', '--allow-problems')
    assert made.returncode == 0, made.stderr
    products = sorted(out.glob('sub-*/anat/sub-??_desc-inpainted_T1w.nii.gz'))
    filled = sorted(tmp_path.glob('filled/bids/sub-*/anat/*_T1w.nii.gz'))
    assert [path.read_bytes() for path in filled] == [path.read_bytes() for path in products]
    line = ('run', '--rm', *CONFINED, '--entrypoint=bids_inpaint_view', image, '--help')
    assert 'output_dir' in podman(*line).stdout


def test_networks_are_those_of_the_program(podman, image):
    code = (
        'from bids_inpaint.network.card import models_folder as f; print(*sorted(f().iterdir()))'
    )
    told = podman('run', '--rm', *CONFINED, '--entrypoint=python', image, '-c', code)
    names = {Path(path).name for path in told.stdout.split()} - {'__init__.py', '__pycache__'}
    assert names == {'blind', 'nonblind'}, told.stderr


def test_a_change_of_code_leaves_the_dependencies_alone(podman, image, tmp_path):
    for name in ('bids_inpaint', 'models', 'containers'):
        shutil.copytree(ROOT / name, tmp_path / name)
    files = ('Dockerfile', '.dockerignore', 'pyproject.toml', 'setup.py', 'README.md', 'LICENSE')
    for name in (*files, 'NOTICE', 'requirements.lock', 'requirements-gpu.lock'):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / 'bids_inpaint/__init__.py').open('a') as changed:
        changed.write('# changed\n')
    built = podman('build', '--network=none', '--tag=bids_inpaint_changed', str(tmp_path))
    assert built.returncode == 0, built.stderr
    layers = [
        json.loads(podman('image', 'inspect', '--format={{json .RootFS.Layers}}', name).stdout)
        for name in (image, 'bids_inpaint_changed')
    ]
    podman('rmi', 'bids_inpaint_changed')
    assert layers[0][:2] == layers[1][:2]  # base and dependencies
    assert layers[0][2] != layers[1][2]


@pytest.mark.parametrize('step', ['at the start', 'in a step', 'while saving'])
def test_a_container_that_is_stopped_ends_at_once(podman, started, tiny_line, out, step):
    signs = {
        'at the start': lambda: any(out.rglob('config.toml')),
        'in a step': lambda: 'denoise\n' in log.read_text(),
        'while saving': lambda: any(out.rglob('sub-*.nii.gz')),
    }
    waits = {'TINY_WAIT': '/never'} if step == 'in a step' else {}
    name, process, log = started(tiny_line(**waits))
    wait_until(signs[step], log.read_text)
    asked = time.monotonic()
    podman('stop', '--time=60', name)
    process.wait()
    # Without a handler it would have taken the minute, and ended with 137. Most of it is podman's.
    assert time.monotonic() - asked < 30
    told = log.read_text()
    assert process.returncode == 143, told
    assert 'terminated' in told
    assert check_whole(out) != ['sub-01', 'sub-02']


def test_a_scan_that_is_too_large_for_the_container_is_said_to_be(podman, tiny_line, out):
    line = tiny_line('--memory=700m', '--memory-swap=700m', TINY_GREED='900')
    result = podman(*line)
    if 'memory' in result.stderr and 'cgroup' in result.stderr:
        pytest.skip(f'podman cannot limit memory here: {result.stderr.strip()}')
    assert 'memory: have 0.7 GB, a scan needs ' in result.stderr
    rows = [row for row in result.stderr.splitlines() if row.startswith('sub-0')]
    assert len(rows) == 2, result.stderr
    for row in rows:
        assert 'out of memory: had 0.7 GB' in row
        assert 'needs 1.2 GB' in row
    assert result.returncode == 1
    (config,) = out.rglob('config.toml')
    assert tomllib.loads(config.read_text())['mem_gb'] == pytest.approx(0.734, abs=0.001)


def test_a_gpu_that_the_container_was_not_given(podman, image, tiny, out):
    folders = (f'--volume={tiny}/data:/data:ro', f'--volume={out}:/out')
    line = ('run', '--rm', *CONFINED, *folders, image, '/data', '/out', 'participant')
    result = podman(*line, '--device=gpu')
    assert result.returncode == 2
    assert '--gpus all' in result.stderr


def test_an_input_that_was_not_mounted(podman, image):
    result = podman('run', '--rm', *CONFINED, image, '/data', '/out', 'participant')
    assert result.returncode == 2
    assert 'add -v <folder on your machine>:/data' in result.stderr


def test_the_image_does_what_the_checkout_does(podman, image, tmp_path, out):
    build = [sys.executable, ROOT / 'demo/build.py', tmp_path / 'bids', '--truth', tmp_path / 't']
    subprocess.run(build, check=True, env={'PYTHONPATH': str(ROOT)}, capture_output=True)
    options = ('--participant-label=01', '--nprocs=2', '--omp-nthreads=2', '--device=cpu')
    (tmp_path / 'home').mkdir()
    folders = (
        f'--volume={tmp_path}/bids:/data:ro',
        f'--volume={out}:/out',
        f'--volume={tmp_path}/home:/home/user',
        '--env=HOME=/home/user',
    )
    line = ('run', '--rm', *CONFINED, *folders, image, '/data', '/out', 'participant', *options)
    inside = podman(*line)
    assert inside.returncode == 0, inside.stderr
    own = [sys.executable, ROOT / 'run.py', tmp_path / 'bids', tmp_path / 'own', 'participant']
    command = [*map(str, own), '-w', str(tmp_path / 'work'), *options]
    outside = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outside.returncode == 0, outside.stderr
    check_same(out, tmp_path / 'own', ['sub-01'])
    assert list((tmp_path / 'home').rglob('*')) == []
