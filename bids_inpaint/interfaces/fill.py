"""Nipype interfaces to the steps that only an image with a lesion mask goes through."""

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, File, traits
from numpy.typing import NDArray

from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import read_itk_affine
from bids_inpaint.image.fill import change_to_fill, hidden_region
from bids_inpaint.image.lesion_mask import dilate
from bids_inpaint.image.quality import volume_mm3
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.source import add_change, ras_grid, read_source
from bids_inpaint.image.volume import Volume, load
from bids_inpaint.interfaces.base import (
    MeasuredInterface,
    MeasuredOutputSpec,
    load_mask,
    save_mask,
    save_native,
    source_image,
)


class _FillRegionInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='lesion mask on the grid of the T1w, RAS+')
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')
    dilate_vox = traits.Int(0, usedefault=True, desc='by how many of its voxels it grows')


class _FillRegionOutputSpec(MeasuredOutputSpec):
    fill_mask = File(exists=True, desc='what the network is to fill, template grid')
    fill_mask_native = File(exists=True, desc='what of the T1w is to be filled, RAS+')


class FillRegion(MeasuredInterface):
    """Find what is to be filled (see `bids_inpaint.image.fill`)."""

    input_spec = _FillRegionInputSpec
    output_spec = _FillRegionOutputSpec
    step = 'fill_region'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        lesions = load(Path(self.inputs.in_file))
        grown = dilate(lesions.data > 0.5, self.inputs.dilate_vox)
        native = folder / 'fill_mask_native.nii'
        self._results['fill_mask_native'] = save_mask(grown, lesions.affine, native)
        anat2std = inverse(read_itk_affine(Path(self.inputs.anat2std_xfm)))
        onto = Grid(template.SHAPE, template.AFFINE)
        region = hidden_region(Volume(grown.astype(np.float32), lesions.affine), onto, anat2std)
        self._results['fill_mask'] = save_mask(region, onto.affine, folder / 'fill_mask.nii')
        return {
            'dilate_vox': self.inputs.dilate_vox,
            'volume_mm3': volume_mm3(grown, lesions.affine),
        }


class _AddFillInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    denoised = File(exists=True, mandatory=True, desc='in_file without noise, RAS+')
    lesion_mask = File(exists=True, mandatory=True, desc='its lesions, RAS+')
    fill_mask = File(exists=True, mandatory=True, desc='what of it is to be filled, RAS+')
    anat2std_xfm = File(exists=True, mandatory=True, desc='brings the T1w to the template')
    inpainted = File(exists=True, mandatory=True, desc='normalised units, template grid')
    weights = File(exists=True, mandatory=True, desc='1 where it was filled, template grid')
    bias_field = File(exists=True, mandatory=True, desc='field that was divided by')
    brain_mean = traits.Float(mandatory=True, desc='mean that was divided by')


class _AddFillOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='in_file with its lesions filled')
    change_mask = File(exists=True, desc='voxels of in_file that were filled')
    difference = File(exists=True, desc='normalised units, on the grid of in_file')
    lesion_mask = File(exists=True, desc='lesions that were filled, template grid')
    lesion_mask_native = File(exists=True, desc='lesions that were filled, grid of in_file')


class AddFill(MeasuredInterface):
    """Bring what was filled to the source, into the mask (see `bids_inpaint.image.fill`)."""

    input_spec = _AddFillInputSpec
    output_spec = _AddFillOutputSpec
    step = 'add_fill'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        img = read_source(Path(self.inputs.in_file))
        denoised, lesions = load(Path(self.inputs.denoised)), load_mask(self.inputs.lesion_mask)
        filled, share, scale = self._brought_to(ras_grid(img))
        change, changed = change_to_fill(
            filled, share, denoised.data, load_mask(self.inputs.fill_mask)
        )
        inpainted = folder / 'inpainted_native.nii'
        add_change(img, change, changed).to_filename(inpainted)
        self._results['out_file'] = str(inpainted)
        filled_lesions = (lesions & changed).astype(np.float32)
        normalised = np.divide(change, scale, out=np.zeros_like(change), where=changed)
        native = {
            'difference': normalised,
            'change_mask': changed.astype(np.uint8),
            'lesion_mask_native': filled_lesions.astype(np.uint8),
        }
        for name, data in native.items():
            self._results[name] = save_native(data, img, folder / f'{name}.nii')
        self._save_in_template(Volume(filled_lesions, denoised.affine), folder)
        unfilled = volume_mm3(lesions & ~changed, denoised.affine)
        return {'interpolation': 'linear', 'unfilled_mm3': unfilled}

    def _brought_to(self, native: Grid) -> list[NDArray[np.float32]]:
        """Bring to a grid the filled volume, in units of the T1w, the share filled, the unit."""
        std2anat = read_itk_affine(Path(self.inputs.anat2std_xfm))
        inpainted, affine = load(Path(self.inputs.inpainted))
        scale = load(Path(self.inputs.bias_field)).data * np.float32(self.inputs.brain_mean)
        weights = load(Path(self.inputs.weights)).data
        volumes = (inpainted * scale, weights, scale)
        return [resample(Volume(data, affine), native, std2anat) for data in volumes]

    def _save_in_template(self, lesions: Volume, folder: Path) -> None:
        """Bring the lesions that were filled to the template grid."""
        anat2std = inverse(read_itk_affine(Path(self.inputs.anat2std_xfm)))
        moved = resample(lesions, Grid(template.SHAPE, template.AFFINE), anat2std) > 0.5
        self._results['lesion_mask'] = save_mask(moved, template.AFFINE, folder / 'lesions.nii')
