"""Containers of the image that BIDS_INPAINT_IMAGE names, run as people run them."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_checks import CONFINED
from waiting import run_watched

TESTS = Path(__file__).parents[1]
PODMAN = shutil.which('podman')


@pytest.fixture(scope='session')
def image() -> str:
    """Name of the image."""
    name = os.environ.get('BIDS_INPAINT_IMAGE')
    if not PODMAN or not name:
        pytest.skip('needs podman and BIDS_INPAINT_IMAGE; make test-containers sets both up')
    return name


@pytest.fixture(scope='session')
def podman(tmp_path_factory) -> Callable[..., 'subprocess.CompletedProcess[str]']:
    """Run podman: `podman('run', ..., image)`."""
    folder = tmp_path_factory.mktemp('podman')  # a file `oom` is left there of containers killed

    def run(*arguments: str) -> 'subprocess.CompletedProcess[str]':
        return run_watched([str(PODMAN), *arguments], cwd=folder)

    return run


@pytest.fixture(scope='session')
def tiny(podman, image, tmp_path_factory) -> Path:
    """Folder with `data` and `models` for the tiny app."""
    folder = tmp_path_factory.mktemp('tiny')
    made = podman(
        *('run', '--rm', '--network=none', '--entrypoint=python', '-v', f'{TESTS}:/tests:ro'),
        *('-v', f'{folder}:/tiny', image, '/tests/containers/make_data.py', '/tiny'),
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def out(tmp_path) -> Path:
    """Output folder that any user may write to."""
    folder = tmp_path / 'out'
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def tiny_line(tiny, out, image) -> Callable[..., list[str]]:
    """Maker of arguments of podman that run the tiny app in the image."""

    def make(*options: str, arguments: tuple[str, ...] = (), **environ: str) -> list[str]:
        variables = [f'--env={name}={value}' for name, value in environ.items()]
        mounts = {TESTS: '/tests:ro', tiny / 'data': '/data:ro', tiny / 'models': '/models:ro'}
        volumes = [f'--volume={path}:{place}' for path, place in mounts.items()]
        return [
            *('run', '--rm', '--entrypoint=python', *CONFINED, *volumes, *variables),
            *(f'--volume={out}:/out', *options, image, '/tests/tiny_app.py'),
            *('/data', '/out', 'participant', '--models=/models', '--nprocs=2', *arguments),
        ]

    return make


@pytest.fixture
def started(
    podman, tmp_path
) -> Iterator[Callable[..., tuple[str, 'subprocess.Popen[str]', Path]]]:
    """Start a container: `name, process, log = started(line)`; removed at the end."""
    names = []

    def start(line: list[str]) -> tuple[str, 'subprocess.Popen[str]', Path]:
        names.append(f'bids_inpaint_{uuid.uuid4().hex[:8]}')
        command = [str(PODMAN), line[0], f'--name={names[-1]}', *line[1:]]
        log = tmp_path / f'{names[-1]}.log'
        with log.open('w') as stderr:
            return names[-1], subprocess.Popen(command, stderr=stderr, text=True), log

    yield start
    for name in names:
        podman('rm', '--force', '--ignore', name)
