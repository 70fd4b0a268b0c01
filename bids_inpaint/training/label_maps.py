"""Bring anatomical label maps to the template grid.

A label map has no brightness; it is registered by an image that is made of its labels.
"""

from pathlib import Path

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.bids.names import LABEL_MAP
from bids_inpaint.files import replacing, stem
from bids_inpaint.image import template
from bids_inpaint.image.register.affine import register_to_template, registration_problems
from bids_inpaint.image.resample import resample
from bids_inpaint.image.template import AFFINE
from bids_inpaint.image.volume import Volume
from bids_inpaint.training.examples.structures import OUTSIDE, class_table, typical_brightness


def bring_label_maps(source: Path, out: Path) -> list[Path]:
    """Bring all label maps of a folder to the template grid, each by an affine map of its own.

    Parameters
    ----------
    source : Path
        Folder of `*_seg_<number>.nii.gz`: whole-head maps with FreeSurfer's numbers, any grid.
    out : Path
        Where `sub-seg<number>/anat/*_space-MNI152NLin2009aSym_dseg.nii.gz` are written; the
        numbers of the labels stay.

    Raises
    ------
    FileNotFoundError
        If there is no label map.
    ValueError
        If one cannot be registered.

    """
    written = []
    for path in sorted(source.glob('*_seg_*.nii.gz')):
        name = 'sub-seg' + stem(path).rpartition('_')[2]
        written.append(out / name / 'anat' / f'{name}{LABEL_MAP}')
        labels = _to_template(path)
        with replacing(written[-1]) as temporary:
            nb.Nifti1Image(labels.astype(np.uint16), AFFINE).to_filename(temporary)
    if not written:
        msg = f'{source}: no file *_seg_*.nii.gz'
        raise FileNotFoundError(msg)
    return written


def find_label_maps(folder: Path) -> list[Path]:
    """Label maps on the template grid, as `bring_label_maps` writes them, sorted."""
    found = sorted(folder.glob(f'sub-*/anat/*{LABEL_MAP}'))
    if not found:
        msg = f'{folder}: no file *{LABEL_MAP}'
        raise FileNotFoundError(msg)
    return found


def _to_template(path: Path) -> NDArray[np.float32]:
    """Read a label map and resample it, each voxel the nearest label."""
    img = nb.as_closest_canonical(nb.load(path))
    labels = np.asarray(img.dataobj).astype(np.int64)
    classes = class_table()[np.minimum(labels, len(class_table()) - 1)]
    brain = np.where(classes >= OUTSIDE, 0, typical_brightness()[classes])
    made = Volume(brain.astype(np.float32), img.affine)
    found = register_to_template(made, random_seed=0, skull_stripped=True)
    problems = registration_problems(found)
    if problems:
        msg = f'{path}: does not fit the template: {" ".join(problems)}'
        raise ValueError(msg)
    grid = template.template_grid()
    return resample(
        Volume(labels.astype(np.float32), img.affine), grid, found.anat2std_xfm, order=0
    )
