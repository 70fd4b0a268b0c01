"""Nipype interfaces to the steps before the network."""

import logging
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, isdefined, traits
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.bids.existing import source_sha256
from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import read_itk_affine, write_itk_affine
from bids_inpaint.image.bias import estimate_bias_field
from bids_inpaint.image.brain import brain_mask_on_template
from bids_inpaint.image.denoise import denoise
from bids_inpaint.image.fill import brain_with_lesions
from bids_inpaint.image.intensity import normalise
from bids_inpaint.image.lesion_mask import read_lesion_mask
from bids_inpaint.image.quality import volume_mm3
from bids_inpaint.image.register import register_to_template, registration_problems
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.source import conform, read_source
from bids_inpaint.image.template import load_template
from bids_inpaint.image.volume import Volume, load
from bids_inpaint.interfaces.base import (
    MeasuredInterface,
    MeasuredOutputSpec,
    load_mask,
    save_array,
    save_mask,
    source_image,
)

LOGGER = logging.getLogger(__name__)

_TEMPLATE_GRID = Grid(template.SHAPE, template.AFFINE)
# Denoising reaches this far beyond the template's brain, so that an imperfect affine leaves no
# part of the brain noisy.
_DENOISE_MARGIN_VOX = 4


class _ConformInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    lesion_mask = File(desc='mask of its lesions on its grid; see `source_image` for a lost one')
    lesion_mask_uri = traits.Str(desc='how sidecars name it')


class _ConformOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='the same voxels in RAS+ order, float32')
    lesion_mask = File(exists=True, desc='the mask in RAS+ order, if there is one')


class Conform(MeasuredInterface):
    """Check a T1w image and its lesion mask, and turn them to RAS+."""

    input_spec = _ConformInputSpec
    output_spec = _ConformOutputSpec
    step = 'conform'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        img = read_source(Path(self.inputs.in_file))
        t1w = conform(img)
        self._results['out_file'] = save_array(t1w.data, t1w.affine, folder / 'conformed.nii')
        zooms = [round(float(zoom), 4) for zoom in img.header.get_zooms()[:3]]
        digest = source_sha256(Path(self.inputs.in_file))
        facts = {'shape': list(img.shape), 'zooms_mm': zooms, 'source_sha256': digest}
        if isdefined(self.inputs.lesion_mask):
            facts |= self._conform_mask(img, t1w.affine, folder)
        return facts

    def _conform_mask(
        self, img: nb.Nifti1Image, affine: NDArray[np.float64], folder: Path
    ) -> dict[str, Any]:
        """Read the lesion mask of an image, and say what is to be known of it."""
        path = Path(self.inputs.lesion_mask)
        mask, notes = read_lesion_mask(path, img)
        for note in notes:
            LOGGER.warning('%s: %s', path, note)
        self._results['lesion_mask'] = save_mask(mask, affine, folder / 'lesion_mask.nii')
        return {
            'lesion_mask': self.inputs.lesion_mask_uri,
            'lesion_mask_mm3': volume_mm3(mask, affine),
            'lesion_mask_notes': notes,
        }


class _RegisterInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='conformed T1w')
    random_seed = traits.Int(0, usedefault=True, desc='of the sampling of voxels')


class _RegisterOutputSpec(MeasuredOutputSpec):
    anat2std_xfm = File(exists=True, desc='ITK transform that brings the T1w to the template')
    std2anat_xfm = File(exists=True, desc='ITK transform that brings the template to the T1w')
    skull_stripped = traits.Bool(desc='whether the T1w shows a brain without its head')


class Register(MeasuredInterface):
    """Find the affine map of a T1w to the template (see `bids_inpaint.image.register`)."""

    input_spec = _RegisterInputSpec
    output_spec = _RegisterOutputSpec
    step = 'register'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        found = register_to_template(t1w, random_seed=self.inputs.random_seed)
        # ITK resamples by the map of points of the target, so that the file that brings the T1w
        # to the template holds the inverse.
        forward = write_itk_affine(inverse(found.anat2std_xfm), folder / 'anat2std.txt')
        backward = write_itk_affine(found.anat2std_xfm, folder / 'std2anat.txt')
        self._results['anat2std_xfm'] = str(forward)
        self._results['std2anat_xfm'] = str(backward)
        self._results['skull_stripped'] = bool(found.skull_stripped)
        return {
            'strategy': found.strategy,
            'similarity': float(found.similarity),
            'determinant': float(found.determinant),
            'coverage': float(found.coverage),
            'skull_stripped': bool(found.skull_stripped),
            'problems': registration_problems(found),
        }


class _DenoiseInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='conformed T1w')
    std2anat_xfm = File(exists=True, mandatory=True, desc='brings the template to the T1w')


