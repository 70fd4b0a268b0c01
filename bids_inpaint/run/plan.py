"""What is left to do in a run, and with which networks.

With ``--skip-existing`` finished scans are left out, by their sidecars. A run that was stopped
resumes without that option, too: nipype reuses the finished steps in the working folder of the run
(`bids_inpaint.settings.Settings.run_work_dir`).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint import __version__
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.provenance import PIPELINE
from bids_inpaint.bids.scan import Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import read_object_or_nothing, sha256
from bids_inpaint.qc import NO_PROBLEM
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.choices import NON_BLIND, Choices, Network, network_name, read_network

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    networks : mapping of str to Network
        Networks that the scans need, by name.
    left : mapping of Scan to sequence of PurePosixPath
        Files to write for each scan, in the order of the scans, without those that are skipped.

    """

    networks: Mapping[str, Network]
    left: Mapping[Scan, Sequence[PurePosixPath]]


def plan(settings: Settings, scans: Sequence[Scan]) -> Plan:
    """Find what is left to do.

    The device is not checked: plans are often made on another machine.

    Raises
    ------
    BidsInpaintError
        If a network that the scans need is missing, or lacks a required output.

    """
    networks = _find_networks(settings, scans)
    left = {}
    for scan in scans:
        choices = Choices(settings, scan, networks[network_name(scan)])
        done = settings.skip_existing and is_done(
            scan,
            settings.output_dir,
            choices.paths,
            parameters=choices.parameters,
            accept_problems=not settings.fail_on_qc,
        )
        if not done:
            left[scan] = choices.paths
    if settings.skip_existing:
        LOGGER.info('%d of %d T1w images are left to process', len(left), len(scans))
    return Plan(networks, left)


def _find_networks(settings: Settings, scans: Sequence[Scan]) -> dict[str, Network]:
    """Check the networks that the scans need."""
    masks = [scan.lesion_mask for scan in scans if scan.lesion_mask]
    networks = {}
    for name in set(map(network_name, scans)):
        try:
            networks[name] = read_network(settings, name)
        except BidsInpaintError as error:
            if name != NON_BLIND:
                raise
            msg = (
                f'{error}. It is needed for the lesion masks of {len(masks)} of {len(scans)} T1w '
                f'images, the first being {masks[0]}. Give --lesion-mask off to ignore masks'
            )
            raise BidsInpaintError(msg) from error
    return networks


def is_done(
    scan: Scan,
    output_dir: Path,
    planned: Sequence[PurePosixPath],
    *,
    parameters: Mapping[str, Any],
    accept_problems: bool,
) -> bool:
    """Whether a scan is finished.

    Every file is checked, as an interrupted run may have replaced some. A sidecar is written after
    its image, so it tells what the image is.

    Parameters
    ----------
    scan : Scan
    output_dir : Path
        Root of the derivative dataset.
    planned : sequence of PurePosixPath
        Required files, of `bids_inpaint.bids.names.planned_paths`.
    parameters : mapping
        All that determines the result; compared with the sidecars.
    accept_problems : bool
        Whether a scan with QC numbers out of limits counts as finished.

    Returns
    -------
    done : bool
        False also if the source or a sidecar cannot be read.

    """
    quality = derivative_path(scan, 'qc')
    found = read_object_or_nothing(output_dir / quality)
    if found.get('version') != __version__:
        return False
    if found.get('problems') != NO_PROBLEM and not accept_problems:
        return False
    try:
        source = sha256(scan.t1w)
    except OSError:
        return False
    wanted = json.loads(json.dumps(parameters))
    return all(
        (output_dir / path).is_file()
        and _made_so(read_object_or_nothing(output_dir / sidecar_path(path)), wanted, source)
        for path in planned
        if path != quality
    )


def _made_so(sidecar: Mapping[str, Any], parameters: Mapping[str, Any], source: str) -> bool:
    """Whether a sidecar has this version of the program, the parameters and the source."""
    try:
        program = sidecar['GeneratedBy'][0]
        found = (program['Name'], program['Version'], program['Parameters'])
        sources = [step['source_sha256'] for step in sidecar['Steps'] if 'source_sha256' in step]
    except (KeyError, IndexError, TypeError):
        return False
    return found == (PIPELINE, __version__, parameters) and sources == [source]
