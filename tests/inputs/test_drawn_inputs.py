"""100 images drawn at random; COUNT and SEED in the environment give others."""

import os
import secrets
import sys
from pathlib import Path

import pytest
from waiting import run_watched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]  # `run_watched` finds what hangs


def test_images_drawn_at_random_have_right_products_or_refusals(capsys):
    seed = os.environ.get('SEED') or str(secrets.randbelow(2**31))
    with capsys.disabled():
        sys.stdout.write(f'\nimages drawn at random: SEED={seed}\n')
    options = ['--count', os.environ.get('COUNT') or '100', '--seed', seed, '--processes', '1']
    ran = run_watched([sys.executable, str(Path(__file__).with_name('try_inputs.py')), *options])
    assert ran.returncode == 0, ran.stdout + ran.stderr
