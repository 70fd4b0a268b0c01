"""Choices for one T1w image, from settings, lesion mask and network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bids_inpaint.bids.names import planned_kinds, planned_paths
from bids_inpaint.bids.scan import Scan
from bids_inpaint.bids.sidecars import dataset_links, lesion_mask_uri
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256
from bids_inpaint.interfaces.inpaint import Network as Network  # `run` imports it from here
from bids_inpaint.interfaces.inpaint import find_network
from bids_inpaint.settings import DEFAULT_LESION_THRESHOLD, Settings

BLIND = 'blind'
NON_BLIND = 'nonblind'
_NVIDIA_DRIVER = Path('/proc/driver/nvidia')


def network_name(scan: Scan) -> str:
    """Name of the network for a scan: non-blind if it has a lesion mask, else blind."""
    return NON_BLIND if scan.lesion_mask else BLIND


def read_network(settings: Settings, name: str) -> Network:
    """Find and check a network.

    Raises
    ------
    BidsInpaintError
        If it is missing, or lacks the probability that the lesion map needs.

    """
    network = find_network(settings.models_dir, name)
    if name == BLIND:
        choose_lesion_map(settings, network)
    return network


def choose_lesion_map(
    settings: Settings, network: Network
) -> tuple[Literal['probability', 'difference'], float]:
    """Choose source and threshold of the lesion map.

    Raises
    ------
    BidsInpaintError
        If the probability is requested from a network without one.

    """
    card, asked = network.card, settings.lesion_map_from
    if settings.lesion_threshold is not None:
        asked = 'difference'
    elif settings.lesion_probability is not None:
        asked = 'probability'
    if not card.architecture.lesion_output:
        if asked == 'probability':
            msg = (
                f'the lesion map needs a probability of lesion, which the network in '
                f'{network.folder} does not give: use --lesion-map-from difference, or --models '
                f'with a network that gives it'
            )
            raise BidsInpaintError(msg)
        return 'difference', _first(settings.lesion_threshold, card.lesion_threshold)
    if asked == 'difference':
        return 'difference', _first(settings.lesion_threshold, DEFAULT_LESION_THRESHOLD)
    return 'probability', _first(settings.lesion_probability, card.lesion_threshold)


def _first(asked: float | None, default: float) -> float:
    """Return the requested value, or else the default."""
    return default if asked is None else asked


@dataclass(frozen=True)
class Choices:
    """All that determines the graph of one T1w image.

    Attributes
    ----------
    settings : Settings
        Of the run.
    scan : Scan
        The T1w image.
    network : Network
        That of `network_name`.

    """

    settings: Settings
    scan: Scan
    network: Network

    @property
    def fills(self) -> bool:
        """Whether a lesion mask is filled; else lesions are filled blindly."""
        return self.scan.lesion_mask is not None

    @property
    def maps_lesions(self) -> bool:
        """Whether a lesion map is made."""
        return self.settings.lesion_map and not self.fills

    @property
    def maps_probability(self) -> bool:
        """Whether the probability of lesion is written."""
        return self.maps_lesions and self.network.card.architecture.lesion_output

    @property
    def use_gpu(self) -> bool:
        """Whether the network waits for a GPU."""
        return self.settings.device != 'cpu' and _NVIDIA_DRIVER.exists()

    @property
    def lesion_mask_uri(self) -> str:
        """BIDS URI of the lesion mask; empty if there is none."""
        if self.scan.lesion_mask is None:
            return ''
        links = dataset_links(self.settings.bids_dir, self.settings.derivatives)
        return lesion_mask_uri(self.scan.lesion_mask, links)

    @property
    def extension(self) -> str:
        """Extension of output images."""
        return '.nii' if self.settings.uncompressed else '.nii.gz'

    @property
    def written(self) -> Sequence[tuple[str, str]]:
        """Kind and space of all outputs; see `bids_inpaint.bids.names.planned_kinds`."""
        return planned_kinds(
            output_spaces=self.settings.output_spaces,
            lesion_map=self.settings.lesion_map,
            lesion_probability=self.maps_probability,
        )

    @property
    def paths(self) -> Sequence[PurePosixPath]:
        """Paths of all outputs, without sidecars and report."""
        return planned_paths(self.scan, self.written, extension=self.extension)

    @property
    def parameters(self) -> dict[str, Any]:
        """All that determines the result."""
        mask = self.scan.lesion_mask
        return {
            **self.settings.parameters,
            'network_sha256': self.network.card.sha256,
            **({'lesion_mask_sha256': sha256(mask)} if mask else {}),
        }
