"""Nipype's plugin for local processes, made robust against killed processes."""

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
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import psutil
from nipype.pipeline import engine as pe
from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer
from nipype.utils.filemanip import crash2txt

from bids_inpaint.errors import Terminated
from bids_inpaint.files import replacing
from bids_inpaint.run.failures import Crash

LOGGER = logging.getLogger(__name__)

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_VMSTAT = Path('/proc/vmstat')  # counts processes that the kernel killed when out of memory
_GRACE_S = 1.0  # for processes to remove half-written files


def _scan_of(node: pe.Node) -> tuple[str, ...]:
    """Names of the graph and of the workflow of a scan."""
    return tuple(node.fullname.split('.')[:2])


class _Task(NamedTuple):
    """A node to run, the worker that does, once there is one, and whether one was killed."""

    node: pe.Node
    updatehash: bool
    worker: int | None = None
    future: 'Future[dict[str, Any]] | None' = None
    again: bool = False


class ProcessesPlugin(MultiProcPlugin):
    """Runs nodes in processes.

    In nipype's plugin, a node waits forever if its process is killed or cannot save its result,
    processes outlive a killed parent, and a crash file that cannot be written ends the run. Here
    the node fails, the processes end, and failures are kept in `crashes`.

    Nipype's plugin starts every scan before it finishes the first, so results come at the end,
    and working files of all scans exist until then. Here scans are finished in order.

    Each process has to load TensorFlow and the template, and few steps of a scan can run at once:
    there is at most one process more than scans, and the steps of a scan go to the one that ran
    the first, if it is idle. If there is one more, it calls the method `load_ahead` of the first
    interface that has one, and runs the nodes of such interfaces.

    Parameters
    ----------
    plugin_args : dict
        As for nipype's `MultiProc`; processes are forked. With `remove_finished` the working
        directory of a scan is removed when all its nodes are done.

    """

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args)
        self.crashes: list[Crash] = []
        self._killed_before = count_killed_for_memory()

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run a graph.

        nipype collects garbage around every step, which takes longer than most steps, with a
        quarter of a million objects loaded. These are excluded from it during the run.
        """
        gc.freeze()
        try:
            with ending_children():
                super().run(graph, config, updatehash=updatehash)
        finally:
            gc.unfreeze()

    def _prerun_check(self, graph: Any) -> None:
        """Choose the number of processes, before they start."""
        super()._prerun_check(graph)
        scans = {_scan_of(node) for node in graph.nodes()}
        number = min(self.processors, len(scans) + 1)
        self._workers = [self._new_worker() for _ in range(number)]  # nipype's pool is unused
        self._homes: dict[tuple[str, ...], int] = {}  # worker that ran the first step of a scan
        # None is forked later, from a process with threads at work.
        wait([worker.submit(os.getpid) for worker in self._workers])
        loading = [node for node in graph.nodes() if hasattr(node.interface, 'load_ahead')]
        needed = 2 * max((node.mem_gb for node in graph.nodes()), default=0)
        self._spare: int | None = None  # worker that has loaded what such nodes need
        if loading and number > len(scans) and self.memory_gb >= needed:
            self._spare = number - 1
            self._workers[self._spare].submit(loading[0].interface.load_ahead)

    def _postrun_check(self) -> None:
        """End the processes."""
        super()._postrun_check()
        for worker in self._workers:
            worker.shutdown()

    @cached_property
    def _scans(self) -> list[tuple[str, ...]]:
        """Scan of each node, by number of the node."""
        return [_scan_of(node) for node in self.procs]

    @cached_property
    def _left(self) -> Counter[tuple[str, ...]]:
        """Number of unfinished nodes of each scan, in the order of the scans."""
        return Counter(self._scans)

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        """Sort nodes by the order of their scans."""
        del scheduler
        order = {scan: number for number, scan in enumerate(self._left)}
        return sorted(jobids, key=lambda job: (order[self._scans[job]], job))

    def _task_finished_cb(self, jobid: int, cached: bool = False) -> None:
        """Count down the nodes of a scan; after the last, unless one failed, remove its files."""
        super()._task_finished_cb(jobid, cached)
        scan = self._scans[jobid]
        self._left[scan] -= 1
        if self._left[scan]:
            return
        self._homes.pop(scan, None)
        if self.plugin_args.get('remove_finished'):
            folder = Path(self.procs[jobid].base_dir, *scan)
            shutil.rmtree(folder, ignore_errors=True)

    def _new_worker(self) -> ProcessPoolExecutor:
        """Make a process that ends with this process."""
        return ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context('fork'),
            initializer=_begin_process,
            initargs=(self._cwd,),
        )

    def _submit_job(self, node: pe.Node, updatehash: bool = False) -> int:
        """Submit a node to an idle worker, or later, when there is one."""
        self._taskid += 1
        self._start(self._taskid, _Task(node, updatehash))
        return int(self._taskid)

    def _start(self, taskid: int, task: _Task) -> None:
        """Start a task if a worker is idle; in a new process if that of the worker was killed."""
        self._task_obj[taskid] = task
        busy = {other.worker for other in self._task_obj.values()}
        idle = [number for number in range(len(self._workers)) if number not in busy]
        if not idle:
            return
        scan = _scan_of(task.node)
        home, homes = self._homes.get(scan), self._homes.values()
        if hasattr(task.node.interface, 'load_ahead') and self._spare is not None:
            home = self._spare
        nearest = min(idle, key=lambda one: (one != home, one in homes, one))
        try:
            future = self._workers[nearest].submit(_run_node, task.node, task.updatehash, taskid)
        except BrokenProcessPool:
            self._workers[nearest] = self._new_worker()
            future = self._workers[nearest].submit(_run_node, task.node, task.updatehash, taskid)
        self._homes.setdefault(scan, nearest)
        self._task_obj[taskid] = task._replace(worker=nearest, future=future)

    def _get_result(self, taskid: int) -> dict[str, Any] | None:
        """Return the result of a node, or None while it runs or waits for a worker.

        If its process is killed, the node is tried once more: it may have been killed for the
        memory that others took.
        """
        task: _Task = self._task_obj[taskid]
        if task.future is None:
            first = min(number for number, one in self._task_obj.items() if one.future is None)
            self._start(first, self._task_obj[first])
            return None
        if not task.future.done():
            return None
        try:
            return task.future.result()
        except BrokenProcessPool:
            if task.again:
                return {'result': None, 'traceback': self._killed(task.node)}
        self._start(taskid, _Task(task.node, task.updatehash, again=True))
        return None

    def _killed(self, node: pe.Node) -> list[str]:
        """Describe a killed process and the memory it needs, as the lines of a traceback."""
        sure = count_killed_for_memory() > self._killed_before
        what = 'out of memory' if sure else 'killed, probably out of memory'
        return [
            'Traceback (most recent call last):\n',
            f'MemoryError: {what}: had {self.memory_gb:.1f} GB for all steps that run at once, '
            f'needs {node.mem_gb:.1f} GB for this one; give more memory, or lower --nprocs\n',
        ]

    def _report_crash(self, node: pe.Node, result: dict[str, Any]) -> str:
        """Keep a failure, and write it to a crash file, whole or not at all."""
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


def _begin_process(folder: str) -> None:
    """Set up a new process of the plugin."""
    end_with_parent()
    process_initializer(folder)


def end_with_parent(*, forked: bool = True) -> None:
    """Have this process killed when its parent ends, however that happens.

    Parameters
    ----------
    forked : bool
        Whether it is a fork of the main process; else of a fork server, which ends with that.

    """
    kill_with_parent()
    parent = multiprocessing.parent_process()
    # The parent may have ended before.
    if parent and (os.getppid() != parent.pid if forked else not parent.is_alive()):
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the main process ends its own
    signal.signal(signal.SIGTERM, _exit_at_once)


def kill_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    """End a process that has nothing to clean up."""
    del frame
    os._exit(128 + number)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    """Interrupt a process by an exception, so that half-written files are removed."""
    del number, frame
    raise Terminated


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """End all child processes if the block is interrupted or terminated."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        _end_children()
        raise


def _end_children() -> None:
    """Terminate all child processes, and kill those that do not end."""
    children = psutil.Process().children(recursive=True)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                ask(child)
        _, children = psutil.wait_procs(children, timeout=_GRACE_S)


def count_killed_for_memory(vmstat: Path = _VMSTAT) -> int:
    """Count processes that the kernel has killed since boot because memory ran out.

    In all containers; zero if the kernel does not count them.
    """
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith('oom_kill ')), 0)


def _run_node(node: pe.Node, updatehash: bool, taskid: int) -> dict[str, Any]:
    """Run a node in a process; return its traceback if it failed."""
    text = None
    try:
        with exiting_when_terminated():
            node.run(updatehash=updatehash)
    except BaseException:  # noqa: BLE001 - the main process reports it
        text = traceback.format_exception(*sys.exc_info())
    return {'result': None, 'traceback': text, 'taskid': taskid}


@contextlib.contextmanager
def exiting_when_terminated() -> Iterator[None]:
    """End the process on SIGTERM in the block, after half-written files are removed."""
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    except Terminated:
        _exit_at_once(signal.SIGTERM, None)
    finally:
        signal.signal(signal.SIGTERM, _exit_at_once)
