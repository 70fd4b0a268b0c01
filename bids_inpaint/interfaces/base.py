"""Base of all interfaces: records parameters, findings, time and memory of each step."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nipype.interfaces.base import File, SimpleInterface, TraitedSpec, traits
from numpy.typing import NDArray

from bids_inpaint.files import sha256
from bids_inpaint.image.native import like_source
from bids_inpaint.image.source import refuse
from bids_inpaint.image.template import template_grid
from bids_inpaint.image.volume import Volume, multiples, save

_STATUS = Path('/proc/self/status')
_RESET_PEAK = Path('/proc/self/clear_refs')
_BYTES_PER_MB = 1024**2


def source_image() -> Any:
    """Make the trait for an image of the dataset.

    Existence is not checked: nipype would check it while it builds the graph, and end the run of
    all scans for one broken link. `read_source` reports it instead.
    """
    return File(mandatory=True, desc='T1w image of the dataset')


def check_unchanged(source: Path, digest: str) -> None:
    """Refuse an image of the dataset that was changed since the first step read it.

    Called after it was read again: else the result would be made of two images.

    Raises
    ------
    BidsInpaintError
        If its SHA-256 is not `digest`.

    """
    try:
        found = 'another' if sha256(source) != digest else ''
    except OSError as error:
        found = f'none that can be read ({error.strerror})'
    if found:
        required = 'the same image from start to end of a run'
        refuse(source, required, f'{found}: it was changed during the run. Run it again')


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Record of a step, for sidecars and QC; None is left out.

    Sidecars have the fields in this order, under these names.
    """

    step: str = ''
    # conform; zero and background only where no signal is not 0, lesion_mask... with such a mask
    shape: Sequence[int] | None = None
    zooms_mm: Sequence[float] | None = None
    source_sha256: str | None = None
    zero: float | None = None
    background: float | None = None
    lesion_mask: str | None = None
    lesion_mask_mm3: float | None = None
    lesion_mask_notes: Sequence[str] | None = None
    # register
    strategy: str | None = None
    similarity: float | None = None
    determinant: float | None = None
    coverage: float | None = None
    rotation_deg: float | None = None
    skull_stripped: bool | None = None
    problems: Sequence[str] | None = None
    # denoise, bias_field, normalise, and all steps that resample
    noise_model: str | None = None
    percentile_1: float | None = None
    percentile_99: float | None = None
    brain_mean: float | None = None
    tissue_contrast: float | None = None
    joint_variation: float | None = None
    interpolation: str | None = None
    # brain_mask, fill_region, add_fill
    volume_ml: float | None = None
    dilate_vox: int | None = None
    volume_mm3: float | None = None
    unfilled_mm3: float | None = None
    # inpaint
    model: str | None = None
    sha256: str | None = None
    device: str | None = None
    backend: str | None = None
    flip_averaging: bool | None = None
    probability_curve: tuple[tuple[float, float], ...] | None = None
    # composite
    within: str | None = None
    decided_by: str | None = None
    edge_threshold: float | None = None
    core_threshold: float | None = None
    lesion_map_from: str | None = None
    lesion_threshold: float | None = None
    min_size_mm3: float | None = None
    ventricle_change: float | None = None
    change_probability: float | None = None
    unchanged_lesion_std_mm3: float | None = None
    change_far_std_mm3: float | None = None
    change_callosum_std_mm3: float | None = None
    change_brainstem_std_mm3: float | None = None
    change_rim_std_mm3: float | None = None
    # all
    seconds: float = 0.0
    peak_memory_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Convert to a dictionary for sidecars."""
        return {name: value for name, value in vars(self).items() if value is not None}


class MeasuredOutputSpec(TraitedSpec):
    """Outputs of a measured interface."""

    facts = traits.Instance(Facts, desc='step, its parameters and findings, time, peak memory')


class MeasuredInterface(SimpleInterface, ABC):
    """A step of the app; subclasses compute in `_run_step`, and set `_results`."""

    output_spec = MeasuredOutputSpec
    step = ''

    def _run_interface(self, runtime: Any) -> Any:
        _reset_peak_memory()
        started = time.perf_counter()
        found = self._run_step(Path(runtime.cwd))
        self._results['facts'] = replace(
            found,
            step=self.step,
            seconds=round(time.perf_counter() - started, 2),
            peak_memory_mb=peak_memory_mb(),
        )
        return runtime

    @abstractmethod
    def _run_step(self, folder: Path) -> Facts:
        """Compute, write into `folder`, and return parameters and findings."""


def _reset_peak_memory() -> None:
    """Reset the peak of memory; a process runs several steps."""
    try:
        _RESET_PEAK.write_text('5')
    except OSError:  # not permitted: the peak is that of the process so far
        return


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MB; 0 if unknown."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0.0
    peak_kb = next((line.split()[1] for line in lines if line.startswith('VmHWM')), '0')
    return round(int(peak_kb) * 1024 / _BYTES_PER_MB, 1)


# Steps to which images are rounded: a third of the bytes, and noise is at least ten times larger.
INTENSITY_STEP = 0.001  # in units of the mean of the brain
# The largest of single precision, as the header has it, at which 255 steps are at most 1.
PROBABILITY_STEP = float(np.nextafter(np.float32(1 / 255), np.float32(0)))


def save_mask(mask: NDArray[np.bool_], affine: NDArray[np.float64], path: Path) -> str:
    """Write a mask as 8-bit integers, and return its path as text."""
    return save_array(mask.astype(np.uint8), affine, path)


def save_array(
    data: NDArray[Any], affine: NDArray[np.float64], path: Path, *, step: float = 0
) -> str:
    """Write a volume, and return its path as text; one on the template grid says so.

    `step` is that of `bids_inpaint.image.volume.save`.
    """
    space = 'mni' if np.array_equal(affine, template_grid().affine) else 'aligned'
    return str(save(Volume(data, affine), path, space=space, step=step))


def save_native(data: NDArray[Any], img: nb.Nifti1Image, path: Path, *, step: float = 0) -> str:
    """Write an array on the RAS+ grid of a source image on the grid of the source."""
    out = like_source(multiples(data, step) if step else data, img)
    if step:
        out.header.set_slope_inter(step, 0)
    out.to_filename(path)
    return str(path)
