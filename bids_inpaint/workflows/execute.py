"""Run the workflow of a run."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from nipype import config as nipype_config
from nipype import logging as nipype_logging
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe
from nipype.pipeline import plugins

from bids_inpaint.bids.existing import is_done
from bids_inpaint.bids.names import planned_paths
from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.interfaces.network import check_device, find_network
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.base import (
    NAME,
    NON_BLIND,
    Network,
    init_bids_inpaint_wf,
    network_name,
    parameters,
    scan_wf_name,
)
from bids_inpaint.workflows.failures import Failure, find_failures, read_crashes
from bids_inpaint.workflows.plugin import Crash, ProcessesPlugin
from bids_inpaint.workflows.progress import ProgressDisplay
from bids_inpaint.workflows.slurm import SlurmPlugin

LOGGER = logging.getLogger(__name__)

# In place of nipype's own of these names.
_OWN_PLUGINS = {'MultiProc': ProcessesPlugin, 'SLURM': SlurmPlugin}
# Nipype looks for finished nodes this often (s); its default of 2 s is lost at every step.
_POLL_SECONDS = 0.1
# A cluster's queue is asked about each job, by a command: not so often.
_POLL_QUEUE_SECONDS = 2.0
# What waiting and looking on takes of the memory, beside the step that runs (GB): its proportional
# set size was 0.27 GB at the highest, of runs of the demo and of the tests.
_MAIN_PROCESS_GB = 0.3
_NVIDIA_DRIVER = Path('/proc/driver/nvidia')


def run_participants(settings: Settings, scans: Sequence[Scan]) -> list[Failure]:
    """Process scans, and remove the working directory of the run if all went well.

    Parameters
    ----------
    settings : Settings
        Of the run.
    scans : sequence of Scan
        T1w images.

    Returns
    -------
    list of Failure
        Empty if every scan was processed. A scan that fails does not stop the others, unless
        the settings say so.

    Raises
    ------
    BidsInpaintError
        If the network or the device is not to be had: nothing was begun.

    """
    networks = _find_networks(settings, scans)
    if settings.skip_existing:
        scans = without_done(settings, scans, networks)
    if not scans:
        shutil.rmtree(settings.run_work_dir, ignore_errors=True)
        return []
    _configure_nipype(settings)
    workflow = init_bids_inpaint_wf(settings, scans, networks)
    if settings.write_graph:
        _write_graph(workflow, settings)
    if not settings.plugin_file:
        _warn_of_little_memory(workflow, settings.mem_gb)
    crashes, error = _run(workflow, settings, scans)
    failures = find_failures(crashes, scans)
    if isinstance(error, OSError) and not failures:  # outside of any step: the disk is full
        failures = [Failure(scan=s, step='', reason=str(error), crash_file=None) for s in scans]
    if error and not failures:
        raise error
    if not failures and not settings.keep_work_dir:
        shutil.rmtree(settings.run_work_dir, ignore_errors=True)
    return failures


def _run(
    workflow: pe.Workflow, settings: Settings, scans: Sequence[Scan]
) -> tuple[list[Crash], Exception | None]:
    """Run the workflow; return what failed, and the error that nipype ends with if so."""
    plugin, arguments = _plugin(settings)
    nodes = (workflow.get_node(name) for name in workflow.list_node_names())
    steps = sum(not isinstance(node.interface, IdentityInterface) for node in nodes)
    raised = None
    with ProgressDisplay({scan_wf_name(scan): scan.name for scan in scans}, steps) as display:
        arguments['status_callback'] = display.update
        own = _OWN_PLUGINS[plugin](arguments) if plugin in _OWN_PLUGINS else plugin
        try:
            workflow.run(plugin=own, plugin_args=arguments)
        except Exception as error:  # noqa: BLE001 - nipype raises the node's own, of any type
            raised = error
    if isinstance(own, ProcessesPlugin):
        return own.crashes, raised
    return read_crashes(settings.run_log_dir), raised


def without_done(
    settings: Settings, scans: Sequence[Scan], networks: Mapping[str, Network]
) -> list[Scan]:
    """Leave out scans of which nothing is left to do."""
    left = [
        scan
        for scan in scans
        if not is_done(
            scan,
            settings.output_dir,
            planned_paths(
                scan,
                output_spaces=settings.output_spaces,
                lesion_map=settings.lesion_map,
                extension='.nii' if settings.uncompressed else '.nii.gz',
            ),
            parameters=parameters(settings, scan, networks[network_name(scan)]),
            accept_problems=not settings.fail_on_qc,
        )
    ]
    LOGGER.info('%d of %d T1w images are left to do', len(left), len(scans))
    return left


def _warn_of_little_memory(workflow: pe.Workflow, mem_gb: float) -> None:
    """Say so if the step that needs most memory needs more than there is."""
    nodes = [workflow.get_node(name) for name in workflow.list_node_names()]
    needed = max(node.mem_gb for node in nodes) + _MAIN_PROCESS_GB
    if mem_gb < needed:
        LOGGER.warning(
            'memory: have %.1f GB, a scan needs %.1f GB: it may be killed. Give the container, '
            'the job or --mem more',
            mem_gb,
            needed,
        )


def _find_networks(settings: Settings, scans: Sequence[Scan]) -> dict[str, Network]:
    """Check device and networks before the first step, those that the scans need only."""
    masks = [scan.lesion_mask for scan in scans if scan.lesion_mask]
    networks = {}
    for name in set(map(network_name, scans)):
        try:
            networks[name] = find_network_of(settings, name)
        except BidsInpaintError as error:
            if name != NON_BLIND:
                raise
            msg = (
                f'{error}. It is to fill the lesion masks of {len(masks)} of {len(scans)} T1w '
                f'images, the first of them {masks[0]}. Give --lesion-mask off to do without them'
            )
            raise BidsInpaintError(msg) from error
    if settings.device == 'gpu':
        check_device(settings.device)
    return networks


def find_network_of(settings: Settings, name: str) -> Network:
    """Check a network, and take from its card what the graph needs."""
    folder, card = find_network(settings.models_dir, name)
    return Network(
        folder=folder,
        sha256=card.sha256,
        edge_threshold=card.change_edge_threshold,
        core_threshold=card.change_core_threshold,
        lesion_threshold=card.lesion_threshold,
        use_gpu=settings.device != 'cpu' and _NVIDIA_DRIVER.exists(),
    )


def _configure_nipype(settings: Settings) -> None:
    """Tell nipype where to write and when to stop."""
    log_dir = settings.run_log_dir
    log_dir.mkdir(parents=True, exist_ok=True)
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


def _plugin(settings: Settings) -> tuple[str, dict[str, Any]]:
    """Nipype plugin and its arguments: of the user's file, or processes of this machine."""
    if settings.plugin_file is None:
        arguments = {
            'n_procs': settings.nprocs,
            'memory_gb': settings.mem_gb,
            'n_gpu_procs': 1,
            'raise_insufficient': False,
            'remove_finished': not settings.keep_work_dir,
        }
        return 'MultiProc', arguments
    try:
        content = yaml.safe_load(settings.plugin_file.read_text())
        plugin, arguments = str(content['plugin']), dict(content.get('plugin_args') or {})
        getattr(plugins, f'{plugin}Plugin')
    except (OSError, yaml.YAMLError, TypeError, ValueError, KeyError, AttributeError) as error:
        msg = (
            f'{settings.plugin_file} must be YAML with "plugin: NAME", a plugin of nipype, and, '
            f'if wanted, "plugin_args:": {error}'
        )
        raise BidsInpaintError(msg) from error
    return plugin, arguments


def _write_graph(workflow: pe.Workflow, settings: Settings) -> None:
    """Write the graph as a Graphviz file into the logs, without calling Graphviz."""
    path = settings.run_log_dir / 'graph.dot'
    workflow.write_graph(graph2use='colored', dotfilename=str(path), format='dot')
    LOGGER.info('graph of the workflow %s written to %s', NAME, path)
