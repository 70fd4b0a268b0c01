"""Bring lesion masks drawn by experts to the template grid."""

import re
from pathlib import Path

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import TEMPLATE_SPACE, ending
from bids_inpaint.image.ants_bridge import read_xfm
from bids_inpaint.image.resample import resample
from bids_inpaint.image.template import AFFINE, template_grid
from bids_inpaint.image.volume import Volume

_SUFFIX = ending('lesion_mask')
_OF_ANOTHER_SPACE = re.compile(r'_(space|res)-[A-Za-z0-9]+')


def bring_masks(source: Path, derivatives: Path, out: Path) -> list[Path]:
    """Bring all masks of a dataset to the template grid.

    A mask whose T1w this app has processed goes the way of its T1w. One without T1w must lie in
    the space of a template already; it is resampled by its affine alone.

    Parameters
    ----------
    source : Path
        BIDS dataset with `*_label-lesion_mask.nii.gz`, each beside its T1w if there is one.
    derivatives : Path
        What this app wrote for the T1w of `source`.
    out : Path
        Where `*_space-MNI152NLin2009aSym_label-lesion_mask.nii.gz` are written. Not
        `derivatives`: there such a file is what the app itself has found.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    FileNotFoundError
        If there is no mask.
    FileExistsError
        If `out` is `derivatives`.

    """
    if out.resolve() == derivatives.resolve():
        msg = f'{out} holds what the app has found: choose another folder for expert masks'
        raise FileExistsError(msg)
    written = []
    for path in sorted(source.glob(f'sub-*/**/*{_SUFFIX}')):
        scan = path.name.removesuffix(_SUFFIX)
        name = _OF_ANOTHER_SPACE.sub('', scan) + ending('lesion_mask', space=TEMPLATE_SPACE)
        written.append(out / path.parent.relative_to(source) / name)
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        mask = _to_template(path, _map_to_template(derivatives, scan))
        nb.Nifti1Image(mask.astype(np.uint8), AFFINE).to_filename(written[-1])
    if not written:
        msg = f'{source}: no file *{_SUFFIX}'
        raise FileNotFoundError(msg)
    return written


def _map_to_template(derivatives: Path, scan: str) -> NDArray[np.float64]:
    """Map of T1w points to template points; the identity if there is no such T1w."""
    for path in derivatives.glob(f'sub-*/**/{scan}{ending("anat2std_xfm")}'):
        return read_xfm(path)
    return np.eye(4)


def _to_template(path: Path, xfm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Read a mask, and resample it; voxels that are mask by half are mask."""
    img = nb.as_closest_canonical(nb.load(path))
    mask = Volume(img.get_fdata(dtype=np.float32), img.affine)
    return np.asarray(resample(mask, template_grid(), xfm, order=1) >= 0.5)
