"""Nipype's SLURM plugin, made to ask for what a step needs and to bear what happens to jobs."""

import logging
import math
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe
from nipype.pipeline.plugins.slurm import SLURMPlugin

from bids_inpaint.errors import Terminated

LOGGER = logging.getLogger(__name__)

_MB_PER_GB = 1000
_MEMORY_MARGIN = 1.25  # what was measured of a step varies with the image
# A job is a Python of its own, and loads the libraries that the step is written in.
_LEAST_MB = 500
_FIELD = re.compile(r'\b(JobState|MinMemoryNode|StdErr)=(\S+)')


class SlurmPlugin(SLURMPlugin):
    """Runs each step as a job of SLURM.

    In nipype's own, jobs ask for no memory and no CPUs, a job that is lost with its node ends
    the run with a TypeError in place of a crash file, and jobs outlive a run that is ended.

    Parameters
    ----------
    plugin_args : dict
        As for nipype's `SLURM`. What `sbatch_args` says of memory and CPUs goes before what a
        step asks for.

    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args=plugin_args)

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run a graph; if it is ended, cancel its jobs."""
        try:
            super().run(graph, config, updatehash=updatehash)
        except (KeyboardInterrupt, Terminated):
            _command('scancel', *map(str, self._pending))
            raise

    def _submit_batchtask(self, scriptfile: str, node: pe.Node) -> int:
        """Submit a step with what it needs; what the user has asked for comes last, and wins."""
        needs = resource_arguments(node.mem_gb, node.n_procs)
        arguments = ' '.join(filter(None, (needs, self._sbatch_args)))
        node.plugin_args = {'sbatch_args': arguments, 'overwrite': True}
        # A job whose number is not noted yet could not be cancelled.
        with _signals_later():
            return int(super()._submit_batchtask(scriptfile, node))

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        """Give the result of a job, or None while it runs.

        Of a job that left no result nipype gives the traceback as text, and then adds a list to
        it. Here it is a list, and says what SLURM knows of the job.
        """
        result: dict[str, Any] | None = super()._get_result(taskid)
        if result and isinstance(result['traceback'], str):
            state = job_end(taskid)
            LOGGER.error('SLURM job %d ended without a result: %s', taskid, state)
            result['traceback'] = [
                *result['traceback'].splitlines(keepends=True),
                f'\nTraceback (most recent call last):\nOSError: SLURM job {taskid} ended '
                f'without a result: {state}. The same command goes on where this one stopped\n',
            ]
        return result


@contextmanager
def _signals_later() -> Iterator[None]:
    """Put off what ends the run until the block has ended."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in caught:
            signal.raise_signal(late)


def resource_arguments(mem_gb: float, n_procs: int) -> str:
    """Say what a step needs, in arguments of sbatch.

    Examples
    --------
    >>> resource_arguments(1.2, 2)
    '--mem=1500M --cpus-per-task=2'

    """
    megabytes = math.ceil(mem_gb * _MEMORY_MARGIN * _MB_PER_GB)
    return f'--mem={max(megabytes, _LEAST_MB)}M --cpus-per-task={n_procs}'


def job_end(job: int) -> str:
    """Ask SLURM how a job ended: its state, the memory it had, and the last line that it wrote.

    The state is 'NODE_FAIL', 'TIMEOUT', 'OUT_OF_MEMORY', ...; of a job that is killed for memory
    it may be 'FAILED', and only the last line tells.
    """
    told = dict(_FIELD.findall(_command('scontrol', '--oneliner', 'show', 'job', str(job))))
    if 'JobState' not in told:
        return 'SLURM knows nothing of it any more'
    end = told['JobState']
    if 'MinMemoryNode' in told:
        end += f', had {told["MinMemoryNode"]} of memory'
    last = _last_line(Path(told.get('StdErr', '/dev/null')))
    return f'{end}, wrote last: {last}' if last else end


def _last_line(path: Path) -> str:
    """Last line of a text file that is not empty; nothing if it cannot be read."""
    try:
        return path.read_text(errors='replace').strip().rpartition('\n')[2]
    except OSError:
        return ''


def _command(name: str, *arguments: str) -> str:
    """Give what a command of SLURM writes; nothing if it fails or is not there."""
    program = shutil.which(name)
    if not program or not arguments:
        return ''
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return ran.stdout
