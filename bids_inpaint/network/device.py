"""Choose where the network runs."""

from collections.abc import Sequence
from importlib import import_module
from typing import Literal

from bids_inpaint.errors import BidsInpaintError

Device = Literal['cpu', 'gpu']
Request = Literal['auto', 'cpu', 'gpu']


def choose_device(requested: Request, gpus: Sequence[str]) -> Device:
    """Decide between CPU and GPU.

    Parameters
    ----------
    requested : {'auto', 'cpu', 'gpu'}
        Requested device; `auto` uses a GPU if there is one.
    gpus : sequence of str
        Names of the GPUs visible to the backend.

    Raises
    ------
    BidsInpaintError
        If a GPU is requested and none is visible: silently using the CPU would waste a day.

    """
    if requested == 'gpu' and not gpus:
        msg = (
            'device "gpu" was requested, but no GPU is visible. Give a container access to it '
            '(docker run --gpus all, apptainer run --nv), and use an installation with GPU '
            'support (the "gpu" extra); or run with --device cpu or auto'
        )
        raise BidsInpaintError(msg)
    return 'gpu' if gpus and requested != 'cpu' else 'cpu'


def visible_gpus() -> list[str]:
    """Names of the GPUs that the Keras backend can use; empty without one."""
    import keras

    backend = keras.backend.backend()
    if backend == 'tensorflow':
        import tensorflow as tf

        return [device.name for device in tf.config.list_physical_devices('GPU')]
    if backend == 'torch':  # Keras does not list its devices
        torch = import_module('torch')
        return [f'cuda:{number}' for number in range(torch.cuda.device_count())]
    return list(keras.distribution.list_devices('gpu'))
