"""Choose where the network runs."""

from collections.abc import Sequence
from typing import Literal

from bids_inpaint.errors import BidsInpaintError

Device = Literal['cpu', 'gpu']
Request = Literal['auto', 'cpu', 'gpu']


def choose_device(requested: Request, gpus: Sequence[str]) -> Device:
    """Decide between CPU and GPU.

    Parameters
    ----------
    requested : {'auto', 'cpu', 'gpu'}
        What the user asked for; `auto` takes a GPU where there is one.
    gpus : sequence of str
        Names of the GPUs that the backend sees.

    Raises
    ------
    BidsInpaintError
        If a GPU is asked for and none is visible: a run that silently took the CPU would be
        noticed a day later.

    """
    if requested == 'gpu' and not gpus:
        msg = (
            'device "gpu" was asked for, but no GPU is visible. In a container expose it '
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
    return list(keras.distribution.list_devices('gpu'))