class _DenoiseOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='T1w without noise in and around the brain')


class Denoise(MeasuredInterface):
    """Remove noise where the brain is (see `bids_inpaint.image.denoise`)."""

    input_spec = _DenoiseInputSpec
    output_spec = _DenoiseOutputSpec
    step = 'denoise'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        grown = ndimage.binary_dilation(
            load_template().brain_mask, iterations=_DENOISE_MARGIN_VOX
        ).astype(np.float32)
        std2anat = inverse(read_itk_affine(Path(self.inputs.std2anat_xfm)))
        native = Grid(t1w.data.shape, t1w.affine)
        mask = resample(Volume(grown, template.AFFINE), native, std2anat) > 0.5
        # Voxels that were set to zero, by brain extraction or by the scanner, hold no noise.
        cleaned = denoise(t1w, mask & (t1w.data != 0))
        self._results['out_file'] = save_array(cleaned.data, t1w.affine, folder / 'denoised.nii')
        return {'noise_model': 'Rician'}


class _ToTemplateInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='image on the grid of the T1w')
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')


class _ToTemplateOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='the image on the template grid')


class ToTemplate(MeasuredInterface):
    """Resample an image to the template grid by cubic splines."""

    input_spec = _ToTemplateInputSpec
    output_spec = _ToTemplateOutputSpec
    step = 'to_template'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        anat2std = inverse(read_itk_affine(Path(self.inputs.anat2std_xfm)))
        moved = resample(t1w, _TEMPLATE_GRID, anat2std, order=3)
        self._results['out_file'] = save_array(moved, template.AFFINE, folder / 'std.nii')
        return {'interpolation': 'cubic spline'}


class _BrainMaskInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    skull_stripped = traits.Bool(mandatory=True, desc='whether it shows a brain only')
    fill_mask = File(exists=True, desc='lesions, to be brain where they lie at its edge')


class _BrainMaskOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='brain mask on the template grid')


class BrainMask(MeasuredInterface):
    """Find the brain on the template grid (see `bids_inpaint.image.brain`)."""

    input_spec = _BrainMaskInputSpec
    output_spec = _BrainMaskOutputSpec
    step = 'brain_mask'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        mask = brain_mask_on_template(t1w.data, skull_stripped=self.inputs.skull_stripped)
        if isdefined(self.inputs.fill_mask):
            mask = brain_with_lesions(mask, load_mask(self.inputs.fill_mask))
        self._results['out_file'] = save_mask(mask, t1w.affine, folder / 'brain_mask.nii')
        return {'volume_ml': round(float(mask.sum()) / 1000, 1)}


class _BiasFieldInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    fill_mask = File(exists=True, desc='lesions, which the field is not fitted to')


class _BiasFieldOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='bias field, to divide by')


class BiasField(MeasuredInterface):
    """Estimate the bias field (see `bids_inpaint.image.bias`)."""

    input_spec = _BiasFieldInputSpec
    output_spec = _BiasFieldOutputSpec
    step = 'bias_field'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        mask = _healthy_brain(self.inputs)
        field = estimate_bias_field(t1w, mask)
        self._results['out_file'] = save_array(field, t1w.affine, folder / 'bias_field.nii')
        low, high = np.percentile(field[mask], [1, 99])
        return {'percentile_1': round(float(low), 3), 'percentile_99': round(float(high), 3)}


class _NormaliseInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    bias_field = File(exists=True, mandatory=True, desc='bias field on the same grid')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    fill_mask = File(exists=True, desc='lesions, which the mean is not taken over')


class _NormaliseOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='T1w in units of the mean of its brain, zero outside it')
    brain_mean = traits.Float(desc='what was divided by, in the units of the T1w')


class Normalise(MeasuredInterface):
    """Divide by bias field and brain mean (see `bids_inpaint.image.intensity`)."""

    input_spec = _NormaliseInputSpec
    output_spec = _NormaliseOutputSpec
    step = 'normalise'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        t1w = load(Path(self.inputs.in_file))
        mask = load_mask(self.inputs.brain_mask)
        corrected = t1w.data / load(Path(self.inputs.bias_field)).data
        scaled, brain_mean = normalise(corrected, _healthy_brain(self.inputs))
        inside = np.where(mask, scaled, np.float32(0))
        self._results['out_file'] = save_array(inside, t1w.affine, folder / 'normalised.nii')
        self._results['brain_mean'] = brain_mean
        return {'brain_mean': brain_mean}


def _healthy_brain(inputs: Any) -> NDArray[np.bool_]:
    """Read a brain mask, less the lesions if they are known."""
    mask = load_mask(inputs.brain_mask)
    return mask & ~load_mask(inputs.fill_mask) if isdefined(inputs.fill_mask) else mask
