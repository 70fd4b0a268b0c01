"""Take a constant out of what the blind network changes."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np

from bids_inpaint.network.card import Card
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training import assess
from bids_inpaint.training.pipeline import Brain

_LAST_LAYER = 'full_resolution'


def remove_offset(folder: Path, brains: Sequence[Brain]) -> float:
    """Lower the last bias of the network in a folder by what it adds to healthy brains.

    A loss that weighs lesions more than brains leaves a network that brightens everything by a
    little. A change of 0.01 everywhere is nothing to see and below each threshold, but costs most
    of the network's PSNR.

    Parameters
    ----------
    folder : Path
        Of a network with a residual head; its weights and card are written anew. The figures of
        the card go, as they were of the weights before.
    brains : sequence of Brain
        Healthy ones, not those for testing.

    Returns
    -------
    float
        What was taken off: the median over brains of the median change in each, in units of the
        mean of the brain.

    """
    network, card = load_weights(folder)
    network.compile(jit_compile=False)
    window = card.architecture.window_vox
    offset = float(
        np.median(
            [
                np.median((p.inpainted - p.example.target)[p.brain_mask])
                for p in assess.predict(network, assess.healthy(brains), window)
            ]
        )
    )
    bias = network.get_layer(_LAST_LAYER).bias
    bias.assign(keras.ops.subtract(bias, offset))
    _write(network, card, folder, offset)
    return offset


def _write(network: keras.Model, card: Card, folder: Path, offset: float) -> None:
    """Write weights and card, which says what was taken off."""
    kept = {f.name: getattr(card, f.name) for f in fields(card) if f.name != 'sha256'}
    total = offset + card.training.get('offset_removed', 0.0)
    training = {**card.training, 'offset_removed': total}
    save_weights(network, folder, {**kept, 'metrics': {}, 'training': training})
