"""Masks that take a wanted share of an image away."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.lesion_map import label_lesions
from bids_inpaint.image.metrics import peak_of
from bids_inpaint.network.inference import HIDDEN
from bids_inpaint.training.examples.lesions import LesionConfig, place_mask

_MOST_MASKS = 20


def mask_to_psnr(
    t1w: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    wanted_db: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose lesions so that hiding them leaves a wanted PSNR.

    Lesions are taken in random order while they do not exceed what is wanted; of the first that
    would, such a part is taken at the end that nothing is missing.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before.
    candidates : (X, Y, Z) bool
        Lesions to choose from.
    wanted_db : float
        PSNR of the image with lesions hidden; the peak is the 99.9th percentile.
    rng : numpy.random.Generator
        Draws the order.

    Returns
    -------
    (X, Y, Z) bool
        If all candidates together hide too little, all of them.

    """
    labels, number = label_lesions(candidates)
    cost, left = _cost_and_budget(t1w, wanted_db)
    costs = np.bincount(labels.ravel(), weights=cost.ravel(), minlength=number + 1)
    taken = np.zeros(number + 1, bool)
    first_too_large = 0
    for label in rng.permutation(np.arange(1, number + 1)):
        if costs[label] <= left:
            taken[label] = True
            left -= costs[label]
        elif not first_too_large:
            first_too_large = int(label)
    mask = taken[labels]
    if first_too_large:
        part = np.flatnonzero(labels == first_too_large)  # a slab: voxels come in order of X
        mask.flat[part[np.cumsum(cost.flat[part]) <= left]] = True
    return np.asarray(mask)


def draw_mask_to_psnr(
    t1w: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    masks: Sequence[NDArray[np.bool_]],
    wanted_db: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Hide deformed lesions of patients until a wanted PSNR is left.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        The image before.
    allowed : (X, Y, Z) bool
        Where lesions may lie.
    masks : sequence of (X, Y, Z) bool
        Lesions of patients, to draw from.
    wanted_db, rng
        As of `mask_to_psnr`; the draws are those of training.

    Raises
    ------
    ValueError
        If twenty masks together hide too little.

    """
    cost, wanted = _cost_and_budget(t1w, wanted_db)
    candidates = np.zeros(t1w.shape, bool)
    for _ in range(_MOST_MASKS):
        mask = masks[int(rng.integers(len(masks)))]
        candidates |= place_mask(mask, (0, 0, 0), t1w.shape, rng, LesionConfig()) & allowed
        if cost[candidates].sum() >= wanted:
            return mask_to_psnr(t1w, candidates, wanted_db, rng)
    msg = (
        f'{_MOST_MASKS} lesion masks hide too little of an image for {wanted_db:g} dB: '
        f'{int(candidates.sum())} voxels'
    )
    raise ValueError(msg)


def _cost_and_budget(
    t1w: NDArray[np.float32], wanted_db: float
) -> tuple[NDArray[np.float64], float]:
    """Squared error that hiding each voxel (X, Y, Z) costs, and their sum at a wanted PSNR."""
    cost = (t1w.astype(np.float64) - HIDDEN) ** 2
    return cost, t1w.size * peak_of(t1w) ** 2 / 10 ** (wanted_db / 10)
