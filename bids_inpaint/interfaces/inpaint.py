"""Nipype interfaces from the network to the inpainted source."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, File, isdefined, traits
from numpy.typing import NDArray

from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.bias import expand_field
from bids_inpaint.image.change_places import locate_change
from bids_inpaint.image.fill import change_to_fill
from bids_inpaint.image.native import add_change, ras_grid
from bids_inpaint.image.resample import Grid, resample
from bids_inpaint.image.source import read_source
from bids_inpaint.image.template import load_template, template_grid
from bids_inpaint.image.thresholds import (
    Applied,
    Prediction,
    Thresholds,
    apply_fill,
    apply_prediction,
    changed_voxels,
)
from bids_inpaint.image.ventricles import ventricle_change
from bids_inpaint.image.volume import Volume, load, load_mask, volume_mm3
from bids_inpaint.interfaces.base import (
    INTENSITY_STEP,
    PROBABILITY_STEP,
    Facts,
    MeasuredInterface,
    MeasuredOutputSpec,
    check_unchanged,
    save_array,
    save_mask,
    save_native,
    source_image,
)
from bids_inpaint.network.card import Card, models_folder, read_card

# What is zero nearly everywhere takes a hundredth of the bytes so, and no time to speak of.
_MOSTLY_ZERO = '.nii.gz'


class Network(NamedTuple):
    """A network: the folder of its weights, and its card."""

    folder: Path
    card: Card


def find_network(models: Path | None, name: str) -> Network:
    """Find a network by the name of its folder, in `models` or among those of the program.

    Raises
    ------
    BidsInpaintError
        If it is missing, or its weights are not those of its card.

    """
    folder = (models or models_folder()) / name
    return Network(folder, read_card(folder))


class _InpaintInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='normalised T1w on the template grid')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    model = Directory(exists=True, mandatory=True, desc='folder of weights and card')
    fill_mask = File(exists=True, desc='voxels to fill, for the non-blind network')
    sha256 = traits.Str(mandatory=True, desc='of the weights: others give another result')
    flip_averaging = traits.Bool(False, usedefault=True, desc='average with the mirrored volume')
    device = traits.Enum('auto', 'cpu', 'gpu', usedefault=True, nohash=True, desc='where to run')
    num_threads = traits.Int(1, usedefault=True, nohash=True, desc='CPU threads')
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc='queue for the GPU')


class _InpaintOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='predicted volume')
    probability = File(exists=True, desc='probability of lesion, if the network gives it')


class Inpaint(MeasuredInterface):
    """Apply the network (see `bids_inpaint.network.inference`)."""

    input_spec = _InpaintInputSpec
    output_spec = _InpaintOutputSpec
    step = 'inpaint'

    def load_ahead(self) -> None:
        """Load TensorFlow and the network, so that this process has them when the step runs."""
        from bids_inpaint.network.session import load_network

        load_network(Path(self.inputs.model), self.inputs.device, self.inputs.num_threads)

    def _run_step(self, folder: Path) -> Facts:
        # Imported here, so that only the process that uses TensorFlow loads it.
        from bids_inpaint.network.session import inpaint_on_device

        t1w, fill_mask = load(self.inputs.in_file), self.inputs.fill_mask
        said, facts = inpaint_on_device(
            t1w.data,
            load_mask(self.inputs.brain_mask),
            model=Path(self.inputs.model),
            device=self.inputs.device,
            num_threads=self.inputs.num_threads,
            flip_averaging=self.inputs.flip_averaging,
            fill_mask=load_mask(fill_mask) if isdefined(fill_mask) else None,
        )
        out_file = folder / 'inpainted.nii'
        self._results['out_file'] = save_array(said.inpainted, t1w.affine, out_file)
        if said.probability is not None:
            probability = folder / 'probability.nii'
            saved = save_array(said.probability, t1w.affine, probability, step=PROBABILITY_STEP)
            self._results['probability'] = saved
        return Facts(**facts)


class _CompositeInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='predicted volume')
    probability = File(exists=True, desc='probability of lesion, if the network gives it')
    preproc = File(exists=True, mandatory=True, desc='input of the network')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask')
    bias_field = File(exists=True, mandatory=True, desc='bias field; see `expand_field`')
    brain_mean = traits.Float(mandatory=True, desc='mean of the brain of the T1w')
    edge_threshold = traits.Float(mandatory=True, desc='threshold of a change')
    core_threshold = traits.Float(mandatory=True, desc='exceeded in each change')
    lesion_from = traits.Enum('difference', 'probability', usedefault=True, desc='see Thresholds')
    lesion_threshold = traits.Float(desc='of the lesion map; without it there is none')
    min_size_mm3 = traits.Float(0.0, usedefault=True, desc='volume of the smallest lesion')
    fill_mask = File(exists=True, desc='voxels to change, whatever the difference')


class _CompositeOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='inpainted volume, units of the mean of the brain')
    difference = File(exists=True, desc='inpainted minus given volume, the same units')
    change = File(exists=True, desc='the difference in the units of the source')
    weights = File(exists=True, desc='share of the difference that was taken')
    change_mask = File(exists=True, desc='voxels that were changed')
    lesion_mask = File(exists=True, desc='lesion map, if a threshold for it was given')


class Composite(MeasuredInterface):
    """Apply thresholds, and map lesions (see `bids_inpaint.image.thresholds`)."""

    input_spec = _CompositeInputSpec
    output_spec = _CompositeOutputSpec
    step = 'composite'

    def _run_step(self, folder: Path) -> Facts:
        preproc = load(self.inputs.preproc)
        brain = load_mask(self.inputs.brain_mask)
        probability = self.inputs.probability
        said = Prediction(
            load(self.inputs.in_file).data,
            load(probability).data if isdefined(probability) else None,
        )
        maps = load_template()
        if isdefined(self.inputs.fill_mask):
            asked = brain & load_mask(self.inputs.fill_mask)
            applied = apply_fill(preproc.data, said.inpainted, asked)
            facts = Facts(within='lesion mask')
        else:
            thresholds, facts = self._thresholds(preproc.affine)
            applied = apply_prediction(preproc.data, said, brain, maps, thresholds)
            places = locate_change(applied, said.probability, brain, maps)
            if not isdefined(self.inputs.lesion_threshold):
                places = places._replace(unchanged_lesion_std_mm3=None)
            facts = replace(facts, **places._asdict())
            asked = said.deciding(preproc.data) > thresholds.edge
        in_ventricles = ventricle_change(preproc.data, said.inpainted, asked, maps)
        del said  # this step takes the most memory of all
        self._save(applied, preproc, folder)
        return replace(facts, ventricle_change=in_ventricles)

    def _thresholds(self, affine: NDArray[np.float64]) -> tuple[Thresholds, Facts]:
        """Thresholds, for the operation and for the facts."""
        by_probability = isdefined(self.inputs.probability)
        mapped = isdefined(self.inputs.lesion_threshold)
        thresholds = Thresholds(
            edge=self.inputs.edge_threshold,
            core=self.inputs.core_threshold,
            lesion=self.inputs.lesion_threshold if mapped else np.inf,
            lesion_from=self.inputs.lesion_from,
            least_lesion_vox=self.inputs.min_size_mm3 / abs(np.linalg.det(affine[:3, :3])),
        )
        facts = Facts(
            decided_by='probability' if by_probability else 'difference',
            edge_threshold=thresholds.edge,
            core_threshold=thresholds.core,
            lesion_map_from=self.inputs.lesion_from if mapped else None,
            lesion_threshold=thresholds.lesion if mapped else None,
            min_size_mm3=self.inputs.min_size_mm3 if mapped else None,
        )
        return thresholds, facts

    def _save(self, applied: Applied, preproc: Volume, folder: Path) -> None:
        """Save the change, in both units, and the masks."""
        difference, affine = applied.inpainted - preproc.data, preproc.affine
        change = expand_field(load(self.inputs.bias_field), Grid(difference.shape, affine))
        change *= np.float32(self.inputs.brain_mean)
        change *= difference
        out_file = folder / 'out_file.nii'
        saved = save_array(applied.inpainted, affine, out_file, step=INTENSITY_STEP)
        self._results['out_file'] = saved
        arrays = {
            'difference': difference,
            'change': change,
            'weights': applied.weights,
        }
        for name, data in arrays.items():
            self._results[name] = save_array(data, affine, folder / f'{name}{_MOSTLY_ZERO}')
        masks = {'change_mask': applied.weights > 0}
        if isdefined(self.inputs.lesion_threshold):
            masks['lesion_mask'] = applied.lesion_mask
        for name, mask in masks.items():
            self._results[name] = save_mask(mask, affine, folder / f'{name}.nii')


class _AddChangeInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    source_sha256 = traits.Str(mandatory=True, desc='of in_file when the first step read it')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')
    change = File(exists=True, mandatory=True, desc='on the template grid, in units of in_file')
    weights = File(exists=True, mandatory=True, desc='share of the difference, template grid')
    difference = File(exists=True, mandatory=True, desc='normalised units, template grid')


class _AddChangeOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='in_file with the change added')
    change_mask = File(exists=True, desc='voxels of in_file that were changed')
    difference = File(exists=True, desc='the difference on the grid of in_file')


class AddChange(MeasuredInterface):
    """Resample the change to the source and add it (see `bids_inpaint.image.native`)."""

    input_spec = _AddChangeInputSpec
    output_spec = _AddChangeOutputSpec
    step = 'add_change'

    def _run_step(self, folder: Path) -> Facts:
        img = read_source(Path(self.inputs.in_file))
        native = ras_grid(img)
        std2anat = read_xfm(Path(self.inputs.anat2std_xfm), back=True)

        def bring(name: str) -> NDArray[np.float32]:
            """Resample an input; one at a time, as fine voxels take much memory."""
            return resample(load(Path(getattr(self.inputs, name))), native, std2anat)

        mask = changed_voxels(bring('weights'))
        inpainted = folder / 'inpainted_native.nii'
        add_change(img, bring('change'), mask).to_filename(inpainted)
        self._results['out_file'] = str(inpainted)
        difference = bring('difference')
        difference[~mask] = 0
        difference_file = folder / f'difference{_MOSTLY_ZERO}'
        self._results['difference'] = save_native(difference, img, difference_file)
        mask_file = folder / 'change_mask.nii'
        self._results['change_mask'] = save_native(mask.astype(np.uint8), img, mask_file)
        check_unchanged(Path(self.inputs.in_file), self.inputs.source_sha256)
        return Facts(interpolation='linear')


class _AddFillInputSpec(BaseInterfaceInputSpec):
    in_file = source_image()
    source_sha256 = traits.Str(mandatory=True, desc='of in_file when the first step read it')
    denoised = File(exists=True, mandatory=True, desc='in_file without noise, RAS+')
    lesion_mask = File(exists=True, mandatory=True, desc='its lesions, RAS+')
    fill_mask = File(exists=True, mandatory=True, desc='its voxels to fill, RAS+')
    anat2std_xfm = File(exists=True, mandatory=True, desc='from the T1w to the template')
    inpainted = File(exists=True, mandatory=True, desc='normalised units, template grid')
    weights = File(exists=True, mandatory=True, desc='1 where it was filled, template grid')
    bias_field = File(exists=True, mandatory=True, desc='bias field; see `expand_field`')
    brain_mean = traits.Float(mandatory=True, desc='mean of the brain of the T1w')


class _AddFillOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='in_file with its lesions filled')
    change_mask = File(exists=True, desc='voxels of in_file that were filled')
    difference = File(exists=True, desc='normalised units, on the grid of in_file')
    lesion_mask = File(exists=True, desc='lesions that were filled, template grid')
    lesion_mask_native = File(exists=True, desc='lesions that were filled, grid of in_file')


class AddFill(MeasuredInterface):
    """Resample the filling to the source, into the mask (see `bids_inpaint.image.fill`)."""

    input_spec = _AddFillInputSpec
    output_spec = _AddFillOutputSpec
    step = 'add_fill'

    def _run_step(self, folder: Path) -> Facts:
        img = read_source(Path(self.inputs.in_file))
        denoised, lesions = load(self.inputs.denoised), load_mask(self.inputs.lesion_mask)
        anat2std_file, filled_std = Path(self.inputs.anat2std_xfm), load(self.inputs.inpainted)
        grid = Grid(filled_std.data.shape, filled_std.affine)
        field = expand_field(load(self.inputs.bias_field), grid)
        found = change_to_fill(
            filled_std,
            load(self.inputs.weights).data,
            field * np.float32(self.inputs.brain_mean),
            denoised.data,
            load_mask(self.inputs.fill_mask),
            onto=ras_grid(img),
            std2anat_xfm=read_xfm(anat2std_file, back=True),
        )
        inpainted = folder / 'inpainted_native.nii'
        add_change(img, found.change, found.changed).to_filename(inpainted)
        self._results['out_file'] = str(inpainted)
        filled = Volume((lesions & found.changed).astype(np.float32), denoised.affine)
        native: dict[str, NDArray[Any]] = {
            'difference': found.difference,
            'change_mask': found.changed.astype(np.uint8),
            'lesion_mask_native': filled.data.astype(np.uint8),
        }
        for name, data in native.items():
            self._results[name] = save_native(data, img, folder / f'{name}{_MOSTLY_ZERO}')
        check_unchanged(Path(self.inputs.in_file), self.inputs.source_sha256)
        std = template_grid()
        moved = resample(filled, std, read_xfm(anat2std_file)) > 0.5
        self._results['lesion_mask'] = save_mask(moved, std.affine, folder / 'lesions.nii')
        unfilled = volume_mm3(lesions & ~found.changed, denoised.affine)
        return Facts(interpolation='linear', unfilled_mm3=unfilled)
