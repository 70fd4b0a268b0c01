"""Programs that segment a brain into tissues, each by its own method.

All return (X, Y, Z) uint8 on the template grid: 0 outside, then `TISSUES` from 1.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ants
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.brain_box import Box, affine_of
from bids_inpaint.image.ants_bridge import to_ants
from bids_inpaint.image.register.affine import seeded
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import Volume, box_around, load, save

TISSUES = ('CSF', 'GM', 'WM')
GREY = TISSUES.index('GM') + 1
Segmenter = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.uint8]]
_SEED = 1
# No tissue has probability 0, as people differ from the template.
_LEAST_PRIOR = 1e-3
_PRIOR_WEIGHT = 0.25
_ITERATIONS = 5
_MARGIN_VOX = 3
_HMRF_BETA = 0.1
_HMRF_NOISE = 0.02  # mean of the brain
_HMRF_ITERATIONS = 10


def available() -> tuple[dict[str, Segmenter], list[str]]:
    """Segmenters that can be used here, by name; and a sentence for each that cannot."""
    found: dict[str, Segmenter] = {'Atropos': atropos}
    missing = []
    if find_spec('dipy') is None:
        missing.append('dipy HMRF: left out, as dipy is not installed.')
    else:
        found['dipy HMRF'] = hmrf
    if not _has_spm():
        missing.append('SPM12: left out, as nipype finds no SPM (nor MATLAB or its runtime).')
    else:
        found['SPM12'] = spm
    return found, missing


def atropos(t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Segment with ANTs Atropos, led by the template's tissue probabilities.

    References
    ----------
    Avants B.B. et al., "An open source multivariate framework for n-tissue segmentation with
    evaluation on public data", Neuroinformatics 2011, 9(4):381-400.

    """
    template, box = load_template(), box_around(brain_mask, margin=_MARGIN_VOX)
    fluid = np.clip(1 - template.grey_matter - template.white_matter, 0, 1)
    priors = [
        np.maximum(prior, np.float32(_LEAST_PRIOR)) * brain_mask
        for prior in (fluid, template.grey_matter, template.white_matter)
    ]
    affine = affine_of(box)
    with seeded(_SEED):
        made = ants.atropos(
            a=to_ants(t1w[box], affine),
            x=to_ants(brain_mask[box], affine),
            i=[to_ants(prior[box], affine) for prior in priors],
            m='[0.2,1x1x1]',
            c=f'[{_ITERATIONS},0]',
            priorweight=_PRIOR_WEIGHT,
            r=0,  # a constant seed: two runs differ in some thousand voxels otherwise
        )
    return _paste(made['segmentation'].numpy(), box, t1w.shape)


def hmrf(t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Segment with dipy's hidden Markov random field, which knows no template.

    References
    ----------
    Zhang Y. et al., "Segmentation of brain MR images through a hidden Markov random field model
    and the expectation-maximization algorithm", IEEE Trans. Med. Imaging 2001, 20(1):45-57.

    """
    from dipy.segment.tissue import TissueClassifierHMRF  # not needed by the app, nor installed

    box = box_around(brain_mask, margin=_MARGIN_VOX)
    given, inside = t1w[box], brain_mask[box]
    # A background without variance is a class of no voxels to dipy, which it divides by.
    noise = np.random.default_rng(_SEED).uniform(_LEAST_PRIOR, _HMRF_NOISE, given.shape)
    masked = np.where(inside, np.maximum(given, _LEAST_PRIOR), noise)
    _, labels, _ = TissueClassifierHMRF(verbose=False).classify(
        masked, len(TISSUES), _HMRF_BETA, max_iter=_HMRF_ITERATIONS
    )
    # What dipy takes for background in the brain is its darkest fluid.
    return _paste(np.maximum(labels, 1) * inside, box, t1w.shape)


def spm(t1w: NDArray[np.float32], brain_mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Segment with SPM12's unified segmentation, as Manjon et al. 2020 did.

    References
    ----------
    Ashburner J., Friston K.J., "Unified segmentation", NeuroImage 2005, 26(3):839-851.

    """
    from nipype.interfaces.spm import NewSegment  # slow to import

    with TemporaryDirectory() as folder:
        path = save(Volume(np.where(brain_mask, t1w, 0), AFFINE), Path(folder) / 't1w.nii')
        node: Any = NewSegment(channel_files=str(path))
        result = node.run(cwd=folder)
        # SPM's order: grey, white, fluid.
        grey, white, fluid = (
            load(Path(np.ravel(files)[0])).data
            for files in result.outputs.native_class_images[: len(TISSUES)]
        )
    labels = np.argmax([fluid, grey, white], axis=0) + 1
    return np.asarray(labels * brain_mask, dtype=np.uint8)


def _paste(labels: NDArray[Any], box: Box, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Put the labels of a box into a volume of zeros."""
    whole = np.zeros(shape, np.uint8)
    whole[box] = labels
    return whole


def _has_spm() -> bool:
    """Whether nipype finds SPM; otherwise its search logs a message."""
    from nipype.interfaces.spm.base import Info  # slow to import

    logging.getLogger('nipype.interface').setLevel(logging.CRITICAL)
    return Info.name() is not None
