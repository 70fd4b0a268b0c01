"""The card of a network: what its weights are, and whether the file is theirs.

A network is a folder with `weights.npz`, one array of numbers per variable, and `card.json`.
Nothing here loads Keras.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.network.config import UNetConfig

WEIGHTS_FILE = 'weights.npz'
CARD_FILE = 'card.json'


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
        `bids_inpaint.image.composite` and `bids_inpaint.image.lesion_map`); 0 for a network
        that is told where lesions are.
    training : dict
        Data, config, commit, steps: how the weights were made.
    metrics : dict
        What was measured on which data.

    """

    name: str
    architecture: UNetConfig
    sha256: str
    change_core_threshold: float = 0.0
    change_edge_threshold: float = 0.0
    lesion_threshold: float = 0.0
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def patients(self) -> frozenset[str]:
        """Patients whose images the network has learnt from; they do not validate it."""
        return frozenset(self.training.get('patients', ()))


def models_folder() -> Path:
    """Folder of the networks that come with the program: of the wheel, or of the checkout."""
    package = Path(__file__).parents[1]
    installed = package / 'models'
    return installed if installed.is_dir() else package.parent / 'models'


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
            msg = f'no network in {folder}: the file {name} is missing there'
            raise BidsInpaintError(msg)
    try:
        fields = json.loads((folder / CARD_FILE).read_text())
        fields['architecture'] = UNetConfig(**fields['architecture'])
        card = Card(**fields)
    except (ValueError, TypeError, KeyError) as error:
        msg = f'{folder / CARD_FILE} is not the card of a network: {error}'
        raise BidsInpaintError(msg) from error
    found = file_sha256(folder / WEIGHTS_FILE)
    if found != card.sha256:
        msg = (
            f'{folder / WEIGHTS_FILE} is not the file that its card describes: sha256 should be '
            f'{card.sha256}, is {found}. Copy or download it again'
        )
        raise BidsInpaintError(msg)
    return card


def file_sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()
