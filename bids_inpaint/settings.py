"""Every choice of one run."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from bids_inpaint import __version__

OUTPUT_SPACES = ('T1w', 'MNI152NLin2009aSym')
DEVICES = ('auto', 'cpu', 'gpu')
LESION_MASK_MODES = ('auto', 'required', 'off')
DEFAULT_MIN_LESION_SIZE_MM3 = 10.0

# These do not change a voxel of what is written, so a run may go on with other values of them.
_NOT_IN_WORK_NAME = frozenset(
    {
        'analysis_level',
        'bids_database_dir',
        'device',
        'dry_run',
        'fail_on_qc',
        'keep_work_dir',
        'mem_gb',
        'nprocs',
        'omp_nthreads',
        'plugin_file',
        'run_uuid',
        'skip_bids_validation',
        'skip_existing',
        'stop_on_first_crash',
        'verbosity',
        'work_dir',
        'write_graph',
    }
)
# These say which images are processed and where they go, not how. Of the networks, it is their
# content that counts.
_SELECTION = frozenset(
    {
        'bids_dir',
        'bids_filters',
        'derivatives',
        'models_dir',
        'output_dir',
        'participant_label',
        'session_label',
    }
)


def new_run_uuid() -> str:
    """Name of a run: when it was started (local time), and a random part."""
    return f'{datetime.now().astimezone():%Y%m%d-%H%M%S}_{uuid.uuid4()}'


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every choice of one run; made by the command line, and read by workflows.

    Attributes
    ----------
    bids_dir, output_dir : Path
        The dataset read, never written to, and the derivative dataset; absolute.
    analysis_level : str
        'participant' or 'group'.
    participant_label, session_label : tuple of str
        What to restrict the run to, without 'sub-' and 'ses-'; empty for everything.
    bids_filters : dict
        Entity to required value, as `bids_inpaint.bids.filters.read_filters` gives it.
    skip_bids_validation : bool
        Whether a missing or incomplete dataset_description.json of the input is let pass.
    bids_database_dir : Path or None
        Where pybids' index is kept between runs.
    work_dir : Path
        Folder for intermediate files, shared by runs; each uses its own `run_work_dir` there.
    keep_work_dir : bool
        Whether `run_work_dir` is left in place after success.
    nprocs, omp_nthreads : int
        CPUs for the whole run, and threads of one step.
    mem_gb : float
        Memory for the whole run, in GB.
    device : str
        'auto', 'cpu' or 'gpu', for the network.
    output_spaces : tuple of str
        Among `OUTPUT_SPACES`.
    uncompressed : bool
        Whether images are written as .nii and not .nii.gz.
    lesion_mask : str
        'auto', 'required' or 'off': whether lesion masks of the input are used.
    derivatives : tuple of Path
        Datasets to look for lesion masks in; absolute.
    dilate_mask_vox : int
        By how many voxels of the T1w image its lesion mask is dilated.
    lesion_map : bool
        Whether a lesion mask is written.
    lesion_threshold : float or None
        Least absolute difference of a lesion voxel, in units of the brain's mean; None for the
        value in the network's card.
    min_lesion_size_mm3 : float
        Lesions smaller than this are left out of the lesion map.
    flip_averaging : bool
        Whether the network also sees the left-right mirror image, and the two are averaged.
    models_dir : Path or None
        Networks to use; None for those shipped with the program.
    fail_on_qc : bool
        Whether QC numbers out of their limits make a scan fail, and not only warn.
    plugin_file : Path or None
        YAML file with a nipype plugin and its arguments.
    skip_existing : bool
        Whether images whose derivatives are all there, made in the same way, are left alone.
    stop_on_first_crash, dry_run, write_graph : bool
        End at the first failure; only list what would be done; draw the workflow's graph.
    reports_only : bool
        Only make the reports anew, from derivatives that are there.
    random_seed : int
        Seed of everything random.
    verbosity : int
        How often -v was given.
    run_uuid : str
        Name of this run's folder in logs/.

    """

    bids_dir: Path
    output_dir: Path
    analysis_level: str
    work_dir: Path
    nprocs: int
    omp_nthreads: int
    mem_gb: float
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    bids_filters: Mapping[str, Any] = field(default_factory=dict)
    skip_bids_validation: bool = False
    bids_database_dir: Path | None = None
    keep_work_dir: bool = False
    device: str = 'auto'
    output_spaces: tuple[str, ...] = OUTPUT_SPACES
    uncompressed: bool = False
    lesion_mask: str = 'auto'
    derivatives: tuple[Path, ...] = ()
    dilate_mask_vox: int = 0
    lesion_map: bool = True
    lesion_threshold: float | None = None
    min_lesion_size_mm3: float = DEFAULT_MIN_LESION_SIZE_MM3
    flip_averaging: bool = False
    models_dir: Path | None = None
    fail_on_qc: bool = False
    plugin_file: Path | None = None
    skip_existing: bool = False
    stop_on_first_crash: bool = False
    dry_run: bool = False
    write_graph: bool = False
    reports_only: bool = False
    random_seed: int = 0
    verbosity: int = 0
    run_uuid: str = field(default_factory=new_run_uuid)

    def to_dict(self) -> dict[str, Any]:
        """Return what TOML can hold: strings, numbers, lists and tables, but no null.

        What is None is left out; within `bids_filters`, where null means an absent entity, it
        becomes 'Query.NONE', which a filter file takes as well.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides on the result of a scan, as TOML and JSON can hold it."""
        without = _NOT_IN_WORK_NAME | _SELECTION
        return {name: value for name, value in self.to_dict().items() if name not in without}

    @property
    def run_work_dir(self) -> Path:
        """Subfolder of `work_dir` that belongs to this run alone.

        The same for the same input, output and parameters, so that a run that was killed goes
        on where it stopped when its command is given again. Participants are among the
        parameters: jobs of one array do not share a folder that the first to end removes.
        """
        chosen = {k: v for k, v in self.to_dict().items() if k not in _NOT_IN_WORK_NAME}
        text = json.dumps({'version': __version__, **chosen}, sort_keys=True)
        return self.work_dir / f'bids_inpaint_{hashlib.sha256(text.encode()).hexdigest()[:16]}'

    @property
    def run_log_dir(self) -> Path:
        """Folder of the output dataset with this run's configuration and crash reports."""
        return self.output_dir / 'logs' / self.run_uuid


def _plain(value: Any) -> Any:
    """Turn a value into what TOML can hold."""
    match value:
        case None:
            return 'Query.NONE'
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
