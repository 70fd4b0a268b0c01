"""Load a network on a device, and apply it: the entry for processes that do so."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.template import load_template
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.image.tissue import tissue_median
from bids_inpaint.network.card import WEIGHTS_FILE, Card
from bids_inpaint.network.device import Device, Request, choose_device, visible_gpus
from bids_inpaint.network.inference import fill, inpaint
from bids_inpaint.network.weights import load_weights

_NO_SUCH_DEVICE = 3


def prepare_backend(device: Request, num_threads: int) -> Device:
    """Choose the device and set up the backend, before the first operation.

    Memory of a GPU is allocated as needed, so that others can use the rest.

    Parameters
    ----------
    device : {'auto', 'cpu', 'gpu'}
        Requested device.
    num_threads : int
        CPU threads of one operation.

    Returns
    -------
    {'cpu', 'gpu'}
        Device used.

    """
    taken = choose_device(device, visible_gpus())
    if keras.backend.backend() == 'tensorflow':
        _prepare_tensorflow(taken, num_threads)
    return taken


def inpaint_on_device(
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    *,
    model: Path,
    device: Request,
    num_threads: int,
    flip_averaging: bool,
    fill_mask: NDArray[np.bool_] | None = None,
) -> tuple[Prediction, dict[str, Any]]:
    """Load a network and apply it to one volume.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        Template grid, in units of the mean of the brain.
    brain_mask : (X, Y, Z) bool
        Voxels outside it are zero for the network, and keep their value.
    model : Path
        Folder of weights and card.
    device, num_threads
        See `prepare_backend`.
    flip_averaging : bool
        See `bids_inpaint.network.inference.inpaint`.
    fill_mask : (X, Y, Z) bool, optional
        Voxels to fill, for a network that was trained to fill a mask; on the template grid.

    Returns
    -------
    prediction : Prediction
        The same grid and units; without a probability where a mask is filled.
    facts : dict
        Model, hash, device and backend; with a probability the curve that it follows.

    """
    network, card, taken = load_network(model, device, num_threads)
    with keras.device(f'{taken}:0'):
        said = _apply(network, card, t1w, brain_mask, fill_mask, flip_averaging=flip_averaging)
    return said, {
        'model': card.name,
        'sha256': card.sha256,
        'device': taken,
        'backend': keras.backend.backend(),
        'flip_averaging': flip_averaging,
        **({} if said.probability is None else {'probability_curve': card.probability_curve}),
    }


def load_network(
    model: Path, device: Request, num_threads: int
) -> tuple[keras.Model, Card, Device]:
    """Load a network, if it is not loaded yet: see `inpaint_on_device`."""
    taken = prepare_backend(device, num_threads)
    return *_load(model, (model / WEIGHTS_FILE).stat().st_mtime_ns, taken), taken


@cache
def _load(model: Path, _written_ns: int, taken: Device) -> tuple[keras.Model, Card]:
    """Load a network once for all scans of a process, unless its weights were written anew."""
    network, card = load_weights(model)
    # XLA has no fast 3-D convolution on a CPU; on a GPU Keras decides.
    network.compile(jit_compile='auto' if taken == 'gpu' else False)
    return network, card


def _apply(
    network: keras.Model,
    card: Card,
    t1w: NDArray[np.float32],
    brain_mask: NDArray[np.bool_],
    fill_mask: NDArray[np.bool_] | None,
    *,
    flip_averaging: bool,
) -> Prediction:
    """Fill a mask if there is one, else inpaint blindly."""
    window_vox = card.architecture.window_vox
    if fill_mask is None:
        return inpaint(
            network,
            t1w,
            brain_mask,
            window_vox=window_vox,
            flip_averaging=flip_averaging,
            probability_curve=card.probability_curve,
        )
    white = tissue_median(t1w, brain_mask & ~fill_mask, load_template().white_matter)
    filled = fill(
        network,
        t1w,
        brain_mask,
        fill_mask,
        white_matter_median=white,
        window_vox=window_vox,
        flip_averaging=flip_averaging,
    )
    return Prediction(filled)


def _prepare_tensorflow(taken: Device, num_threads: int) -> None:
    """Limit TensorFlow's threads and memory, once per process."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if taken == 'cpu':
            tf.config.set_visible_devices([], 'GPU')
        for gpu in tf.config.list_physical_devices('GPU') if taken == 'gpu' else []:
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    except RuntimeError:  # TensorFlow was used before, with the same settings
        return


def main() -> int:
    """Check the device of the command line: `python -m ... gpu`."""
    try:
        taken = choose_device(sys.argv[1], visible_gpus())  # type: ignore[arg-type]
    except BidsInpaintError as error:
        sys.stdout.write(f'{error}\n')
        return _NO_SUCH_DEVICE
    sys.stdout.write(f'{taken}\n')
    return 0


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
if __name__ == '__main__':
    sys.exit(main())
