"""Nipype interfaces to the steps before the network."""

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, isdefined, traits
from numpy.typing import NDArray

from bids_inpaint import qc
from bids_inpaint.files import sha256
from bids_inpaint.image.ants_bridge import read_xfm, write_xfm
from bids_inpaint.image.bias import estimate_bias_field, expand_field, thin_field
from bids_inpaint.image.denoise import around_brain, denoise
from bids_inpaint.image.fill import brain_with_lesions, hidden_region
from bids_inpaint.image.intensity import normalise
from bids_inpaint.image.lesion_mask import read_lesion_mask
from bids_inpaint.image.native import conform
from bids_inpaint.image.register.affine import (
    register_to_template,
    registration_problems,
    rotation_deg,
)
from bids_inpaint.image.register.brain import brain_mask_on_template
from bids_inpaint.image.register.flatten import reduce_fine
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.source import read_source, refuse
from bids_inpaint.image.template import brain_box, load_template, template_grid
from bids_inpaint.image.tissue import certain_tissues, joint_variation, tissue_contrast
from bids_inpaint.image.volume import Volume, dilate, load, load_mask, save, volume_mm3
from bids_inpaint.image.zero import Zero, find_zero, shift
from bids_inpaint.interfaces.base import (
    INTENSITY_STEP,
    Facts,
    MeasuredInterface,
    MeasuredOutputSpec,
    check_unchanged,
    save_array,
    save_mask,
    source_image,
)

LOGGER = logging.getLogger(__name__)


class _ConformInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    lesion_mask = File(desc='mask of its lesions on its grid; see `source_image` for a lost one')
    lesion_mask_uri = traits.Str(desc='its BIDS URI')


class _ConformOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='the voxels in RAS+ order, float32; 0 is no signal')
    lesion_mask = File(exists=True, desc='the mask in RAS+ order, if there is one')
    source_sha256 = traits.Str(desc='of the file, so that later steps notice another')


class Conform(MeasuredInterface):
    """Check a T1w image and its lesion mask, and reorient them to RAS+.

    Where its values do not begin at 0, they are shifted (see `bids_inpaint.image.zero`).
    """

    input_spec = _ConformInputSpec
    output_spec = _ConformOutputSpec
    step = 'conform'

    def _run_step(self, folder: Path) -> Facts:
        source = Path(self.inputs.in_file)
        digest = ''
        with contextlib.suppress(OSError):  # reading it tells why it cannot be read
            digest = sha256(source)
        img = read_source(source)
        t1w = conform(img)
        zero = self._find_zero(t1w.data)
        data = shift(t1w.data, zero)
        self._results['out_file'] = save_array(data, t1w.affine, folder / 'conformed.nii')
        zooms = [round(float(zoom), 4) for zoom in nb.affines.voxel_sizes(img.affine)]
        check_unchanged(source, digest)
        self._results['source_sha256'] = digest
        facts = Facts(
            shape=list(img.shape),
            zooms_mm=zooms,
            source_sha256=digest,
            zero=zero.value or None,
            background=zero.marker,
        )
        if isdefined(self.inputs.lesion_mask):
            return self._conform_mask(facts, img, t1w.affine, folder)
        return facts

    def _find_zero(self, t1w: NDArray[np.float32]) -> Zero:
        """Find the value of no signal, and say so if it is not 0."""
        path = Path(self.inputs.in_file)
        try:
            zero = find_zero(t1w)
        except ValueError as error:
            required = 'a T1w image whose background is darker than the brain'
            refuse(path, required, f'{error}. Use the image before it was rescaled', error)
        if zero.value:
            LOGGER.warning(
                '%s: its darkest value, %.4g, is taken as 0 for processing', path, zero.value
            )
        return zero

    def _conform_mask(
        self, facts: Facts, img: nb.Nifti1Image, affine: NDArray[np.float64], folder: Path
    ) -> Facts:
        """Read the lesion mask of an image, and record its facts."""
        path = Path(self.inputs.lesion_mask)
        mask, notes = read_lesion_mask(path, img)
        for note in notes:
            LOGGER.warning('%s: %s', path, note)
        self._results['lesion_mask'] = save_mask(mask, affine, folder / 'lesion_mask.nii')
        return replace(
            facts,
            lesion_mask=self.inputs.lesion_mask_uri,
            lesion_mask_mm3=volume_mm3(mask, affine),
            lesion_mask_notes=notes,
        )


