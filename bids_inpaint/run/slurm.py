"""Nipype's SLURM plugin, with resource requests, and robust against lost jobs."""

import logging
import math
import re
import shlex
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
_MEMORY_MARGIN = 1.25  # the memory of a step varies with the image
# A job starts Python, and loads the libraries of its step.
_LEAST_MB = 500
_FIELD = re.compile(r'\b(JobState|MinMemoryNode|StdErr)=(\S+)')


class SlurmPlugin(SLURMPlugin):
    """Runs each step as a job of SLURM.

    In nipype's plugin, jobs request neither memory nor CPUs, a job that is lost with its node
    ends the run with a TypeError instead of a crash file, and jobs outlive a terminated run.

    Parameters
    ----------
    plugin_args : dict
        As for nipype's `SLURM`. Memory and CPUs in `sbatch_args` override the request of a step.

    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args=plugin_args)

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run a graph; cancel its jobs if it is interrupted."""
        try:
            super().run(graph, config, updatehash=updatehash)
        except (KeyboardInterrupt, Terminated):
            _command('scancel', *map(str, self._pending))
            raise

    def _submit_job(self, node: pe.Node, updatehash: bool = False) -> int:
        """Submit a step with a configuration in which its job reads per cent signs as such."""
        before = node.config
        node.config = {
            section: {key: _escaped(value) for key, value in options.items()}
            for section, options in before.items()
        }
        try:
            return int(super()._submit_job(node, updatehash))
        finally:
            node.config = before

    def _submit_batchtask(self, scriptfile: str, node: pe.Node) -> int:
        """Submit a step with its request; arguments of the user come last, and win."""
        needs = resource_arguments(node.mem_gb, node.n_procs)
        output = shlex.quote(_escaped(str(Path(scriptfile).parent)) + '/slurm-%j.out')
        arguments = ' '.join(filter(None, (f'-o {output} -e {output}', needs, self._sbatch_args)))
        node.plugin_args = {'sbatch_args': arguments, 'overwrite': True}
        # A job could not be cancelled before its number is known.
        with _signals_later():
            return int(super()._submit_batchtask(shlex.quote(scriptfile), node))

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        """Return the result of a job, or None while it runs.

        For a job without a result, nipype gives a traceback as text, then adds a list to it. Here
        it is a list, with the state of the job in SLURM.
        """
        result: dict[str, Any] | None = super()._get_result(taskid)
        if result and isinstance(result['traceback'], str):
            state = job_end(taskid)
            LOGGER.error('SLURM job %d ended without a result: %s', taskid, state)
            result['traceback'] = [
                *result['traceback'].splitlines(keepends=True),
                f'\nTraceback (most recent call last):\nOSError: SLURM job {taskid} ended '
                f'without a result: {state}. The same command resumes the run\n',
            ]
        return result


def _escaped(value: Any) -> Any:
    """Double the per cent signs of a text."""
    return value.replace('%', '%%') if isinstance(value, str) else value


@contextmanager
def _signals_later() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until the block has ended."""
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
    """Resource request of a step, as arguments of sbatch.

    Examples
    --------
    >>> resource_arguments(1.2, 2)
    '--mem=1500M --cpus-per-task=2'

    """
    megabytes = math.ceil(mem_gb * _MEMORY_MARGIN * _MB_PER_GB)
    return f'--mem={max(megabytes, _LEAST_MB)}M --cpus-per-task={n_procs}'


def job_end(job: int) -> str:
    """Ask SLURM how a job ended: its state, memory, and last line of output.

    The state is 'NODE_FAIL', 'TIMEOUT', 'OUT_OF_MEMORY', ...; for a job that ran out of
    memory it may be 'FAILED', and only the last line has the cause.
    """
    fields = dict(_FIELD.findall(_command('scontrol', '--oneliner', 'show', 'job', str(job))))
    if 'JobState' not in fields:
        return 'SLURM has no record of it'
    end = fields['JobState']
    if 'MinMemoryNode' in fields:
        end += f', had {fields["MinMemoryNode"]} of memory'
    last = _last_line(Path(fields.get('StdErr', '/dev/null')))
    return f'{end}, wrote last: {last}' if last else end


def _last_line(path: Path) -> str:
    """Last line of a text file that is not empty; empty if it cannot be read."""
    try:
        return path.read_text(errors='replace').strip().rpartition('\n')[2]
    except OSError:
        return ''


def _command(name: str, *arguments: str) -> str:
    """Output of a command of SLURM; empty if it fails or is missing."""
    program = shutil.which(name)
    if not program or not arguments:
        return ''
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return ran.stdout
