"""Training data: healthy brains and lesion masks on the template grid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import TEMPLATE_SPACE, ending
from bids_inpaint.image.template import load_template
from bids_inpaint.image.tissue import tissue_median
from bids_inpaint.image.volume import load, load_mask
from bids_inpaint.training.examples.synthetic import LabelMap
from bids_inpaint.training.examples.ventricles import distance_from_ventricles
from bids_inpaint.training.label_maps import find_label_maps
from bids_inpaint.training.split import Side, side_of_brain, side_of_label_map, side_of_mask

PREPROC = ending('preproc', space=TEMPLATE_SPACE)
LESION_MASK = ending('lesion_mask', space=TEMPLATE_SPACE)


@dataclass(frozen=True)
class Brain:
    """A healthy brain on the template grid.

    Attributes
    ----------
    dataset, participant : str
        Name of the dataset, and label without `sub-`.
    t1w : (X, Y, Z) float16
        In units of the mean of the brain, zero outside it.
    white_matter_mean : float
        Median of certain white matter.
    white_matter_lowest : float
        Middle between grey and white matter; lesions may be above it.
    scan : str
        Name of the image, without `_T1w`; of one participant there may be several.

    """

    dataset: str
    participant: str
    t1w: NDArray[np.float16]
    white_matter_mean: float
    white_matter_lowest: float
    scan: str = ''

    @cached_property
    def ventricle_vox(self) -> NDArray[np.float16]:
        """Distance from the CSF of the ventricles, (X, Y, Z) voxels."""
        return distance_from_ventricles(self.t1w.astype(np.float32), self.white_matter_mean)


class Example(NamedTuple):
    """One training example, each (X, Y, Z) float32 on the same voxels."""

    lesioned: NDArray[np.float32]
    target: NDArray[np.float32]
    share: NDArray[np.float32]


def participant_of(path: Path) -> str:
    """Participant label of a BIDS file name, without `sub-`."""
    return path.name.split('_')[0].removeprefix('sub-')


def find_brains(folder: Path) -> list[Path]:
    """Preprocessed T1w of a derivative dataset of this app, in template space, sorted."""
    return _find(folder, PREPROC)


def find_masks(folder: Path) -> list[Path]:
    """Lesion masks of a derivative dataset, in template space, sorted."""
    return _find(folder, LESION_MASK)


def _find(folder: Path, end: str) -> list[Path]:
    found = sorted(folder.glob(f'sub-*/**/*{end}'))
    if not found:
        msg = f'{folder}: no file *{end}'
        raise FileNotFoundError(msg)
    return found


def load_brain(path: Path, dataset: str) -> Brain:
    """Read a preprocessed T1w of a dataset, and measure its tissues."""
    t1w = load(path).data
    template = load_template()
    white = tissue_median(t1w, t1w > 0, template.white_matter)
    grey = tissue_median(t1w, t1w > 0, template.grey_matter)
    scan = path.name.removesuffix(PREPROC)
    participant = participant_of(path)
    return Brain(dataset, participant, t1w.astype(np.float16), white, (white + grey) / 2, scan)


def load_brains(folders: Sequence[Path], side: Side) -> list[Brain]:
    """Read the healthy brains of one side of the split, of several derivative datasets."""
    found = []
    for folder in folders:
        dataset = folder.resolve().name
        for path in find_brains(folder):
            if side_of_brain(dataset, participant_of(path)) == side:
                found.append(load_brain(path, dataset))
    return found


def load_masks(
    folder: Path, side: Side, *, without: Collection[str] = ()
) -> list[NDArray[np.bool_]]:
    """Read the lesion masks of one side of the split, but for those of some patients."""
    return [
        load_mask(path)
        for path in find_masks(folder)
        if side_of_mask(participant_of(path)) == side and participant_of(path) not in without
    ]


def load_label_maps(folder: Path, side: Side) -> list[LabelMap]:
    """Read the label maps of one side of the split, on the template grid."""
    return [
        LabelMap(participant_of(path), load(path).data.astype(np.uint16))
        for path in find_label_maps(folder)
        if side_of_label_map(participant_of(path)) == side
    ]
