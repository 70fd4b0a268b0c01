"""The same images come out of any number of threads and processes."""

import sys
from pathlib import Path

import pytest
from made_heads import SMALL, build_heads
from same_derivatives import check_same
from waiting import run_watched

RUN = Path(__file__).parents[1] / 'run.py'
pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]  # `run_watched` finds what hangs


@pytest.fixture
def run_app(tmp_path):
    """Run the real steps on two small heads; return the output folder."""
    build_heads(tmp_path / 'raw', tmp_path / 'truth', SMALL)

    def run(name, *options):
        out = tmp_path / name
        folders = [tmp_path / 'raw', out, 'participant', '--work-dir', tmp_path / 'work']
        done = run_watched([sys.executable, RUN, *folders, '--device', 'cpu', *options])
        assert done.returncode == 0, done.stderr
        return out

    return run


def test_threads_and_processes_change_no_byte(run_app, tmp_path):
    many = run_app('many', '--nprocs', '4', '--omp-nthreads', '2')
    plugin = tmp_path / 'linear.yml'
    plugin.write_text('plugin: Linear')
    one = run_app('one', '--nprocs', '1', '--use-plugin', plugin)
    check_same(one, many, ['sub-01', 'sub-02'])
