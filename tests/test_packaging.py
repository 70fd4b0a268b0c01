"""The installed wheel is the same program as the checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bids_inpaint import __version__

ROOT = Path(__file__).parents[1]


def _run(*command, **kwargs):
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


@pytest.mark.parametrize(
    ('file', 'pattern'),
    [
        ('CITATION.cff', r'^version: (.+)$'),
        ('CHANGELOG.md', r'^## (\S+)'),  # the newest
        ('Dockerfile', r'^ARG VERSION=(.+)$'),
        ('singularity.def', r'^ +version=(.+)$'),
    ],
)
def test_version_is_the_same_everywhere(file, pattern):
    found = re.search(pattern, (ROOT / file).read_text(), re.M)
    assert found
    assert found[1] == __version__


@pytest.mark.slow
def test_wheel_brings_program_networks_and_console_script(tmp_path):
    pip = (sys.executable, '-m', 'pip', '--disable-pip-version-check')
    # From a copy, so that building leaves nothing in the checkout.
    source = tmp_path / 'source'
    copied = _run('git', 'clone', '--quiet', str(ROOT), str(source))
    assert copied.returncode == 0, copied.stderr
    options = ('--no-deps', '--no-build-isolation', '--no-index')
    built = _run(*pip, 'wheel', *options, '--wheel-dir', str(tmp_path), str(source))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob('bids_inpaint-*.whl')
    site = tmp_path / 'site'
    installed = _run(*pip, 'install', '--no-deps', '--no-index', '--target', str(site), str(wheel))
    assert installed.returncode == 0, installed.stderr
    environment = {**os.environ, 'PYTHONPATH': str(site)}
    script = _run(str(site / 'bin' / 'bids_inpaint'), '--version', env=environment, cwd=tmp_path)
    assert __version__ in script.stdout + script.stderr
    code = (
        'from bids_inpaint.network.card import models_folder, read_card;'
        "print(models_folder(), read_card(models_folder() / 'blind').name)"
    )
    found = _run(sys.executable, '-c', code, env=environment, cwd=tmp_path)
    assert found.stdout.split() == [str(site / 'bids_inpaint' / 'models'), 'blind'], found.stderr
    networks = {path.parent.name for path in site.rglob('weights.npz')}
    assert networks == {'blind', 'nonblind'}  # no candidates
    assert not list(site.rglob('*.nii*'))  # images of people stay in the source tree


def test_images_of_people_are_in_no_container():
    """Everything is left out but what is named."""
    lines = (ROOT / '.dockerignore').read_text().splitlines()
    first, *others = (line for line in lines if line and not line.startswith('#'))
    assert first == '*'
    assert not [line for line in others if line.startswith(('!demo', '!*', '!.'))]
    copied = [line for line in (ROOT / 'Dockerfile').read_text().splitlines() if 'demo' in line]
    assert copied == []


def test_run_py_is_the_console_script():
    shown = _run(sys.executable, str(ROOT / 'run.py'), '--version')
    assert __version__ in shown.stdout
    assert _run(sys.executable, '-m', 'bids_inpaint', '--version').stdout == shown.stdout
