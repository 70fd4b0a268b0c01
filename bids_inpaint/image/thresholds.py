"""Where thresholds apply: from the prediction of a network to changed voxels and lesion map."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.lesion_map import drop_specks
from bids_inpaint.image.template import Template
from bids_inpaint.image.tissue import white_matter_of
from bids_inpaint.image.ventricles import brain_without_ventricles
from bids_inpaint.image.volume import box_around, dilate

# Share of a change in the voxels next to it.
_TAPER = 0.5
# Beyond the edge of a probability, a change extends by at most two voxels, the second of them the
# taper, where it is above this, in units of the mean of the brain.
_FOLLOWED_VOX = 2
_LEAST_FILLING = 0.02
# Lowest weight of a changed voxel on another grid: below it are remains of the taper from linear
# interpolation.
_LEAST_WEIGHT = 0.05
_TOUCHING = ndimage.generate_binary_structure(3, 3)


class Prediction(NamedTuple):
    """Prediction of a network, each (X, Y, Z) float32 on the template grid.

    `inpainted` is the lesion-free volume, in units of the mean of the brain; `probability` that
    of lesion, in [0, 1], or None if the network does not give it.
    """

    inpainted: NDArray[np.float32]
    probability: NDArray[np.float32] | None = None

    def deciding(self, t1w: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the volume that decides on a change: probability, or absolute difference."""
        return np.abs(self.inpainted - t1w) if self.probability is None else self.probability


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds, chosen on validation data and stored in the card of a network.

    Attributes
    ----------
    edge, core : float
        A voxel is changed where the probability of lesion exceeds `edge` and is connected to one
        above `core`. For a network without probability, both are of the absolute difference, in
        units of the mean of the brain.
    lesion : float
        Of the lesion map.
    lesion_from : {'probability', 'difference'}
        Whether `lesion` is a threshold of the difference, as in the paper, or of the probability.
    least_lesion_vox : float
        Lesions of fewer voxels are left out of the map.

    """

    edge: float
    core: float
    lesion: float
    lesion_from: Literal['probability', 'difference'] = 'difference'
    least_lesion_vox: float = 10.0


class Applied(NamedTuple):
    """Result on the template grid, each (X, Y, Z).

    `inpainted` is float32, exactly the given volume where `weights` is 0; `weights` is the share
    of the change that was used, float32 in [0, 1]; `lesion_mask` is bool, and `may_change`, the
    voxels that might have been changed.
    """

    inpainted: NDArray[np.float32]
    weights: NDArray[np.float32]
    lesion_mask: NDArray[np.bool_]
    may_change: NDArray[np.bool_]


def apply_prediction(
    t1w: NDArray[np.float32],
    prediction: Prediction,
    brain_mask: NDArray[np.bool_],
    maps: Template,
    thresholds: Thresholds,
) -> Applied:
    """Apply the thresholds to a prediction: changed voxels and lesions.

    Parameters
    ----------
    t1w : (X, Y, Z) float32
        Input of the network, in units of the mean of the brain.
    prediction : Prediction
        Its output.
    brain_mask : (X, Y, Z) bool
        No voxel outside it changes, nor CSF of the ventricles inside.
    maps : Template
        On the same grid.
    thresholds : Thresholds
        Of change and lesion map.

    References
    ----------
    Manjon J.V. et al., "Blind MRI Brain Lesion Inpainting Using Deep Learning", SASHIMI 2020,
    LNCS 12417:41-49, for the lesion map from the difference.

    """
    may_change = brain_without_ventricles(t1w, brain_mask, maps, prediction.probability)
    inpainted, weights = take_change(
        t1w, prediction, may_change, edge=thresholds.edge, core=thresholds.core
    )
    sign = lesion_sign(
        t1w, inpainted, prediction, may_change, maps, lesion_from=thresholds.lesion_from
    )
    lesions = drop_specks(sign > thresholds.lesion, thresholds.least_lesion_vox)
    return Applied(inpainted, weights, lesions, may_change)


def apply_fill(
    t1w: NDArray[np.float32], inpainted: NDArray[np.float32], filled: NDArray[np.bool_]
) -> Applied:
    """Use the whole filling of a mask, whatever the difference; each (X, Y, Z)."""
    weights = filled.astype(np.float32)
    return Applied(composite(t1w, inpainted, weights), weights, filled, filled)


def take_change(
    t1w: NDArray[np.float32],
    prediction: Prediction,
    may_change: NDArray[np.bool_],
    *,
    edge: float,
    core: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply the thresholds of a change; the first half of `apply_prediction`.

    Parameters
    ----------
    t1w, prediction
        As there.
    may_change : (X, Y, Z) bool
        Of `bids_inpaint.image.ventricles.brain_without_ventricles`.
    edge, core : float
        See `Thresholds`.

    Returns
    -------
    inpainted, weights : (X, Y, Z) float32
        See `Applied`.

    """
    weights = change_weights(
        prediction.inpainted - t1w,
        may_change,
        probability=prediction.probability,
        edge_threshold=edge,
        core_threshold=core,
    )
    return composite(t1w, prediction.inpainted, weights), weights


