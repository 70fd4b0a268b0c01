"""Run the workflow of a run, and say what failed."""

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from nipype import config as nipype_config
from nipype import logging as nipype_logging
from nipype.pipeline import engine as pe

from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.interfaces.network import check_device, find_network
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.base import NAME, Network, init_bids_inpaint_wf, scan_wf_name
from bids_inpaint.workflows.progress import ProgressDisplay

LOGGER = logging.getLogger(__name__)

_BLIND = 'blind'
# Nipype looks for finished nodes this often (s); its default of 2 s is lost at every step.
_POLL_SECONDS = 0.1
_NVIDIA_DRIVER = Path('/proc/driver/nvidia')
_NODE_LINE = re.compile(r'^Node: (\S+)$', re.MULTILINE)
_ERROR_LINE = re.compile(r'^(?:[\w.]+\.)?(\w*(?:Error|Exception|Exit|Interrupt)\w*): ?(.*)$')


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One scan that failed.

    Attributes
    ----------
    scan : Scan
        Which.
    step : str
        At which step.
    reason : str
        The error's message.
    crash_file : Path or None
        Where the traceback is.

    """

    scan: Scan
    step: str
    reason: str
    crash_file: Path | None


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
    network = _find_network(settings)
    _configure_nipype(settings)
    workflow = init_bids_inpaint_wf(settings, scans, network)
    if settings.write_graph:
        _write_graph(workflow, settings)
    error = _run(workflow, settings, scans)
    failures = find_failures(settings.run_log_dir, scans)
    if error and not failures:
        raise error
    if not failures and not settings.keep_work_dir:
        shutil.rmtree(settings.run_work_dir, ignore_errors=True)
    return failures


def find_failures(log_dir: Path, scans: Sequence[Scan]) -> list[Failure]:
    """Read nipype's crash files, and tell which scans they are about."""
    failures = []
    for crash_file in sorted(log_dir.glob('crash-*.txt')):
        text = crash_file.read_text(errors='replace')
        node = _NODE_LINE.search(text)
        names = node[1].split('.') if node else []
        for scan in scans:
            if scan_wf_name(scan) in names:
                failures.append(
                    Failure(scan=scan, step=names[-1], reason=_reason(text), crash_file=crash_file)
                )
    return failures


def _run(workflow: pe.Workflow, settings: Settings, scans: Sequence[Scan]) -> Exception | None:
    """Run the workflow; return the error that nipype ends with when a node failed."""
    plugin, plugin_args = _plugin(settings)
    names = {scan_wf_name(scan): scan.name for scan in scans}
    with ProgressDisplay(names, len(workflow.list_node_names())) as display:
        plugin_args['status_callback'] = display.update
        try:
            workflow.run(plugin=plugin, plugin_args=plugin_args)
        except Exception as error:  # noqa: BLE001 - nipype raises the node's own, of any type
            return error
    return None


def _find_network(settings: Settings) -> Network:
    """Check network and device before the first step."""
    folder, card = find_network(settings.models_dir, _BLIND)
    if settings.device == 'gpu':
        check_device(settings.device)
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
                'poll_sleep_duration': str(_POLL_SECONDS),
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
        }
        return 'MultiProc', arguments
    try:
        content = yaml.safe_load(settings.plugin_file.read_text())
        return str(content['plugin']), dict(content.get('plugin_args') or {})
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        msg = (
            f'{settings.plugin_file} must be YAML with "plugin: NAME" and, if wanted, '
            f'"plugin_args:": {error}'
        )
        raise BidsInpaintError(msg) from error


def _write_graph(workflow: pe.Workflow, settings: Settings) -> None:
    """Write the graph as a Graphviz file into the logs, without calling Graphviz."""
    path = settings.run_log_dir / 'graph.dot'
    workflow.write_graph(graph2use='colored', dotfilename=str(path), format='dot')
    LOGGER.info('graph of the workflow %s written to %s', NAME, path)


def _reason(text: str) -> str:
    """Message of the error in a crash file: from the last line that names one on."""
    lines = text.rstrip().splitlines()
    for number in range(len(lines) - 1, -1, -1):
        found = _ERROR_LINE.match(lines[number])
        if found:
            prefix = '' if found[1] == BidsInpaintError.__name__ else f'{found[1]}: '
            return prefix + ' '.join([found[2], *lines[number + 1 :]]).strip()
    return lines[-1] if lines else 'no message'