class _RegisterInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='conformed T1w')
    random_seed = traits.Int(0, usedefault=True, desc='of the sampling of voxels')


class _RegisterOutputSpec(MeasuredOutputSpec):
    anat2std_xfm = File(exists=True, desc='ITK transform from the T1w to the template')
    std2anat_xfm = File(exists=True, desc='ITK transform from the template to the T1w')
    skull_stripped = traits.Bool(desc='whether the T1w is brain-extracted')


class Register(MeasuredInterface):
    """Find the affine map of a T1w to the template (see `bids_inpaint.image.register`)."""

    input_spec = _RegisterInputSpec
    output_spec = _RegisterOutputSpec
    step = 'register'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        found = register_to_template(t1w, random_seed=self.inputs.random_seed)
        qc.SIMILARITY.refuse_hopeless(found.similarity)
        forward = write_xfm(found.anat2std_xfm, folder / 'anat2std.txt')
        backward = write_xfm(found.anat2std_xfm, folder / 'std2anat.txt', back=True)
        self._results['anat2std_xfm'] = str(forward)
        self._results['std2anat_xfm'] = str(backward)
        self._results['skull_stripped'] = bool(found.skull_stripped)
        return Facts(
            strategy=found.strategy,
            similarity=float(found.similarity),
            determinant=float(found.determinant),
            coverage=float(found.coverage),
            rotation_deg=round(rotation_deg(found.anat2std_xfm), 1),
            skull_stripped=bool(found.skull_stripped),
            problems=registration_problems(found),
        )


class _DenoiseInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='conformed T1w')
    std2anat_xfm = File(exists=True, mandatory=True, desc='from the template to the T1w')
    reduce = traits.Bool(False, usedefault=True, desc='average voxels finer than the template')


class _DenoiseOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='T1w without noise in and around the brain')


class Denoise(MeasuredInterface):
    """Denoise in and around the brain (see `bids_inpaint.image.denoise`).

    Blocks of voxels finer than those of the template may be averaged before: it sees no more.
    """

    input_spec = _DenoiseInputSpec
    output_spec = _DenoiseOutputSpec
    step = 'denoise'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        if self.inputs.reduce:
            t1w = reduce_fine(t1w, spacing_mm=1.0)
        std2anat = read_xfm(Path(self.inputs.std2anat_xfm))
        cleaned = denoise(t1w, around_brain(t1w, std2anat, load_template().brain_mask))
        self._results['out_file'] = save_array(cleaned.data, t1w.affine, folder / 'denoised.nii')
        return Facts(noise_model='Rician')


class _ToTemplateInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='image on the grid of the T1w')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')


class _ToTemplateOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='the image on the template grid')


class ToTemplate(MeasuredInterface):
    """Resample an image to the template grid by cubic splines."""

    input_spec = _ToTemplateInputSpec
    output_spec = _ToTemplateOutputSpec
    step = 'to_template'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        anat2std = read_xfm(Path(self.inputs.anat2std_xfm))
        moved = resample(t1w, template_grid(), anat2std, order=3, within=brain_box())
        self._results['out_file'] = save_array(moved, template_grid().affine, folder / 'std.nii')
        return Facts(interpolation='cubic spline')


class _FillRegionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='lesion mask on the grid of the T1w, RAS+')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')
    dilate_vox = traits.Int(0, usedefault=True, desc='dilation, in its voxels')


class _FillRegionOutputSpec(MeasuredOutputSpec):
    fill_mask = File(exists=True, desc='voxels to fill, template grid')
    fill_mask_native = File(exists=True, desc='voxels of the T1w to fill, RAS+')


class FillRegion(MeasuredInterface):
    """Find the voxels to fill (see `bids_inpaint.image.fill`)."""

    input_spec = _FillRegionInputSpec
    output_spec = _FillRegionOutputSpec
    step = 'fill_region'

    def _run_step(self, folder: Path) -> Facts:
        lesions = load(self.inputs.in_file)
        grown = dilate(lesions.data > 0.5, self.inputs.dilate_vox)
        native = folder / 'fill_mask_native.nii'
        self._results['fill_mask_native'] = save_mask(grown, lesions.affine, native)
        anat2std = read_xfm(Path(self.inputs.anat2std_xfm))
        onto = template_grid()
        region = hidden_region(Volume(grown.astype(np.float32), lesions.affine), onto, anat2std)
        self._results['fill_mask'] = save_mask(region, onto.affine, folder / 'fill_mask.nii')
        volume = volume_mm3(grown, lesions.affine)
        return Facts(dilate_vox=self.inputs.dilate_vox, volume_mm3=volume)


