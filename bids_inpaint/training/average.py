"""Average the weights of networks, number by number."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np

from bids_inpaint.network.card import Card
from bids_inpaint.network.weights import load_weights, save_weights

# Training data that all networks share; other fields differ.
_DATA = ('brains', 'masks', 'backend')


def average_networks(folders: Sequence[Path], shares: Sequence[float], out: Path) -> Card:
    """Write the average of networks, of which one started from the weights of the other.

    Parameters
    ----------
    folders : sequence of Path
        Networks of the same architecture.
    shares : sequence of float
        Weights of the networks; divided by their sum.
    out : Path
        Folder of the average. Its card is that of the last network, without figures, as these were
        measured on others; `training` has the data, and how each of them was trained.

    Raises
    ------
    ValueError
        If there is not one positive share for each network, or architectures differ.

    References
    ----------
    Wortsman M. et al., "Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time", ICML 2022.

    """
    if len(folders) != len(shares) or not all(share > 0 for share in shares):
        msg = f'each network needs a positive share: {len(folders)} networks, shares {shares}'
        raise ValueError(msg)
    loaded = [load_weights(folder) for folder in folders]
    architectures = {card.architecture for _, card in loaded}
    if len(architectures) > 1:
        msg = f'networks must have one architecture, have {architectures}'
        raise ValueError(msg)
    network, card = loaded[-1]
    sets = [
        [keras.ops.convert_to_numpy(v) for v in other.trainable_variables] for other, _ in loaded
    ]
    for variable, *values in zip(network.trainable_variables, *sets, strict=True):
        variable.assign(np.average(values, axis=0, weights=shares))
    kept = {f.name: getattr(card, f.name) for f in fields(card) if f.name != 'sha256'}
    made_of = [
        {'sha256': other.sha256, 'share': share / sum(shares), 'training': other.training}
        for (_, other), share in zip(loaded, shares, strict=True)
    ]
    seen = {name: card.training[name] for name in _DATA if name in card.training}
    patients = frozenset().union(*(other.patients for _, other in loaded))
    training = {**seen, 'patients': sorted(patients), 'averaged': made_of}
    return save_weights(network, out, {**kept, 'metrics': {}, 'training': training})
