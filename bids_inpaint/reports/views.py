"""Read the images of one scan for its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import NATIVE_SPACE, TEMPLATE_SPACE
from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.bias import expand_field
from bids_inpaint.image.native import ras_grid
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.source import load_ras
from bids_inpaint.image.template import template_grid
from bids_inpaint.image.volume import Volume, open_nifti

_BEFORE_AFTER = {
    NATIVE_SPACE: ('inpainted_native', 'difference_native'),
    TEMPLATE_SPACE: ('preproc', 'inpainted', 'difference'),
}


class Placed(NamedTuple):
    """An image and its brain, and where they lie on the template.

    Attributes
    ----------
    image : Volume
        RAS+.
    brain : (X, Y, Z) bool
        Of the whole grid if there is no brain mask.
    anat2std_xfm : (4, 4) float64
        Maps RAS mm of this grid to RAS mm of the template; the identity in template space.

    """

    image: Volume
    brain: NDArray[np.bool_]
    anat2std_xfm: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class View:
    """The images of one scan, all on one RAS+ grid.

    Attributes
    ----------
    before, after : Volume
        Source and product; in template space input and output of the network.
    difference : (X, Y, Z) float32
        In units of the mean of the brain.
    brain : (X, Y, Z) bool
        Of the whole grid if there is no brain mask.
    lesions : (X, Y, Z) bool or None
        None without lesion map.
    probability : (X, Y, Z) float32 or None
        Of lesion; None if there is no file of it.
    space : str
        `NATIVE_SPACE` or `TEMPLATE_SPACE`.
    rebuilt : bool
        Whether `before` is `after` minus the change, as the source was not found.
    anat2std_xfm : (4, 4) float64
        As of `Placed`.

    """

    before: Volume
    after: Volume
    difference: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesions: NDArray[np.bool_] | None
    probability: NDArray[np.float32] | None
    space: str
    rebuilt: bool
    anat2std_xfm: NDArray[np.float64]

    @property
    def placed(self) -> Placed:
        """The image before, without what was made of it."""
        return Placed(self.before, self.brain, self.anat2std_xfm)


class Maps(NamedTuple):
    """Images on the template grid; None if there is no file."""

    preproc: Volume | None
    bias_field: Volume | None
    brain: NDArray[np.bool_] | None


def load_view(files: Mapping[str, Path], *, brain_mean: float) -> View | None:
    """Read before and after, on the grid of the source if they exist, else on the template grid.

    Parameters
    ----------
    files : mapping of str to Path
        Of `bids_inpaint.bids.derivatives.Processed.files`.
    brain_mean : float
        Mean of the brain, by which the image was divided.

    Returns
    -------
    View or None
        None if neither grid has all that is needed.

    """
    space = next((s for s, names in _BEFORE_AFTER.items() if set(names) <= files.keys()), None)
    if space is None:
        return None
    suffix = '_native' if space == NATIVE_SPACE else ''
    after = load_ras(files[f'inpainted{suffix}'])
    difference = load_ras(files[f'difference{suffix}']).data
    anat2std = read_xfm(files['anat2std_xfm']) if space == NATIVE_SPACE else np.eye(4)
    rebuilt = False
    if space == TEMPLATE_SPACE:
        before = load_ras(files['preproc'])
    else:
        source = load_ras(files['source']) if 'source' in files else None
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
        probability=_data(files, f'lesion_probability{suffix}'),
        space=space,
        rebuilt=rebuilt,
        anat2std_xfm=anat2std,
    )


def load_maps(files: Mapping[str, Path]) -> Maps:
    """Read the images on the template grid."""
    preproc = load_ras(files['preproc']) if 'preproc' in files else None
    return Maps(preproc, _bias_field(files), _mask(files, 'brain_mask'))


def _bias_field(files: Mapping[str, Path]) -> Volume | None:
    """Read the bias field, on the grid of the other images of its space, if there is one."""
    if 'bias_field' not in files:
        return None
    others = [files[name] for name in ('brain_mask', 'preproc') if name in files]
    grid = ras_grid(open_nifti(others[0])) if others else template_grid()
    return Volume(expand_field(load_ras(files['bias_field']), grid), grid.affine)


def _rebuild(
    after: Volume,
    difference: NDArray[np.float32],
    files: Mapping[str, Path],
    brain_mean: float,
    anat2std: NDArray[np.float64],
) -> Volume:
    """Subtract the change from the product: the source up to rounding and interpolation."""
    change = difference * np.float32(brain_mean)
    if bias_field := _bias_field(files):
        grid = Grid(after.data.shape, after.affine)
        change *= resample(bias_field, grid, inverse(anat2std))
    return Volume(after.data - change, after.affine)


def _same_grid(first: Volume, second: Volume) -> bool:
    """Whether two volumes have the same grid, to a hundredth of a millimetre."""
    return first.data.shape == second.data.shape and np.allclose(
        first.affine, second.affine, atol=0.01
    )


def _data(files: Mapping[str, Path], name: str) -> NDArray[np.float32] | None:
    """Read the voxels of an image, if there is one."""
    return load_ras(files[name]).data if name in files else None


def _mask(files: Mapping[str, Path], name: str) -> NDArray[np.bool_] | None:
    """Read a mask, if there is one."""
    return np.asarray(load_ras(files[name]).data > 0.5) if name in files else None
