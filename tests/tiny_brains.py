"""A brain of 24 voxels a side, and what this app would have written for it."""

import nibabel as nb
import numpy as np

from bids_inpaint.bids.names import TEMPLATE_SPACE
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.template import AFFINE

SHAPE = (24, 24, 24)
WHITE, GREY, FLUID = 1.4, 0.9, 0.3


def tissue_maps():
    """Brain, grey and white matter: a cube of white in a shell of grey in a shell of fluid."""
    depth = np.minimum.reduce(
        [np.minimum(i, n - 1 - i) for i, n in zip(np.indices(SHAPE), SHAPE, strict=True)]
    )
    return depth > 0, (depth > 1) & (depth <= 4), depth > 4


def flat_brain():
    """Without noise."""
    brain, grey, white = tissue_maps()
    return np.select([white, grey, brain], [WHITE, GREY, FLUID], 0).astype(np.float32)


def healthy_brain(seed=0):
    """With noise in the brain."""
    noise = np.random.default_rng(seed).normal(0, 0.02, SHAPE)
    return np.where(tissue_maps()[0], flat_brain() + noise, 0).astype(np.float32)


def _write(data, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nb.Nifti1Image(data, AFFINE).to_filename(path)


def write_scan(folder, name, t1w):
    """What the app writes for one T1w, as far as evaluation reads it."""
    anat = folder.joinpath(*(part for part in name.split('_')), 'anat')
    _write(t1w, anat / f'{name}_space-{TEMPLATE_SPACE}_desc-preproc_T1w.nii.gz')
    mask = (t1w > 0).astype(np.uint8)
    _write(mask, anat / f'{name}_space-{TEMPLATE_SPACE}_desc-brain_mask.nii.gz')
    write_xfm(np.eye(4), anat / f'{name}_from-T1w_to-{TEMPLATE_SPACE}_mode-image_xfm.txt')


def write_label_map(folder, name, labels):
    """FreeSurfer labels of a person, in template space."""
    _write(labels, folder / name / 'anat' / f'{name}_space-{TEMPLATE_SPACE}_dseg.nii.gz')


def write_mask(folder, name, mask):
    anat = folder.joinpath(*(part for part in name.split('_')), 'anat')
    _write(mask.astype(np.uint8), anat / f'{name}_space-{TEMPLATE_SPACE}_label-lesion_mask.nii.gz')
