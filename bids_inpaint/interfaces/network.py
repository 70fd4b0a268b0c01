"""Nipype interface to the network."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, Directory, File, isdefined, traits

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.volume import load
from bids_inpaint.interfaces.base import (
    MeasuredInterface,
    MeasuredOutputSpec,
    load_mask,
    save_array,
)
from bids_inpaint.network.card import Card, models_folder, read_card

_NO_SUCH_DEVICE = 3


class _InpaintInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='normalised T1w on the template grid')
    brain_mask = File(exists=True, mandatory=True, desc='brain mask on the same grid')
    model = Directory(exists=True, mandatory=True, desc='folder of weights and card')
    fill_mask = File(exists=True, desc='fill this, with a network trained to fill a mask')
    sha256 = traits.Str(mandatory=True, desc='of the weights: others make another result')
    flip_averaging = traits.Bool(False, usedefault=True, desc='average with the mirrored volume')
    device = traits.Enum('auto', 'cpu', 'gpu', usedefault=True, nohash=True, desc='where to run')
    num_threads = traits.Int(1, usedefault=True, nohash=True, desc='CPU threads')
    use_gpu = traits.Bool(False, usedefault=True, nohash=True, desc='tells nipype to queue it')


class _InpaintOutputSpec(MeasuredOutputSpec):
    out_file = File(exists=True, desc='the volume as the network predicts it')


class Inpaint(MeasuredInterface):
    """Apply the network (see `bids_inpaint.network.inference`)."""

    input_spec = _InpaintInputSpec
    output_spec = _InpaintOutputSpec
    step = 'inpaint'

    def _run_step(self, folder: Path) -> dict[str, Any]:
        # Imported here so that TensorFlow is loaded by the process that uses it, and no other.
        from bids_inpaint.network.session import inpaint_on_device

        t1w, fill_mask = load(Path(self.inputs.in_file)), self.inputs.fill_mask
        inpainted, facts = inpaint_on_device(
            t1w.data,
            load_mask(self.inputs.brain_mask),
            model=Path(self.inputs.model),
            device=self.inputs.device,
            num_threads=self.inputs.num_threads,
            flip_averaging=self.inputs.flip_averaging,
            fill_mask=load_mask(fill_mask) if isdefined(fill_mask) else None,
        )
        self._results['out_file'] = save_array(inpainted, t1w.affine, folder / 'inpainted.nii')
        return facts


def check_device(device: str) -> None:
    """Ask for a device before the first scan is begun, in a process of its own.

    Raises
    ------
    BidsInpaintError
        If a GPU was asked for and none is visible.

    """
    command = [sys.executable, '-m', 'bids_inpaint.network.session', device]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode == _NO_SUCH_DEVICE:
        raise BidsInpaintError(asked.stdout.strip())
    if asked.returncode:
        msg = f'could not ask for the device {device!r}:\n{asked.stderr.strip()}'
        raise BidsInpaintError(msg)


def find_network(models: Path | None, name: str) -> tuple[Path, Card]:
    """Find a network by its name, and read its card.

    Parameters
    ----------
    models : Path or None
        Folder of networks; None for those that come with the program.
    name : str
        Of the network: its folder within.

    Raises
    ------
    BidsInpaintError
        If it is not there, or its weights are not those of its card.

    """
    folder = (models or models_folder()) / name
    return folder, read_card(folder)
