"""Weights as arrays of numbers, in half precision.

Without pickles and serialised layers: the architecture is built from the config in the card, so
any version of Keras can load it.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import replacing, sha256
from bids_inpaint.network.card import WEIGHTS_FILE, Card, read_card, write_card
from bids_inpaint.network.unet import build_unet

STORED_DTYPE = np.float16


def save_weights(network: keras.Model, folder: Path, card: dict[str, Any]) -> Card:
    """Write weights and card; the card last, so that a folder with a card is complete.

    Parameters
    ----------
    network : keras.Model
        As made by `build_unet`.
    folder : Path
        Made if it is missing.
    card : dict
        The fields of `Card` but for `sha256`; `architecture` a `UNetConfig`.

    """
    arrays = {
        v.path: keras.ops.convert_to_numpy(v).astype(STORED_DTYPE) for v in network.variables
    }
    with replacing(folder / WEIGHTS_FILE, durable=True) as temporary:
        np.savez_compressed(temporary, **arrays)
    made = Card(**card, sha256=sha256(folder / WEIGHTS_FILE))
    write_card(made, folder)
    return made


def load_weights(folder: Path) -> tuple[keras.Model, Card]:
    """Build the network of a folder with its weights; float32.

    Raises
    ------
    BidsInpaintError
        If card or weights cannot be read, or are not of one network.

    """
    card = read_card(folder)
    network = build_unet(card.architecture)
    path = folder / WEIGHTS_FILE
    try:
        # `np.load` itself would leave a file open that it cannot read.
        with path.open('rb') as stream, np.load(stream, allow_pickle=False) as arrays:
            for variable in network.variables:
                variable.assign(arrays[variable.path].astype(np.float32))
    except Exception as error:
        # Of many types: of the archive, its compression, the arrays and their shapes.
        msg = (
            f'{path} must hold an array of numbers for each variable of the network of its card, '
            f'and does not: {type(error).__name__}: {error}. Copy or download it again'
        )
        raise BidsInpaintError(msg) from error
    return network, card
