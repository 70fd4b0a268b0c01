"""Weights as files of numbers, each with a card that says what they are.

A network is a folder with `weights.npz`, one array per variable in half precision, and
`card.json`. No pickle and no serialised layer: the architecture is built from the card's config,
so that no version of Keras can refuse to load it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.network.unet import UNetConfig, build_unet

WEIGHTS_FILE = 'weights.npz'
CARD_FILE = 'card.json'
STORED_DTYPE = np.float16


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of one set of weights.

    Attributes
    ----------
    name : str
        Of the network, as users see it.
    architecture : UNetConfig
        What to build before the weights are put in.
    sha256 : str
        Of the weights file, in hexadecimal.
    change_core_threshold, change_edge_threshold, lesion_threshold : float
        Fixed on validation data, in units of the mean of the brain (see
        `bids_inpaint.image.composite`).
    training : dict
        Data, config, commit, steps: how the weights were made.
    metrics : dict
        What was measured on which data.

    """

    name: str
    architecture: UNetConfig
    sha256: str
    change_core_threshold: float
    change_edge_threshold: float
    lesion_threshold: float
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


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
    made = Card(**card, sha256=_sha256(folder / WEIGHTS_FILE))
    write_card(made, folder)
    return made


def write_card(card: Card, folder: Path) -> None:
    """Write a card beside its weights, under a temporary name first."""
    temporary = folder / f'.{CARD_FILE}'
    temporary.write_text(json.dumps(asdict(card), indent=2) + '\n')
    temporary.replace(folder / CARD_FILE)


def read_card(folder: Path) -> Card:
    """Read and check the card of a network.

    Raises
    ------
    BidsInpaintError
        If weights or card are missing, the card cannot be read, or the weights are not those
        that the card describes.

    """
    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            msg = f'no network in {folder}: {name} is missing'
            raise BidsInpaintError(msg)
    try:
        fields = json.loads((folder / CARD_FILE).read_text())
        fields['architecture'] = UNetConfig(**fields['architecture'])
        card = Card(**fields)
    except (ValueError, TypeError, KeyError) as error:
        msg = f'{folder / CARD_FILE} is not the card of a network: {error}'
        raise BidsInpaintError(msg) from error
    found = _sha256(folder / WEIGHTS_FILE)
    if found != card.sha256:
        msg = (
            f'{folder / WEIGHTS_FILE} is not the file that its card describes: sha256 should be '
            f'{card.sha256}, is {found}. Copy or download it again'
        )
        raise BidsInpaintError(msg)
    return card


def load_weights(folder: Path) -> tuple[keras.Model, Card]:
    """Build the network that a folder describes, and put its weights in; float32."""
    card = read_card(folder)
    network = build_unet(card.architecture)
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
        for variable in network.variables:
            variable.assign(arrays[variable.path].astype(np.float32))
    return network, card


def _sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()