class _BrainMaskInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    skull_stripped = traits.Bool(mandatory=True, desc='whether it is brain-extracted')
    fill_mask = File(exists=True, desc='lesions, added to the brain at its edge')


class _BrainMaskOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='brain mask on the template grid')


class BrainMask(MeasuredInterface):
    """Find the brain on the template grid (see `bids_inpaint.image.register.brain`)."""

    input_spec = _BrainMaskInputSpec
    output_spec = _BrainMaskOutputSpec
    step = 'brain_mask'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        mask = brain_mask_on_template(t1w.data, skull_stripped=self.inputs.skull_stripped)
        if isdefined(self.inputs.fill_mask):
            mask = brain_with_lesions(mask, load_mask(self.inputs.fill_mask))
        self._results['out_file'] = save_mask(mask, t1w.affine, folder / 'brain_mask.nii')
        return Facts(volume_ml=round(float(mask.sum()) / 1000, 1))


class _BiasFieldInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    fill_mask = File(exists=True, desc='lesions, excluded from the fit')


class _BiasFieldOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='bias field on a coarse grid; see `expand_field`')


class BiasField(MeasuredInterface):
    """Estimate the bias field (see `bids_inpaint.image.bias`)."""

    input_spec = _BiasFieldInputSpec
    output_spec = _BiasFieldOutputSpec
    step = 'bias_field'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        mask = _healthy_brain(self.inputs)
        field = estimate_bias_field(t1w, mask)
        thin = thin_field(Volume(field, t1w.affine))
        self._results['out_file'] = str(save(thin, folder / 'bias_field.nii', space='mni'))
        low, high = np.percentile(field[mask], [1, 99])
        return Facts(percentile_1=round(float(low), 3), percentile_99=round(float(high), 3))


class _NormaliseInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='T1w on the template grid')
    bias_field = File(exists=True, mandatory=True, desc='bias field; see `expand_field`')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    fill_mask = File(exists=True, desc='lesions, excluded from the mean')


class _NormaliseOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='T1w in units of the mean of its brain, zero outside it')
    brain_mean = traits.Float(desc='mean of the brain, in the units of the T1w')


class Normalise(MeasuredInterface):
    """Divide by bias field and brain mean (see `bids_inpaint.image.intensity`)."""

    input_spec = _NormaliseInputSpec
    output_spec = _NormaliseOutputSpec
    step = 'normalise'

    def _run_step(self, folder: Path) -> Facts:
        t1w = load(self.inputs.in_file)
        mask = load_mask(self.inputs.brain_mask)
        grid = Grid(t1w.data.shape, t1w.affine)
        corrected = t1w.data / expand_field(load(self.inputs.bias_field), grid)
        healthy, template = _healthy_brain(self.inputs), load_template()
        scaled, brain_mean = normalise(corrected, healthy)
        maps = template.grey_matter, template.white_matter
        sure = certain_tissues(scaled, healthy, *maps)
        contrast = tissue_contrast(*sure)
        qc.TISSUE_CONTRAST.refuse_hopeless(contrast)
        inside = np.where(mask, scaled, np.float32(0))
        out_file = folder / 'normalised.nii'
        saved = save_array(inside, t1w.affine, out_file, step=INTENSITY_STEP)
        self._results['out_file'] = saved
        self._results['brain_mean'] = brain_mean
        return Facts(
            brain_mean=brain_mean,
            tissue_contrast=round(contrast, 4),
            joint_variation=round(joint_variation(*sure), 4),
        )


def _healthy_brain(inputs: Any) -> NDArray[np.bool_]:
    """Read a brain mask, without lesions if they are known."""
    mask = load_mask(inputs.brain_mask)
    return mask & ~load_mask(inputs.fill_mask) if isdefined(inputs.fill_mask) else mask
