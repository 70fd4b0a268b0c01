"""What every interface of this app has in common: it tells what it did and what that cost."""

import time
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits
from numpy.typing import NDArray

from bids_inpaint.image.source import like_source
from bids_inpaint.image.volume import Volume, load, save

_STATUS = Path('/proc/self/status')
_RESET_PEAK = Path('/proc/self/clear_refs')
_BYTES_PER_MB = 1024**2


def source_image() -> Any:
    """Make the trait of an image of the dataset.

    It is not asked to exist. Nipype would ask while it builds the graph, and end the run of all
    scans for one link to nowhere, of which `read_source` tells in its place.
    """
    return File(mandatory=True, desc='T1w image of the dataset')


class MeasuredOutputSpec(TraitedSpec):
    """Outputs of a measured interface."""

    facts = traits.Dict(desc='step, its parameters and findings, seconds, peak memory in MB')


class MeasuredInterface(SimpleInterface):
    """A step of the app; a subclass computes in `_run_step`, and sets `_results`."""

    output_spec = MeasuredOutputSpec
    step = ''

    def _run_interface(self, runtime: Any) -> Any:
        _reset_peak_memory()
        started = time.perf_counter()
        found = self._run_step(Path(runtime.cwd))
        self._results['facts'] = {
            'step': self.step,
            **found,
            'seconds': round(time.perf_counter() - started, 2),
            'peak_memory_mb': peak_memory_mb(),
        }
        return runtime

    def _run_step(self, folder: Path) -> dict[str, Any]:
        """Compute, write into `folder`, and return parameters and findings."""
        raise NotImplementedError


def _reset_peak_memory() -> None:
    """Begin to measure the peak anew; a process runs several steps."""
    try:
        _RESET_PEAK.write_text('5')
    except OSError:  # not allowed: the peak is that of the process so far
        return


def peak_memory_mb() -> float:
    """Peak of this process's resident memory, in MB; 0 where the system does not tell."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0.0
    peak_kb = next((line.split()[1] for line in lines if line.startswith('VmHWM')), '0')
    return round(int(peak_kb) * 1024 / _BYTES_PER_MB, 1)


def load_mask(path: str) -> NDArray[np.bool_]:
    """Read a mask as (X, Y, Z) bool."""
    return load(Path(path)).data > 0.5


def save_mask(mask: NDArray[np.bool_], affine: NDArray[np.float64], path: Path) -> str:
    """Write a mask as 8-bit integers, and return its path as nipype wants it."""
    return str(save(Volume(mask.astype(np.uint8), affine), path))


def save_array(data: NDArray[np.float32], affine: NDArray[np.float64], path: Path) -> str:
    """Write a volume, and return its path as nipype wants it."""
    return str(save(Volume(data, affine), path))


def save_native(data: NDArray[Any], img: nb.Nifti1Image, path: Path) -> str:
    """Write an array of the RAS+ grid of a source image on the source's own grid."""
    like_source(data, img).to_filename(path)
    return str(path)
