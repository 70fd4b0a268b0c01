"""Nipype's processes of this machine, made to bear what happens to processes."""

import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import psutil
from nipype.pipeline import engine as pe
from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer
from nipype.utils.filemanip import crash2txt

from bids_inpaint.bids.atomic import replacing
from bids_inpaint.errors import Terminated

LOGGER = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_VMSTAT = Path('/proc/vmstat')  # counts processes that the kernel killed for want of memory
_GRACE_S = 1.0  # for processes to remove what they have half written


class Crash(NamedTuple):
    """A node that failed: its full name, what was raised, and the crash file if there is one."""

    node: str
    text: str
    crash_file: Path | None


class _Task(NamedTuple):
    """A node that was handed to a process, and whether it has that process for itself."""

    node: pe.Node
    updatehash: bool
    future: 'Future[dict[str, Any]]'
    alone: bool


class ProcessesPlugin(MultiProcPlugin):
    """Runs nodes in processes.

    In nipype's own, a process that is killed, or that cannot save its result, leaves its node
    waiting for ever, processes outlive a parent that is killed, and a crash file that cannot be
    written ends the run. Here the node fails, the processes end, and what failed is kept in
    `crashes`.

    Nipype's own begins every scan before it finishes the first, so that results come at the end
    and the working files of all scans lie about until then. Here scans are finished in their
    order.

    Parameters
    ----------
    plugin_args : dict
        As for nipype's `MultiProc`; processes are forked. With `remove_finished` the working
        directory of a scan is removed when all its nodes are done.

    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args)
        self.crashes: list[Crash] = []
        self.pool: ProcessPoolExecutor = self._new_pool(self.processors)  # nipype's never began
        self._scans: list[tuple[str, ...]] = []  # of each node, by its number
        self._order: dict[tuple[str, ...], int] = {}
        self._left: Counter[tuple[str, ...]] = Counter()
        self._killed_before = count_killed_for_memory()

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run a graph.

        nipype collects garbage around every step, which takes longer than most steps do: what
        is loaded is a quarter of a million objects. They are left out of it meanwhile.
        """
        gc.freeze()
        try:
            super().run(graph, config, updatehash=updatehash)
        except (KeyboardInterrupt, Terminated):
            end_children()
            raise
        finally:
            gc.unfreeze()

    def _generate_dependency_list(self, graph: Any) -> None:
        super()._generate_dependency_list(graph)
        # The names of the graph and of the scan's workflow come first in that of a node.
        self._scans = [tuple(node.fullname.split('.')[:2]) for node in self.procs]
        self._left = Counter(self._scans)
        self._order = {scan: order for order, scan in enumerate(self._left)}

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        """Put the nodes of the first scan that is not finished first."""
        del scheduler
        return sorted(jobids, key=lambda job: (self._order[self._scans[job]], job))

    def _task_finished_cb(self, jobid: int, cached: bool = False) -> None:
        """Count what is left of a scan; one that failed keeps its nodes, and so its files."""
        super()._task_finished_cb(jobid, cached)
        scan = self._scans[jobid]
        self._left[scan] -= 1
        if not self._left[scan] and self.plugin_args.get('remove_finished'):
            folder = Path(self.procs[jobid].base_dir, *scan)
            shutil.rmtree(folder, ignore_errors=True)

    def _new_pool(self, processes: int) -> ProcessPoolExecutor:
        """Make a pool of processes that end with this one."""
        return ProcessPoolExecutor(
            max_workers=processes,
            mp_context=multiprocessing.get_context('fork'),
            initializer=_begin_process,
            initargs=(self._cwd, os.getpid()),
        )

    def _submit_job(self, node: pe.Node, updatehash: bool = False) -> int:
        self._taskid += 1
        self._task_obj[self._taskid] = self._submit(node, updatehash=updatehash)
        return int(self._taskid)

    def _submit(self, node: pe.Node, *, updatehash: bool) -> _Task:
        """Hand a node to the pool; to a new one if a process of the old was killed."""
        try:
            future = self.pool.submit(_run_node, node, updatehash, self._taskid)
        except BrokenProcessPool:
            self.pool = self._new_pool(self.processors)
            future = self.pool.submit(_run_node, node, updatehash, self._taskid)
        return _Task(node, updatehash, future, alone=False)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        """Give the result of a node, or None while it runs.

        When one process is killed its pool is lost, with the nodes of other scans that ran in
        it. Each is tried again in a pool of its own; the culprit then takes nobody with it.
        """
        task: _Task = self._task_obj[taskid]
        if not task.future.done():
            return None
        try:
            return task.future.result()
        except BrokenProcessPool:
            if task.alone:
                return {'result': None, 'traceback': self._killed(task.node)}
        pool = self._new_pool(1)
        future = pool.submit(_run_node, task.node, task.updatehash, taskid)
        pool.shutdown(wait=False)
        self._task_obj[taskid] = task._replace(future=future, alone=True)
        return None

    def _killed(self, node: pe.Node) -> list[str]:
        """Say why a process is gone, and what memory it needs, as the lines of a traceback."""
        sure = count_killed_for_memory() > self._killed_before
        what = 'out of memory' if sure else 'killed, most often for being out of memory'
        return [
            'Traceback (most recent call last):\n',
            f'MemoryError: {what}: had {self.memory_gb:.1f} GB for all steps that run at once, '
            f'needs {node.mem_gb:.1f} GB for this one; give more, or set --nprocs lower\n',
        ]

    def _report_crash(self, node: pe.Node, result: dict[str, Any]) -> str:
        """Keep what failed, and write it to a crash file, whole or not at all."""
        lines = result['traceback']
        folder = Path(node.config['execution']['crashdump_dir'])
        name = f'crash-{time.strftime("%Y%m%d-%H%M%S")}-{node.fullname}-{uuid.uuid4().hex[:8]}.txt'
        crash_file: Path | None = folder / name
        try:
            with replacing(folder / name) as temporary:
                crash2txt(str(temporary), {'node': node, 'traceback': lines})
        except OSError as error:
            LOGGER.debug('no crash file for %s: %s', node.fullname, error)
            crash_file = None
        self.crashes.append(Crash(node.fullname, ''.join(lines), crash_file))
        return str(crash_file)


def _begin_process(folder: str, parent: int) -> None:
    """Set up a new process; it is to be killed when the one that made it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before this was said
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, _exit_at_once)
    process_initializer(folder)


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    """End a process that has nothing to clear away."""
    del frame
    os._exit(128 + number)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    """End what a process does, so that half-written files are removed."""
    del number, frame
    raise Terminated


def end_children() -> None:
    """Ask all processes that this one made to end, and kill those that do not."""
    children = psutil.Process().children(recursive=True)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                ask(child)
        _, children = psutil.wait_procs(children, timeout=_GRACE_S)


def count_killed_for_memory(vmstat: Path = _VMSTAT) -> int:
    """Count processes that the kernel has killed since it was started, for want of memory.

    Those of this container and others alike; zero where the kernel does not tell.
    """
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith('oom_kill ')), 0)


def _run_node(node: pe.Node, updatehash: bool, taskid: int) -> dict[str, Any]:
    """Run a node in a process, and say what it raised if so."""
    text = None
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        node.run(updatehash=updatehash)
    except Terminated:
        _exit_at_once(signal.SIGTERM, None)
    except BaseException:  # noqa: BLE001 - whatever it is, it is to be told by the other process
        text = traceback.format_exception(*sys.exc_info())
    signal.signal(signal.SIGTERM, _exit_at_once)
    return {'result': None, 'traceback': text, 'taskid': taskid}