def lesion_sign(
    t1w: NDArray[np.float32],
    inpainted: NDArray[np.float32],
    prediction: Prediction,
    may_change: NDArray[np.bool_],
    maps: Template,
    *,
    lesion_from: Literal['probability', 'difference'],
) -> NDArray[np.float32]:
    """Return the volume that is thresholded for the lesion map; the rest of `apply_prediction`.

    Parameters
    ----------
    t1w, prediction, maps
        As there.
    inpainted : (X, Y, Z) float32
        See `Applied`.
    may_change : (X, Y, Z) bool
        Of `bids_inpaint.image.ventricles.brain_without_ventricles`.
    lesion_from : {'probability', 'difference'}
        See `Thresholds`; without a probability it is the difference.

    Returns
    -------
    (X, Y, Z) float32
        The probability, or the absolute difference in the white matter of the inpainted volume;
        0 where lesions are excluded.

    """
    if lesion_from == 'probability' and prediction.probability is not None:
        return np.where(may_change, prediction.probability, np.float32(0))
    white = white_matter_of(inpainted, may_change, maps.grey_matter, maps.white_matter)
    return np.where(white, np.abs(inpainted - t1w), np.float32(0))


def change_weights(
    difference: NDArray[np.float32],
    may_change: NDArray[np.bool_],
    *,
    probability: NDArray[np.float32] | None = None,
    edge_threshold: float,
    core_threshold: float,
) -> NDArray[np.float32]:
    """Weigh the change of each voxel: 1 in a lesion, 0 outside, 0.5 in the outermost voxels.

    Parameters
    ----------
    difference : (X, Y, Z) float32
        Inpainted minus given volume, in units of the mean of the brain.
    may_change : (X, Y, Z) bool
        No voxel outside it changes (see `bids_inpaint.image.ventricles.brain_without_ventricles`).
    probability : (X, Y, Z) float32, optional
        Of lesion; without it the absolute difference decides.
    edge_threshold : float
        Voxels above it are changed ...
    core_threshold : float
        ... if they are connected to one above this.

    Returns
    -------
    (X, Y, Z) float32
        In [0, 1]; not 0 is the change mask.

    """
    deciding = np.abs(difference) if probability is None else probability
    changed = _connected(
        may_change & (deciding > edge_threshold), may_change & (deciding > core_threshold)
    )
    weights = np.zeros(changed.shape, np.float32)
    if not changed.any():
        return weights
    box = box_around(changed, margin=_FOLLOWED_VOX)
    changed, may_change = changed[box], may_change[box]
    if probability is not None:
        may_change = may_change & (np.abs(difference[box]) > _LEAST_FILLING)
        changed = changed | (dilate(changed, corners=True) & may_change)
    weights[box][dilate(changed) & may_change] = _TAPER
    weights[box][changed] = 1
    return weights


def changed_voxels(weights: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the changed voxels of weights that were resampled to another grid, (X, Y, Z) bool."""
    return weights > _LEAST_WEIGHT


def _connected(edge: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep voxels connected to a core, by a face, an edge or a corner."""
    labels, number = ndimage.label(edge, _TOUCHING)
    kept = np.zeros(number + 1, bool)
    kept[labels[core]] = True
    kept[0] = False
    return np.asarray(kept[labels])


def composite(
    t1w: NDArray[np.float32], inpainted: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mix the volumes by a share in each voxel; exactly the given one where it is 0."""
    mixed = t1w + weights * (inpainted - t1w)
    return np.asarray(np.where(weights > 0, mixed, t1w), dtype=np.float32)
