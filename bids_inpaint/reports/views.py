"""Read the images of one scan for its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.ants_bridge import read_itk_affine
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.source import conform
from bids_inpaint.image.volume import Volume

NATIVE, TEMPLATE = 'T1w', 'MNI152NLin2009aSym'
_BEFORE_AFTER = {
    NATIVE: ('inpainted_native', 'difference_native'),
    TEMPLATE: ('preproc', 'inpainted', 'difference'),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """The images of one scan, all on one RAS+ grid.

    Attributes
    ----------
    before, after : Volume
        Source and product; in template space those around the network.
    difference : (X, Y, Z) float32
        In units of the mean of the brain.
    brain : (X, Y, Z) bool
        Of the whole grid if there is no brain mask.
    lesions : (X, Y, Z) bool or None
        None if none were mapped.
    space : str
        'T1w' or 'MNI152NLin2009aSym'.
    rebuilt : bool
        Whether `before` is not the source itself but `after` less the change, as the source was
        not there any more.
    to_mni : (4, 4) float64
        Maps RAS mm of this grid to RAS mm of the template.

    """

    before: Volume
    after: Volume
    difference: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesions: NDArray[np.bool_] | None
    space: str
    rebuilt: bool
    to_mni: NDArray[np.float64]


class Maps(NamedTuple):
    """What is on the template grid; None is what there is no file of."""

    preproc: Volume | None
    bias_field: Volume | None
    brain: NDArray[np.bool_] | None


def load_view(files: Mapping[str, Path], *, brain_mean: float) -> View | None:
    """Read before and after, on the source's own grid if they are there, else the template's.

    Parameters
    ----------
    files : mapping of str to Path
        As `bids_inpaint.bids.derivatives.Processed.files` gives them.
    brain_mean : float
        Mean of the brain that the image was divided by.

    Returns
    -------
    View or None
        None if neither grid has all that is needed.

    """
    space = next((s for s, names in _BEFORE_AFTER.items() if set(names) <= files.keys()), None)
    if space is None:
        return None
    suffix = '_native' if space == NATIVE else ''
    after = read(files[f'inpainted{suffix}'])
    difference = read(files[f'difference{suffix}']).data
    to_mni = read_itk_affine(files['anat2std_xfm']) if space == NATIVE else None
    anat2std = np.eye(4) if to_mni is None else inverse(to_mni)
    rebuilt = False
    if space == TEMPLATE:
        before = read(files['preproc'])
    else:
        source = read(files['source']) if 'source' in files else None
        rebuilt = source is None or not _same_grid(source, after)
        before = source if source and not rebuilt else _rebuild(
            after, difference, files, brain_mean, anat2std
        )  # fmt: skip
    brain = _mask(files, f'brain_mask{suffix}')
    return View(
        before=before,
        after=after,
        difference=difference,
        brain=np.ones(after.data.shape, bool) if brain is None else brain,
        lesions=_mask(files, f'lesion_mask{suffix}'),
        space=space,
        rebuilt=rebuilt,
        to_mni=anat2std,
    )


def load_maps(files: Mapping[str, Path]) -> Maps:
    """Read what is on the template grid."""
    preproc, bias_field = (
        read(files[name]) if name in files else None for name in ('preproc', 'bias_field')
    )
    return Maps(preproc, bias_field, _mask(files, 'brain_mask'))


def read(path: Path) -> Volume:
    """Read an image in RAS+ order."""
    return conform(nb.Nifti1Image.from_filename(path))


def _rebuild(
    after: Volume,
    difference: NDArray[np.float32],
    files: Mapping[str, Path],
    brain_mean: float,
    anat2std: NDArray[np.float64],
) -> Volume:
    """Take the change from the product: the source but for rounding and interpolation."""
    change = difference * np.float32(brain_mean)
    if 'bias_field' in files:
        grid = Grid(after.data.shape, after.affine)
        change *= resample(read(files['bias_field']), grid, inverse(anat2std))
    return Volume(after.data - change, after.affine)


def _same_grid(first: Volume, second: Volume) -> bool:
    """Tell whether two volumes lie on one grid, to a hundredth of a millimetre."""
    return first.data.shape == second.data.shape and np.allclose(
        first.affine, second.affine, atol=0.01
    )


def _mask(files: Mapping[str, Path], name: str) -> NDArray[np.bool_] | None:
    """Read a mask, if there is one."""
    return np.asarray(read(files[name]).data > 0.5) if name in files else None
