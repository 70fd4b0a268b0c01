"""Load a network on a device, and apply it: the one entry for a process that does so."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.lesion_map import tissue_median
from bids_inpaint.image.template import load_template
from bids_inpaint.network.device import Device, Request, choose_device, visible_gpus
from bids_inpaint.network.inference import fill, inpaint
from bids_inpaint.network.weights import load_weights

_NO_SUCH_DEVICE = 3


def prepare_backend(device: Request, num_threads: int) -> Device:
    """Choose the device and set the backend up for it; before the first operation.

    Memory of a GPU is taken as it is needed and not all at once, so that others can use the rest.

    Parameters
    ----------
    device : {'auto', 'cpu', 'gpu'}
        What the user asked for.
    num_threads : int
        CPU threads of one operation.

    Returns
    -------
    {'cpu', 'gpu'}
        What was taken.

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
) -> tuple[NDArray[np.float32], dict[str, Any]]:
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
    inpainted : (X, Y, Z) float32
        The same grid and units.
    facts : dict
        Model, hash, device and backend.

    """
    taken = prepare_backend(device, num_threads)
    network, card = load_weights(model)
    # XLA has no fast 3-D convolution on a CPU; on a GPU Keras decides.
    network.compile(jit_compile='auto' if taken == 'gpu' else False)
    apply: Callable[..., NDArray[np.float32]] = inpaint
    if fill_mask is not None:
        white = tissue_median(t1w, brain_mask & ~fill_mask, load_template().white_matter)
        apply = partial(fill, fill_mask=fill_mask, white_matter_median=white)
    with keras.device(f'{taken}:0'):
        inpainted = apply(
            network,
            t1w,
            brain_mask,
            window_vox=card.architecture.window_vox,
            flip_averaging=flip_averaging,
        )
    return inpainted, {
        'model': card.name,
        'sha256': card.sha256,
        'device': taken,
        'backend': keras.backend.backend(),
        'flip_averaging': flip_averaging,
    }


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
    except RuntimeError:  # the process has used TensorFlow before, with the same settings
        return


def main() -> int:
    """Say whether the device of the command line can be had: `python -m ... gpu`."""
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
