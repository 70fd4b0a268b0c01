"""Nipype interfaces to the QC numbers of a scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from bids_inpaint import __version__, qc
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.change_places import ChangePlaces
from bids_inpaint.image.control import control_correlation, correlation_within
from bids_inpaint.image.lesion_map import count_lesions
from bids_inpaint.image.native import conform, ras_grid
from bids_inpaint.image.resample import resample
from bids_inpaint.image.source import load_ras, read_source
from bids_inpaint.image.volume import load, volume_mm3
from bids_inpaint.interfaces.base import (
    PROBABILITY_STEP,
    Facts,
    check_unchanged,
    save_native,
    source_image,
)

# Facts of `composite` that are QC numbers under the same name.
_OF_CHANGE = ('ventricle_change', *ChangePlaces._fields)


class _ToNativeInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='mask or probability on the template grid')
    reference = source_image()
    source_sha256 = traits.Str(mandatory=True, desc='of it when the first step read it')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')
    binary = traits.Bool(True, usedefault=True, desc='whether the result is a mask')


class _ToNativeOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc='the same on the grid of the reference')


class ToNative(SimpleInterface):
    """Resample a mask or probability from the template grid to that of a source image."""

    input_spec = _ToNativeInputSpec
    output_spec = _ToNativeOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        img = read_source(Path(self.inputs.reference))
        std2anat = read_xfm(Path(self.inputs.anat2std_xfm), back=True)
        moved = resample(load(self.inputs.in_file), ras_grid(img), std2anat)
        data = (moved > 0.5).astype(np.uint8) if self.inputs.binary else np.clip(moved, 0, 1)
        step = 0 if self.inputs.binary else PROBABILITY_STEP
        out_file = Path(runtime.cwd) / 'native.nii'
        self._results['out_file'] = save_native(data, img, out_file, step=step)
        check_unchanged(Path(self.inputs.reference), self.inputs.source_sha256)
        return runtime


class _MeasureQualityInputSpec(BaseInterfaceInputSpec):
    source_file = source_image()
    inpainted = File(exists=True, mandatory=True, desc='product')
    change_mask = File(exists=True, mandatory=True, desc='on its grid')
    brain_mask = File(exists=True, mandatory=True, desc='on its grid')
    lesion_mask = File(exists=True, desc='on its grid')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')
    facts = traits.List(traits.Instance(Facts), mandatory=True, desc='of each step')


class _MeasureQualityOutputSpec(TraitedSpec):
    numbers = traits.Dict(desc='flat, of numbers and text')


class MeasureQuality(SimpleInterface):
    """Measure the QC numbers of an inpainted image (see `bids_inpaint.qc`)."""

    input_spec = _MeasureQualityInputSpec
    output_spec = _MeasureQualityOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        numbers = summarise(self.inputs.facts) | self._change_numbers()
        steps = {fact.step: fact for fact in self.inputs.facts}
        check_unchanged(Path(self.inputs.source_file), steps['conform'].source_sha256)
        register = steps['register']
        limited = (*qc.PREPARED, *qc.CHANGE)
        problems = [*register.problems, *qc.problems(limited, numbers)]
        self._results['numbers'] = {**numbers, 'problems': '; '.join(problems) or qc.NO_PROBLEM}
        return runtime

    def _change_numbers(self) -> dict[str, float]:
        """Volumes, and correlations outside the change."""
        source = conform(read_source(Path(self.inputs.source_file)))
        changed = load_ras(self.inputs.change_mask).data > 0.5
        outside = (load_ras(self.inputs.brain_mask).data > 0.5) & ~changed
        anat2std = read_xfm(Path(self.inputs.anat2std_xfm))
        numbers = {
            'change_volume_mm3': volume_mm3(changed, source.affine),
            'outside_correlation': correlation_within(
                source.data, load_ras(self.inputs.inpainted).data, outside
            ),
            'control_correlation': control_correlation(source, anat2std, outside),
        }
        if isdefined(self.inputs.lesion_mask):
            lesions = load_ras(self.inputs.lesion_mask).data > 0.5
            numbers['lesion_count'] = count_lesions(lesions)
            numbers['lesion_volume_mm3'] = volume_mm3(lesions, source.affine)
        return numbers


def summarise(facts: Sequence[Facts]) -> dict[str, Any]:
    """Select the facts of the steps for QC; flat, without missing ones."""
    steps = {fact.step: fact for fact in facts}
    given, register, network = steps['conform'], steps['register'], steps['inpaint']
    numbers = {
        'registration_similarity': register.similarity,
        'registration_strategy': register.strategy,
        'affine_determinant': register.determinant,
        'brain_coverage': register.coverage,
        'skull_stripped': str(register.skull_stripped).lower(),
        'brain_volume_std_ml': steps['brain_mask'].volume_ml,
        'brain_mean': steps['normalise'].brain_mean,
        'head_rotation_deg': register.rotation_deg,
        'tissue_contrast': steps['normalise'].tissue_contrast,
        'joint_variation': steps['normalise'].joint_variation,
        'model': network.model,
        'device': network.device,
        'seconds': round(sum(fact.seconds for fact in facts), 1),
        'peak_memory_mb': max(fact.peak_memory_mb for fact in facts),
        'version': __version__,
        'lesion_map_from': steps['composite'].lesion_map_from,
        **{name: getattr(steps['composite'], name) for name in _OF_CHANGE},
    }
    if 'add_fill' in steps:
        numbers |= {
            'lesion_mask': given.lesion_mask,
            'lesion_mask_volume_mm3': given.lesion_mask_mm3,
            'lesion_mask_unfilled_mm3': steps['add_fill'].unfilled_mm3,
            'lesion_mask_notes': '; '.join(given.lesion_mask_notes or ()) or 'none',
        }
    return {name: value for name, value in numbers.items() if value is not None}


class _GateInputSpec(BaseInterfaceInputSpec):
    numbers = traits.Dict(mandatory=True, desc='QC numbers, with `problems`')
    saved = traits.Any(desc='only so that the gate runs after all is saved')


class _GateOutputSpec(TraitedSpec):
    passed = traits.Bool(desc='always true, else it raises')


class Gate(SimpleInterface):
    """Fail a scan with QC numbers out of limits, after its derivatives are saved."""

    input_spec = _GateInputSpec
    output_spec = _GateOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        problems = self.inputs.numbers['problems']
        if problems != qc.NO_PROBLEM:
            msg = f'QC: {problems} (--fail-on-qc makes this an error)'
            raise BidsInpaintError(msg)
        self._results['passed'] = True
        return runtime
