"""A dataset of tiny heads, and the app on it."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import tiny_app
from image_grids import grid_of
from nipype import config as nipype_config
from waiting import run_watched

from bids_inpaint.bids.scan import Scan, parse_t1w

NAMES = {
    'sub-01/anat/sub-01_T1w.nii.gz': ('RAS', 'i2', None),
    'sub-02/ses-a/anat/sub-02_ses-a_run-1_T1w.nii': ('oblique', 'u1', 2.5),
}


@pytest.fixture(autouse=True)
def kept_state() -> Iterator[None]:
    """Undo what a run tells nipype, logging and the environment."""
    sections = {name: dict(nipype_config._config[name]) for name in nipype_config._config}
    environ, root, handlers = (
        dict(os.environ),
        logging.getLogger(),
        logging.getLogger().handlers[:],
    )
    yield
    nipype_config._config.read_dict(sections)
    os.environ.clear()
    os.environ.update(environ)
    root.handlers[:] = handlers


@pytest.fixture
def tiny_dataset(tmp_path) -> Path:
    """Two heads, each in an orientation and type of its own."""
    root = tmp_path / 'raw'
    for name, (grid, dtype, slope) in NAMES.items():
        tiny_app.write_head(root / name, grid_of(grid), dtype=dtype, slope=slope)
    fields = {'Name': 'made', 'BIDSVersion': '1.9.0'}
    (root / 'dataset_description.json').write_text(json.dumps(fields))
    return root


@pytest.fixture
def tiny_models(tmp_path) -> Path:
    """A network in name only."""
    return tiny_app.write_models(tmp_path / 'models')


@pytest.fixture
def line(tiny_dataset, tiny_models, tmp_path) -> Callable[..., list[str]]:
    """Maker of command lines of the app on the tiny dataset."""

    def make(*options: str, models: Path = tiny_models) -> list[str]:
        folders = [str(tiny_dataset), str(tmp_path / 'out'), 'participant']
        return [*folders, '-w', str(tmp_path / 'work'), '--models', str(models), *options]

    return make


@pytest.fixture
def linear(line, tmp_path) -> Callable[..., list[str]]:
    """Maker of command lines of runs within this process."""
    (tmp_path / 'linear.yml').write_text('plugin: Linear')
    return lambda *options: line('--use-plugin', str(tmp_path / 'linear.yml'), *options)


@pytest.fixture
def scans(tiny_dataset) -> list[Scan]:
    """Both images of the dataset."""
    return [parse_t1w(path) for path in sorted(tiny_dataset.rglob('*_T1w.nii*'))]


def tiny_command(arguments: list[str]) -> list[str]:
    """Command of the tiny app in a process of its own."""
    return [sys.executable, tiny_app.__file__, *arguments]


@pytest.fixture
def run_tiny() -> Callable[..., 'subprocess.CompletedProcess[str]']:
    """Run the tiny app in a process of its own: `run_tiny(arguments, TINY_SLEEP='1')`."""

    def run(arguments: list[str], **environ: str) -> 'subprocess.CompletedProcess[str]':
        return run_watched(tiny_command(arguments), env={**os.environ, **environ})

    return run


@pytest.fixture
def tiny_steps(monkeypatch) -> None:
    """Replace in this process what takes long, but for the network."""
    for module, name, value in tiny_app.replacements():
        monkeypatch.setattr(import_module(module), name, value)


@pytest.fixture
def stub_network(monkeypatch) -> None:
    """Replace the network, too."""
    session = tiny_app.stub_session()
    monkeypatch.setitem(sys.modules, session.__name__, session)


def mount(*arguments: str) -> bool:
    """Mount; whether that was allowed."""
    command = [str(shutil.which('mount')), *arguments]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[str, str], Path]]:
    """Maker of folders that are disks of their own: `small_disk('out', 'size=150k')`."""
    mounted = []

    def make(name: str, options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        if os.getuid():
            pytest.skip('mounting a small disk needs root')
        if not mount('-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)):
            pytest.skip('mounting a small disk is not allowed here')
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run([str(shutil.which('umount')), '-l', str(folder)], check=True)
