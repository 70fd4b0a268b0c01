"""Nipype interfaces to the QC numbers of a scan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)
from numpy.typing import NDArray

from bids_inpaint import __version__
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.ants_bridge import read_itk_affine
from bids_inpaint.image.lesion_map import count_lesions
from bids_inpaint.image.quality import (
    change_problems,
    correlation_within,
    there_and_back,
    volume_mm3,
)
from bids_inpaint.image.resample import inverse
from bids_inpaint.image.source import conform, read_source
from bids_inpaint.interfaces.base import MeasuredInterface, MeasuredOutputSpec, source_image


class _MeasureQualityInputSpec(BaseInterfaceInputSpec):
    source_file = source_image()
    inpainted = File(exists=True, mandatory=True, desc='the product, on its grid')
    change_mask = File(exists=True, mandatory=True, desc='on its grid')
    brain_mask = File(exists=True, mandatory=True, desc='on its grid')
    lesion_mask = File(exists=True, desc='on its grid')
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')
    facts = traits.List(traits.Dict, mandatory=True, desc='of each step')


class _MeasureQualityOutputSpec(MeasuredOutputSpec):
    numbers = traits.Dict(desc='flat, of numbers and text')


class MeasureQuality(MeasuredInterface):
    """Measure how far an inpainted image may be trusted (see `bids_inpaint.image.quality`)."""

    input_spec = _MeasureQualityInputSpec
    output_spec = _MeasureQualityOutputSpec
    step = 'measure_quality'

    def _run_step(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - writes no file
        numbers = summarise(self.inputs.facts) | self._change_numbers()
        registration = next(fact for fact in self.inputs.facts if fact['step'] == 'register')
        problems = [*registration['problems'], *change_problems(numbers)]
        self._results['numbers'] = {**numbers, 'problems': '; '.join(problems) or 'none'}
        return {}

    def _change_numbers(self) -> dict[str, float]:
        """Volumes, and correlations outside the change."""
        source = conform(read_source(Path(self.inputs.source_file)))
        inpainted = conform(nb.Nifti1Image.from_filename(self.inputs.inpainted)).data
        changed = _load_native_mask(self.inputs.change_mask)
        outside = _load_native_mask(self.inputs.brain_mask) & ~changed
        anat2std = inverse(read_itk_affine(Path(self.inputs.anat2std_xfm)))
        control = there_and_back(source, anat2std)
        numbers = {
            'change_volume_mm3': volume_mm3(changed, source.affine),
            'outside_correlation': correlation_within(source.data, inpainted, outside),
            'control_correlation': correlation_within(source.data, control, outside),
        }
        if isdefined(self.inputs.lesion_mask):
            lesions = _load_native_mask(self.inputs.lesion_mask)
            numbers['lesion_count'] = count_lesions(lesions)
            numbers['lesion_volume_mm3'] = volume_mm3(lesions, source.affine)
        return numbers


def summarise(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Take from the facts of the steps what QC looks at; flat."""
    steps = {fact['step']: fact for fact in facts}
    register, network = steps['register'], steps['inpaint']
    return {
        'registration_similarity': register['similarity'],
        'registration_strategy': register['strategy'],
        'affine_determinant': register['determinant'],
        'brain_coverage': register['coverage'],
        'skull_stripped': str(register['skull_stripped']).lower(),
        'brain_volume_std_ml': steps['brain_mask']['volume_ml'],
        'brain_mean': steps['normalise']['brain_mean'],
        'model': network['model'],
        'device': network['device'],
        'seconds': round(sum(fact['seconds'] for fact in facts), 1),
        'peak_memory_mb': max(fact['peak_memory_mb'] for fact in facts),
        'version': __version__,
        **_fluid_numbers(steps),
        **_mask_numbers(steps),
    }


def _fluid_numbers(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Take from the facts what the network made of ventricles; nothing if they are too narrow."""
    name = 'ventricle_change'
    return {name: steps['composite'][name]} if name in steps['composite'] else {}


def _mask_numbers(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Take from the facts what is to be known of a lesion mask, if one was given."""
    if 'add_fill' not in steps:
        return {}
    conform = steps['conform']
    return {
        'lesion_mask': conform['lesion_mask'],
        'lesion_mask_volume_mm3': conform['lesion_mask_mm3'],
        'lesion_mask_unfilled_mm3': steps['add_fill']['unfilled_mm3'],
        'lesion_mask_notes': '; '.join(conform['lesion_mask_notes']) or 'none',
    }


def _load_native_mask(path: str) -> NDArray[np.bool_]:
    """Read a mask of a source's grid in RAS+ order."""
    return np.asarray(conform(nb.Nifti1Image.from_filename(path)).data > 0.5)


class _GateInputSpec(BaseInterfaceInputSpec):
    numbers = traits.Dict(mandatory=True, desc='QC numbers, with `problems`')
    saved = traits.Any(desc='only so that the gate comes after all is saved')


class _GateOutputSpec(TraitedSpec):
    passed = traits.Bool(desc='always true: it raises otherwise')


class Gate(SimpleInterface):
    """Fail a scan whose QC numbers are out of their limits, after its derivatives are saved."""

    input_spec = _GateInputSpec
    output_spec = _GateOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        problems = self.inputs.numbers['problems']
        if problems != 'none':
            msg = f'QC: {problems} (--fail-on-qc makes this an error)'
            raise BidsInpaintError(msg)
        self._results['passed'] = True
        return runtime
