"""Settings of one run."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from bids_inpaint import __version__

DEVICES = ('auto', 'cpu', 'gpu')
LESION_MASK_MODES = ('auto', 'required', 'off')
LESION_MAP_SOURCES = ('probability', 'difference')
DEFAULT_MIN_LESION_SIZE_MM3 = 10.0
# In units of the mean of the brain: lesions of patients differ by more (docs/results.md, table d).
DEFAULT_LESION_THRESHOLD = 0.1

# These do not change any output voxel, so a run may be resumed with other values.
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
# These select images and folders, not the processing. Networks count by their content.
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
    """Name of a run: start (local time), and a random part."""
    return f'{datetime.now().astimezone():%Y%m%d-%H%M%S}_{uuid.uuid4()}'


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one run; made by the command line, and read by runs and workflows.

    Folders are absolute, and labels without `sub-` and `ses-`.
    """

    # In the order of sidecars and config.toml.
    bids_dir: Path
    output_dir: Path
    analysis_level: str  # 'participant' or 'group'
    work_dir: Path  # shared by runs; each uses its own `run_work_dir` there
    nprocs: int
    omp_nthreads: int  # of one step
    mem_gb: float
    participant_label: tuple[str, ...] = ()  # empty for all
    session_label: tuple[str, ...] = ()
    bids_filters: Mapping[str, Any] = field(default_factory=dict)  # of `bids.filters.read_filters`
    skip_bids_validation: bool = False
    bids_database_dir: Path | None = None  # of the index of pybids, kept between runs
    keep_work_dir: bool = False  # after success
    device: str = 'auto'  # of `DEVICES`, for the network
    output_spaces: tuple[str, ...]  # of `bids.names.OUTPUT_SPACES`
    uncompressed: bool = False  # .nii instead of .nii.gz
    lesion_mask: str = 'auto'  # of `LESION_MASK_MODES`
    derivatives: tuple[Path, ...] = ()  # datasets with lesion masks
    dilate_mask_vox: int = 0  # dilation of lesion masks, in voxels of the T1w image
    lesion_map: bool = True  # whether to write a lesion map
    lesion_map_from: str | None = None  # of `LESION_MAP_SOURCES`; None: the first available
    lesion_probability: float | None = None  # lowest of a lesion voxel; None: as in the card
    # Lowest difference of a lesion voxel, in units of the mean of the brain; None: as in the card
    # of a network without probability, else `DEFAULT_LESION_THRESHOLD`.
    lesion_threshold: float | None = None
    min_lesion_size_mm3: float = DEFAULT_MIN_LESION_SIZE_MM3
    flip_averaging: bool = False  # average with the prediction of the left-right mirror image
    models_dir: Path | None = None  # None: the networks shipped with the program
    fail_on_qc: bool = False  # QC numbers out of limits make a scan fail
    plugin_file: Path | None = None  # YAML with a nipype plugin and its arguments
    skip_existing: bool = False  # skip scans with complete derivatives of the same provenance
    stop_on_first_crash: bool = False
    dry_run: bool = False  # only list what would be written
    write_graph: bool = False
    reports_only: bool = False  # make the reports again from existing derivatives
    random_seed: int = 0
    verbosity: int = 0  # how often -v was given
    run_uuid: str = field(default_factory=new_run_uuid)  # name of the run's folder in logs/

    def to_dict(self) -> dict[str, Any]:
        """Convert to types of TOML: strings, numbers, lists and tables, but no null.

        None is left out; in `bids_filters`, where null means an absent entity, it becomes
        'Query.NONE', which a filter file accepts too.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @property
    def parameters(self) -> dict[str, Any]:
        """All settings that determine the result of a scan, in types of TOML and JSON."""
        without = _NOT_IN_WORK_NAME | _SELECTION
        return {name: value for name, value in self.to_dict().items() if name not in without}

    @property
    def run_work_dir(self) -> Path:
        """Subfolder of `work_dir` for this run alone.

        The same for the same input, output and parameters, so that the same command resumes a
        run that was killed. Participants are among the parameters: jobs of an array do not share
        a folder, which the first to end would remove.
        """
        chosen = {k: v for k, v in self.to_dict().items() if k not in _NOT_IN_WORK_NAME}
        text = json.dumps({'version': __version__, **chosen}, sort_keys=True)
        return self.work_dir / f'bids_inpaint_{hashlib.sha256(text.encode()).hexdigest()[:16]}'

    @property
    def run_log_dir(self) -> Path:
        """Folder of the output dataset with this run's configuration and crash reports."""
        return self.output_dir / 'logs' / self.run_uuid


def _plain(value: Any) -> Any:
    """Convert a value to a type of TOML."""
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
