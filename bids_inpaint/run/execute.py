"""Execute the workflow of a run."""

import configparser
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from nipype import config as nipype_config
from nipype import logging as nipype_logging
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe
from nipype.pipeline import plugins
from nipype.pipeline.engine import nodes as nipype_nodes
from nipype.pipeline.engine import utils as nipype_utils
from nipype.pipeline.plugins import base as nipype_plugins

from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.run.failures import Crash, Failure, find_failures, read_crashes
from bids_inpaint.run.plan import plan
from bids_inpaint.run.processes import ProcessesPlugin, kill_with_parent
from bids_inpaint.run.progress import ProgressDisplay
from bids_inpaint.run.slurm import SlurmPlugin
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.base import NAME, init_bids_inpaint_wf

LOGGER = logging.getLogger(__name__)

# These replace nipype's plugins of the same names.
_OWN_PLUGINS = {'MultiProc': ProcessesPlugin, 'SLURM': SlurmPlugin}
# Interval (s) at which nipype polls for finished nodes; its default of 2 s delays every step.
_POLL_SECONDS = 0.1
# The queue of a cluster is polled by a command per job: less often.
_POLL_QUEUE_SECONDS = 2.0
# Memory of the main process beside the running step (GB): its proportional set size was at most
# 0.27 GB in runs of the demo and of the tests.
_MAIN_PROCESS_GB = 0.3
# What Python raises for a value of another form than was taken for granted.
_WRONG_FORM = (TypeError, ValueError, KeyError, AttributeError)
_NO_SUCH_DEVICE = 3  # exit status of `bids_inpaint.network.session`


def run_participants(settings: Settings, scans: Sequence[Scan]) -> list[Failure]:
    """Process scans, and remove the working directory of the run after success.

    Parameters
    ----------
    settings : Settings
        Of the run.
    scans : sequence of Scan
        T1w images.

    Returns
    -------
    list of Failure
        Empty if every scan was processed. A failed scan does not stop the others, unless
        `stop_on_first_crash` is set.

    Raises
    ------
    BidsInpaintError
        If network or device are not available; nothing was processed.

    """
    made = plan(settings, scans)
    if settings.device == 'gpu':
        check_device(settings.device)
    scans = list(made.left)
    if not scans:
        return []
    _configure_nipype(settings)
    workflow = init_bids_inpaint_wf(settings, scans, made.networks)
    if settings.write_graph:
        _write_graph(workflow, settings)
    if not settings.plugin_file:
        _warn_of_little_memory(workflow, settings.mem_gb)
    crashes, error = _run(workflow, settings, scans)
    failures = find_failures(crashes, scans)
    if isinstance(error, OSError) and not failures:  # outside of any step, as a full disk
        failures = [Failure(scan=s, step='', reason=str(error), crash_file=None) for s in scans]
    if error and not failures:
        raise error
    return failures


def _run(
    workflow: pe.Workflow, settings: Settings, scans: Sequence[Scan]
) -> tuple[list[Crash], Exception | None]:
    """Run the workflow; return the crashes, and the error that nipype ended with, if any."""
    plugin, arguments = _plugin(settings)
    nodes = (workflow.get_node(name) for name in workflow.list_node_names())
    steps = sum(not isinstance(node.interface, IdentityInterface) for node in nodes)
    raised = None
    with ProgressDisplay({scan.workflow_name: scan.name for scan in scans}, steps) as display:
        arguments['status_callback'] = display.update
        own = _OWN_PLUGINS[plugin](arguments) if plugin in _OWN_PLUGINS else plugin
        try:
            workflow.run(plugin=own, plugin_args=arguments)
        except Exception as error:  # noqa: BLE001 - nipype raises errors of nodes, of any type
            raised = error
    if isinstance(own, ProcessesPlugin):
        return own.crashes, raised
    return read_crashes(settings.run_log_dir), raised


