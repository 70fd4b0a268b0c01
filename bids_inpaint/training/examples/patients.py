"""Patients as training examples: the second step of the paper.

There is no image of a patient without lesions. The non-blind filling of the expert's mask replaces
it; everything outside the mask must stay unchanged.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import TEMPLATE_SPACE, of_same_scan
from bids_inpaint.image.template import load_template
from bids_inpaint.image.tissue import tissue_median
from bids_inpaint.image.volume import load, load_mask
from bids_inpaint.network.inference import fill
from bids_inpaint.network.weights import load_weights
from bids_inpaint.training.data import Example, find_brains, participant_of
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.deform import draw_points, sample
from bids_inpaint.training.split import side_of_mask


@dataclass(frozen=True)
class Patient:
    """A patient's brain on the template grid, in units of the mean of the brain.

    Attributes
    ----------
    participant : str
        Label without `sub-`.
    given, filled : (X, Y, Z) float16
        The preprocessed T1w, and the same with its lesions filled; zero outside the brain.
    lesion_mask : (X, Y, Z) bool
        Of an expert.

    """

    participant: str
    given: NDArray[np.float16]
    filled: NDArray[np.float16]
    lesion_mask: NDArray[np.bool_]


def load_patients(folder: Path, masks: Path, nonblind: Path) -> list[Patient]:
    """Read the patients that are not for testing, and fill their lesions.

    Parameters
    ----------
    folder : Path
        Derivatives that this app wrote of the patients' T1w.
    masks : Path
        Lesion masks in template space, in the same folders and with the same entities.
    nonblind : Path
        Weights and card of the non-blind network.

    Raises
    ------
    FileNotFoundError
        If there is no patient, or one without a mask.

    """
    network, card = load_weights(nonblind)
    patients = []
    for path in find_brains(folder):
        if side_of_mask(participant_of(path)) == 'test':
            continue
        mask_file = masks / of_same_scan(path, 'preproc', 'lesion_mask').relative_to(folder)
        if not mask_file.is_file():
            msg = f'{path}: a patient to train on needs a lesion mask {mask_file}'
            raise FileNotFoundError(msg)
        given = load(path).data
        lesions = load_mask(mask_file) & (given > 0)
        window = card.architecture.window_vox
        white = tissue_median(given, (given > 0) & ~lesions, load_template().white_matter)
        filled = fill(
            network, given, given > 0, lesions, white_matter_median=white, window_vox=window
        )
        patients.append(
            Patient(
                participant_of(path), given.astype(np.float16), filled.astype(np.float16), lesions
            )
        )
    if not patients:
        msg = f'{folder}: no patient with space-{TEMPLATE_SPACE} who is not for testing'
        raise FileNotFoundError(msg)
    return patients


def cut_patient(
    patient: Patient,
    box: tuple[slice, slice, slice],
    rng: np.random.Generator,
    config: AugmentConfig,
) -> Example:
    """Cut a box out of a patient, deformed as often as healthy brains are."""
    volumes = (patient.given, patient.filled)
    if rng.random() >= config.deform_probability:
        given, filled = (volume[box].astype(np.float32) for volume in volumes)
        return Example(given, filled, patient.lesion_mask[box].astype(np.float32))
    corner, shape = [s.start for s in box], [s.stop - s.start for s in box]
    points = draw_points(patient.given.shape, corner, shape, rng, config.deform)
    given, filled = (sample(volume, points, order=1) for volume in volumes)
    return Example(given, filled, sample(patient.lesion_mask, points, order=0))
