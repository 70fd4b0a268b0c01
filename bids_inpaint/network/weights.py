"""Weights as files of numbers, in half precision.

No pickle and no serialised layer: the architecture is built from the card's config, so that no
version of Keras can refuse to load it.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from bids_inpaint.network.card import WEIGHTS_FILE, Card, file_sha256, read_card, write_card
from bids_inpaint.network.unet import build_unet

STORED_DTYPE = np.float16


def save_weights(network: keras.Model, folder: Path, card: dict[str, Any]) -> Card:
    """Write weights and card, the card last so that a folder with one is whole.

    Parameters
    ----------
    network : keras.Model
        As made by `build_unet`.
    folder : Path
        Made if it is missing.
    card : dict
        The fields of `Card` but for `sha256`; `architecture` a `UNetConfig`.

    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        v.path: keras.ops.convert_to_numpy(v).astype(STORED_DTYPE) for v in network.variables
    }
    temporary = folder / f'.{WEIGHTS_FILE}'
    with temporary.open('wb') as stream:
        np.savez_compressed(stream, **arrays)
    temporary.replace(folder / WEIGHTS_FILE)
    made = Card(**card, sha256=file_sha256(folder / WEIGHTS_FILE))
    write_card(made, folder)
    return made


def load_weights(folder: Path) -> tuple[keras.Model, Card]:
    """Build the network that a folder describes, and put its weights in; float32."""
    card = read_card(folder)
    network = build_unet(card.architecture)
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
        for variable in network.variables:
            variable.assign(arrays[variable.path].astype(np.float32))
    return network, card
