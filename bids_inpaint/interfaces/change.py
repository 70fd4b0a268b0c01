"""Nipype interfaces to the steps after the network."""

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, isdefined, traits
from numpy.typing import NDArray

from bids_inpaint.image.ants_bridge import read_itk_affine
from bids_inpaint.image.composite import change_weights, composite
from bids_inpaint.image.fluid import brain_without_ventricles, mean_change, ventricular_fluid
from bids_inpaint.image.lesion_map import map_lesions, white_matter_of
from bids_inpaint.image.resample import resample
from bids_inpaint.image.source import add_change, ras_grid, read_source
from bids_inpaint.image.template import load_template
from bids_inpaint.image.volume import load
from bids_inpaint.interfaces.base import (
    MeasuredInterface,
    MeasuredOutputSpec,
    load_mask,
    save_array,
    save_mask,
    save_native,
    source_image,
)

# Least weight of a voxel that is changed: less is what linear interpolation leaves of the taper.
_LEAST_WEIGHT = 0.05
_THRESHOLDS = ('edge_threshold', 'core_threshold')


class _CompositeInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='volume as the network predicts it')
    t1w_norm = File(exists=True, mandatory=True, desc='volume that the network was given')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask')
    bias_field = File(exists=True, mandatory=True, desc='field that was divided by')
    brain_mean = traits.Float(mandatory=True, desc='mean that was divided by')
    edge_threshold = traits.Float(mandatory=True, desc='least difference of a change')
    core_threshold = traits.Float(mandatory=True, desc='difference that each change reaches')
    fill_mask = File(exists=True, desc='change this and no more, whatever the difference')


class _CompositeOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='inpainted volume, units of the mean of the brain')
    difference = File(exists=True, desc='inpainted minus given volume, the same units')
    change = File(exists=True, desc='the difference in the units of the source')
    weights = File(exists=True, desc='share of the difference that was taken')
    change_mask = File(exists=True, desc='voxels that were changed')


class Composite(MeasuredInterface):
    """Keep the change where it is meant (see `bids_inpaint.image.composite`)."""

    input_spec = _CompositeInputSpec
    output_spec = _CompositeOutputSpec
    step = 'composite'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        given, affine = load(Path(self.inputs.t1w_norm))
        predicted = load(Path(self.inputs.in_file)).data
        weights, facts = self._weights(given, predicted)
        inpainted = composite(given, predicted, weights)
        difference = inpainted - given
        scale = load(Path(self.inputs.bias_field)).data * np.float32(self.inputs.brain_mean)
        arrays = {'out_file': inpainted, 'difference': difference, 'weights': weights}
        for name, data in {**arrays, 'change': difference * scale}.items():
            self._results[name] = save_array(data, affine, folder / f'{name}.nii')
        self._results['change_mask'] = save_mask(weights > 0, affine, folder / 'change_mask.nii')
        return facts

    def _weights(
        self, given: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Share of the difference that is taken of each voxel, and what it follows from."""
        brain, maps = load_mask(self.inputs.brain_mask), load_template()
        difference = predicted - given
        facts: dict[str, Any]
        if isdefined(self.inputs.fill_mask):
            filled = brain & load_mask(self.inputs.fill_mask)
            asked, facts = filled, {'within': 'lesion mask'}
            weights = filled.astype(np.float32)
        else:
            facts = {name: getattr(self.inputs, name) for name in _THRESHOLDS}
            asked = np.abs(difference) > self.inputs.edge_threshold
            may_change = brain_without_ventricles(given, brain, maps)
            weights = change_weights(difference, may_change, **facts)
        change = mean_change(difference * asked, ventricular_fluid(given, maps))
        return weights, facts if change is None else {**facts, 'ventricle_change': change}


class _MapLesionsInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='inpainted volume')
    difference = File(exists=True, mandatory=True, desc='inpainted minus given volume')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask')
    threshold = traits.Float(mandatory=True, desc='least difference, of the mean of the brain')
    min_size_mm3 = traits.Float(mandatory=True, desc='volume of the smallest lesion')


class _MapLesionsOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='lesion mask')


class MapLesions(MeasuredInterface):
    """Find lesions in the change (see `bids_inpaint.image.lesion_map`)."""

    input_spec = _MapLesionsInputSpec
    output_spec = _MapLesionsOutputSpec
    step = 'map_lesions'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        inpainted, affine = load(Path(self.inputs.in_file))
        brain = load_mask(self.inputs.brain_mask)
        template = load_template()
        white = white_matter_of(inpainted, brain, template.grey_matter, template.white_matter)
        lesions = map_lesions(
            load(Path(self.inputs.difference)).data,
            white,
            threshold=self.inputs.threshold,
            min_size_vox=self.inputs.min_size_mm3 / abs(np.linalg.det(affine[:3, :3])),
        )
        self._results['out_file'] = save_mask(lesions, affine, folder / 'lesions.nii')
        return {'threshold': self.inputs.threshold, 'min_size_mm3': self.inputs.min_size_mm3}


class _AddChangeInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')
    change = File(exists=True, mandatory=True, desc='on the template grid, in units of in_file')
    weights = File(exists=True, mandatory=True, desc='share of the difference, template grid')
    difference = File(exists=True, mandatory=True, desc='normalised units, template grid')


class _AddChangeOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='in_file with the change added')
    change_mask = File(exists=True, desc='voxels of in_file that were changed')
    difference = File(exists=True, desc='the difference on the grid of in_file')


class AddChange(MeasuredInterface):
    """Bring the change to the source and add it (see `bids_inpaint.image.source`)."""

    input_spec = _AddChangeInputSpec
    output_spec = _AddChangeOutputSpec
    step = 'add_change'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        img = read_source(Path(self.inputs.in_file))
        native = ras_grid(img)
        std2anat = read_itk_affine(Path(self.inputs.anat2std_xfm))
        names = ('weights', 'change', 'difference')
        weights, change, difference = (
            resample(load(Path(getattr(self.inputs, name))), native, std2anat) for name in names
        )
        mask = weights > _LEAST_WEIGHT
        inpainted = folder / 'inpainted_native.nii'
        add_change(img, change, mask).to_filename(inpainted)
        self._results['out_file'] = str(inpainted)
        difference = np.where(mask, difference, np.float32(0))
        self._results['difference'] = save_native(difference, img, folder / 'difference.nii')
        mask_file = folder / 'change_mask.nii'
        self._results['change_mask'] = save_native(mask.astype(np.uint8), img, mask_file)
        return {'interpolation': 'linear'}


class _MaskToNativeInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='mask on the template grid')
    reference = source_image()
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')


class _MaskToNativeOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='mask on the grid of the reference')


class MaskToNative(MeasuredInterface):
    """Bring a mask of the template grid to that of a source image."""

    input_spec = _MaskToNativeInputSpec
    output_spec = _MaskToNativeOutputSpec
    step = 'mask_to_native'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        img = read_source(Path(self.inputs.reference))
        std2anat = read_itk_affine(Path(self.inputs.anat2std_xfm))
        mask = resample(load(Path(self.inputs.in_file)), ras_grid(img), std2anat) > 0.5
        out_file = folder / 'mask_native.nii'
        self._results['out_file'] = save_native(mask.astype(np.uint8), img, out_file)
        return {'interpolation': 'linear'}