def _warn_of_little_memory(workflow: pe.Workflow, mem_gb: float) -> None:
    """Warn if a step needs more memory than there is."""
    nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
    needed = max(node.mem_gb for node in nodes) + _MAIN_PROCESS_GB
    if mem_gb < needed:
        LOGGER.warning(
            'memory: have %.1f GB, a scan needs %.1f GB: it may be killed. Give more memory to '
            'the container or job, or raise --mem',
            mem_gb,
            needed,
        )


def check_device(device: str) -> None:
    """Check the device before the first scan, in a separate process.

    Raises
    ------
    BidsInpaintError
        If a GPU was requested and none is visible.

    """
    command = [sys.executable, '-m', 'bids_inpaint.network.session', device]
    asked = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=kill_with_parent
    )
    if asked.returncode == _NO_SUCH_DEVICE:
        raise BidsInpaintError(asked.stdout.strip())
    if asked.returncode:
        msg = f'could not check the device {device!r}:\n{asked.stderr.strip()}'
        raise BidsInpaintError(msg)


def _configure_nipype(settings: Settings) -> None:
    """Configure nipype: folders, log levels, when to stop."""
    log_dir = settings.run_log_dir
    log_dir.mkdir(parents=True, exist_ok=True)
    # Else a per cent sign in a path is taken for the beginning of a reference, and a bracket or a
    # question mark for that of a pattern.
    nipype_config._config._interpolation = configparser.Interpolation()
    nipype_nodes.glob = nipype_utils.glob = _glob_in_folder
    # Else a clock that is set back while nipype looks for finished nodes makes it sleep that long.
    nipype_plugins.time = time.monotonic
    nipype_config.update_config(
        {
            'logging': {
                'log_directory': str(log_dir),
                'log_to_file': False,
                'workflow_level': 'INFO' if settings.verbosity > 1 else 'CRITICAL',
                'interface_level': 'INFO' if settings.verbosity > 1 else 'ERROR',
            },
            'execution': {
                'crashdump_dir': str(log_dir),
                'crashfile_format': 'txt',
                'stop_on_first_crash': str(settings.stop_on_first_crash).lower(),
                'poll_sleep_duration': str(
                    _POLL_QUEUE_SECONDS if settings.plugin_file else _POLL_SECONDS
                ),
                'check_version': 'false',
            },
        }
    )
    nipype_logging.update_logging(nipype_config)


def _glob_in_folder(pattern: str) -> list[str]:
    """Paths that match a pattern for names in a folder."""
    return [str(path) for path in Path(pattern).parent.glob(Path(pattern).name)]


def _plugin(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Nipype plugin and its arguments, from the file of the user or for local processes."""
    if settings.plugin_file is None:
        arguments = {
            'n_procs': settings.nprocs,
            'memory_gb': settings.mem_gb,
            'n_gpu_procs': 1,
            'raise_insufficient': False,
            'remove_finished': not settings.keep_work_dir,
        }
        return 'MultiProc', arguments
    return read_plugin_file(settings.plugin_file)


def read_plugin_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Read the name and the arguments of a nipype plugin.

    Raises
    ------
    BidsInpaintError
        If the file cannot be read, or names no plugin.

    """
    try:
        content = yaml.safe_load(path.read_text())
        plugin, arguments = content['plugin'], dict(content.get('plugin_args') or {})
        # No text is made of it: a few lines of YAML may stand for more than memory holds.
        if not isinstance(plugin, str):
            msg = f'plugin is a {type(plugin).__name__}'
            raise TypeError(msg)
        getattr(plugins, f'{plugin}Plugin')
    except (OSError, yaml.YAMLError, RecursionError, *_WRONG_FORM) as error:
        msg = (
            f'{path} must be YAML with "plugin: NAME", a plugin of nipype, and optionally '
            f'"plugin_args:": {error}'
        )
        raise BidsInpaintError(msg) from error
    return plugin, arguments


def _write_graph(workflow: pe.Workflow, settings: Settings) -> None:
    """Write the graph as a Graphviz file into the logs, without calling Graphviz."""
    path = settings.run_log_dir / 'graph.dot'
    workflow.write_graph(graph2use='colored', dotfilename=str(path), format='dot')
    LOGGER.info('graph of the workflow %s written to %s', NAME, path)
