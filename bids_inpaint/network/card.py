"""The card of a network: description and checksum of its weights.

A network is a folder with `weights.npz`, one array of numbers per variable, and `card.json`.
Nothing here loads Keras.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import read_object, sha256, write_json
from bids_inpaint.image.thresholds import Thresholds
from bids_inpaint.network.config import UNetConfig

WEIGHTS_FILE = 'weights.npz'
CARD_FILE = 'card.json'
# Of what the architecture has numbers for; a larger one would only fill memory.
_LARGEST = {'filters': 4096, 'levels': 8, 'reconstruction_filters': 4096, 'window_vox': 4096}
ProbabilityCurve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """Description of one set of weights.

    Attributes
    ----------
    name : str
        Of the network, for users.
    architecture : UNetConfig
        Of the model that takes the weights.
    sha256 : str
        Of the weights file, in hexadecimal.
    change_core_threshold, change_edge_threshold, lesion_threshold : float
        Chosen on validation data; of the probability of lesion if the network gives it, else in
        units of the mean of the brain (see `bids_inpaint.image.thresholds`); 0 for a non-blind
        network.
    probability_curve : tuple of (float, float)
        What the network's probability of lesion is worth: its value, and the share of lesion found
        at that value on validation data, both rising from 0 to 1. Empty if it is taken as it is.
    training : dict
        Data, config, commit and steps of the training.
    metrics : dict
        Measurements, by data set.

    """

    name: str
    architecture: UNetConfig
    sha256: str
    change_core_threshold: float = 0.0
    change_edge_threshold: float = 0.0
    lesion_threshold: float = 0.0
    probability_curve: ProbabilityCurve = ()
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds for its predictions."""
        return Thresholds(
            edge=self.change_edge_threshold,
            core=self.change_core_threshold,
            lesion=self.lesion_threshold,
            lesion_from='probability' if self.architecture.lesion_output else 'difference',
        )

    @property
    def patients(self) -> frozenset[str]:
        """Patients whose images were used for training, so that they do not validate it."""
        return frozenset(self.training.get('patients', ()))


def models_folder() -> Path:
    """Folder of the shipped networks, in the wheel or the checkout."""
    package = Path(__file__).parents[1]
    installed = package / 'models'
    return installed if installed.is_dir() else package.parent / 'models'


def write_card(card: Card, folder: Path) -> None:
    """Write a card beside its weights."""
    write_json(folder / CARD_FILE, asdict(card))


def read_card(folder: Path) -> Card:
    """Read and check the card of a network.

    Raises
    ------
    BidsInpaintError
        If weights or card are missing, the card cannot be read, or its checksum is not that of the
        weights.

    """
    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            msg = f'no network in {folder}: {name} is missing'
            raise BidsInpaintError(msg)
    try:
        fields = read_object(folder / CARD_FILE)
        fields['architecture'] = UNetConfig(**fields['architecture'])
        curve = fields.get('probability_curve', ())
        fields['probability_curve'] = tuple((float(said), float(true)) for said, true in curve)
        card = Card(**fields)
        _check_types(card)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f'{folder / CARD_FILE} is not a valid card of a network: {error}'
        raise BidsInpaintError(msg) from error
    found = sha256(folder / WEIGHTS_FILE)
    if found != card.sha256:
        msg = (
            f'{folder / WEIGHTS_FILE} does not match its card: sha256 must be {card.sha256}, is '
            f'{found}. Copy or download it again'
        )
        raise BidsInpaintError(msg)
    return card


def _check_types(card: Card) -> None:
    """Refuse values of other types, which would fail only in later steps.

    Raises
    ------
    TypeError
        Names the field.

    """
    for name, largest in _LARGEST.items():
        size = getattr(card.architecture, name)
        if not (isinstance(size, int) and 1 <= size <= largest):
            msg = f'{name} must be a number from 1 to {largest}, is {size!r:.50}'
            raise TypeError(msg)
    for name in ('change_core_threshold', 'change_edge_threshold', 'lesion_threshold'):
        threshold = getattr(card, name)
        if not (isinstance(threshold, int | float) and math.isfinite(threshold)):
            msg = f'{name} must be a number, is {threshold!r:.50}'
            raise TypeError(msg)
    for name, kind in {'name': str, 'training': dict, 'metrics': dict}.items():
        value = getattr(card, name)
        if not isinstance(value, kind):
            msg = f'{name} must be of the type {kind.__name__}, is {value!r:.50}'
            raise TypeError(msg)
