"""Methods to compare: doing nothing, resampling alone, the network, and what users get."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.cases import Case
from bids_inpaint.evaluation.memory import Memory, code_digest, digest
from bids_inpaint.image import template
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.image.volume import Volume
from bids_inpaint.network.card import CARD_FILE, Card, read_card
from bids_inpaint.network.session import inpaint_on_device
from bids_inpaint.training.thresholds import Predicted

NO_NONBLIND = (
    'Left out: there is no non-blind network in {folder}. Train it, and give the same command '
    'again.'
)


def has_network(folder: Path) -> bool:
    """Whether there is a network in a folder."""
    return (folder / CARD_FILE).is_file()


class Network:
    """A network on disk, with its cached predictions.

    Parameters
    ----------
    folder : Path
        Of weights and card.
    memory : Memory
        Of predictions.
    threads : int
        Of the CPU.

    """

    def __init__(self, folder: Path, memory: Memory, threads: int) -> None:
        self.folder, self.memory, self.threads = folder, memory, threads

    @cached_property
    def card(self) -> Card:
        """What is known of it; checks that the weights are its own."""
        return read_card(self.folder)

    @cached_property
    def _identity(self) -> str:
        card = self.card
        return digest(
            card.sha256, card.architecture, card.probability_curve, code_digest('network')
        )

    def apply(
        self,
        t1w: NDArray[np.float32],
        brain_mask: NDArray[np.bool_],
        fill_mask: NDArray[np.bool_] | None = None,
    ) -> Prediction:
        """Predict as the app does."""

        def predict() -> NDArray[np.float32]:
            started = time.process_time()
            said, _ = inpaint_on_device(
                t1w,
                brain_mask,
                model=self.folder,
                device='auto',
                num_threads=self.threads,
                flip_averaging=False,
                fill_mask=fill_mask,
            )
            cpu_s = time.process_time() - started
            self.memory.array(f'{key}_cpu_s', lambda: np.array(cpu_s))
            volumes = [v for v in said if v is not None]
            return np.stack([v[brain_mask] for v in volumes])  # no prediction elsewhere

        masks = (brain_mask,) if fill_mask is None else (brain_mask, fill_mask)
        key = digest(self._identity, t1w, *masks)
        inside = self.memory.array(key, predict)
        inpainted = t1w.copy()
        inpainted[brain_mask] = inside[0]
        if len(inside) == 1:
            return Prediction(inpainted)
        probability = np.zeros_like(t1w)
        probability[brain_mask] = inside[1]
        return Prediction(inpainted, probability)

    def cpu_s(self, t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_]) -> float:
        """CPU time of a prediction of `apply`, when it was made."""
        key = digest(self._identity, t1w, brain_mask)
        return float(self.memory.array(f'{key}_cpu_s', lambda: np.array(np.nan)))

    def fill(
        self,
        t1w: NDArray[np.float32],
        lesion_mask: NDArray[np.bool_],
        brain_mask: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Fill a mask as the non-blind network does; outside it nothing changes."""
        if not lesion_mask.any():
            return t1w.copy()
        return self.apply(t1w, brain_mask, fill_mask=lesion_mask).inpainted


def predict_case(network: Network, case: Case) -> Predicted:
    """Apply the blind network to a case; as training has predictions."""
    return Predicted(case.example, network.apply(case.given, case.brain_mask), case.brain_mask)


def resample_only(case: Case) -> NDArray[np.float32]:
    """Take the given image to the T1w's space and back, as the control of interpolation alone.

    Outside the brain mask nothing changes, as with the network.
    """
    returned = there_and_back(case.given, case.anat2std_xfm)
    return np.where(case.brain_mask, returned, case.given).astype(np.float32)


def there_and_back(
    t1w: NDArray[np.float32], anat2std_xfm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Take a volume on the template grid to the T1w's space and back, by cubic splines.

    The grid between has 1 mm voxels along the axes of the scanner, and holds the whole template.

    Parameters
    ----------
    t1w : (182, 218, 182) float32
        On the template grid.
    anat2std_xfm : (4, 4) float64
        Maps T1w RAS mm to template RAS mm.

    """
    native = native_grid(anat2std_xfm, t1w.shape)
    moved = resample(Volume(t1w, template.AFFINE), native, inverse(anat2std_xfm), order=3)
    onto = Grid((t1w.shape[0], t1w.shape[1], t1w.shape[2]), template.AFFINE)
    return resample(Volume(moved, native.affine), onto, anat2std_xfm, order=3)


def native_grid(anat2std_xfm: NDArray[np.float64], shape: Sequence[int]) -> Grid:
    """Return the grid of 1 mm voxels, along the T1w's axes, that holds the template's."""
    corners = np.array(np.meshgrid(*((0, size - 1) for size in shape))).reshape(3, -1).T
    points = nb.affines.apply_affine(inverse(anat2std_xfm) @ template.AFFINE, corners)
    first = points.min(axis=0)
    size = np.ceil(points.max(axis=0) - first).astype(int) + 1
    return Grid(
        (int(size[0]), int(size[1]), int(size[2])), nb.affines.from_matvec(np.eye(3), first)
    )


def all_methods(
    network: Network, case: Case
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Apply every method to a case.

    Returns
    -------
    volumes : dict
        By method, (X, Y, Z) float32: `nothing`, `resampling`, `network` (its own output),
        `inpainted` (with the thresholds of a change, as users get it).
    change_mask : (X, Y, Z) bool
        Of `inpainted`.

    """
    prediction = predict_case(network, case)
    inpainted, change_mask = prediction.composite(
        network.card.change_edge_threshold, network.card.change_core_threshold
    )
    volumes = {
        'nothing': case.given,
        'resampling': resample_only(case),
        'network': prediction.inpainted,
        'inpainted': inpainted,
    }
    return volumes, change_mask
