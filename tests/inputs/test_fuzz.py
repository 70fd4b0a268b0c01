"""A minute of damaged files for all readers; FUZZ_SECONDS and SEED in the environment."""

import os
import secrets
import sys
import tempfile
from pathlib import Path

import pytest
from fuzz import fuzz_apart
from readers import READERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]  # `fuzz` finds what hangs


@pytest.mark.parametrize('name', READERS)
def test_damaged_files_are_read_or_refused(name, capsys):
    seed = int(os.environ.get('SEED') or secrets.randbelow(2**31))
    seconds = float(os.environ.get('FUZZ_SECONDS') or 60) / len(READERS)
    keep = Path(tempfile.gettempdir()) / 'fuzzed'
    tried, failure = fuzz_apart(name, seed=seed, seconds=seconds, keep=keep)
    with capsys.disabled():
        sys.stdout.write(f'\n{name}: {tried} files, SEED={seed}\n')
    assert not failure
    assert tried > 0
