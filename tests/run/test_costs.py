"""What a run takes that does not depend on the machine."""

import os
import subprocess
import time

import psutil
import pytest
from conftest import tiny_command

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('nprocs', [1, 2])
def test_processes_of_a_run(line, nprocs):
    command = tiny_command(line('--nprocs', str(nprocs)))
    environ = {**os.environ, 'TINY_SLEEP': '0.5'}
    seen = 0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ) as process:
        while process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            seen = max(seen, len(children))
            time.sleep(0.02)
    assert process.returncode == 0
    assert 1 <= seen <= nprocs + 1  # one that draws may begin before one that computed has ended
