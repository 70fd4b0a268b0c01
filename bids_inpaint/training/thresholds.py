"""Choose operating points on validation data, and measure a network on the frozen test set.

See `docs/training.md` for the score.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.lesion_map import drop_specks
from bids_inpaint.image.metrics import correlation, dice, lesion_error, psnr
from bids_inpaint.image.template import load_template
from bids_inpaint.image.thresholds import (
    Applied,
    Prediction,
    Thresholds,
    apply_prediction,
    lesion_sign,
    take_change,
)
from bids_inpaint.image.ventricles import brain_without_ventricles
from bids_inpaint.image.volume import box_around
from bids_inpaint.network.card import ProbabilityCurve
from bids_inpaint.network.inference import inpaint
from bids_inpaint.training.data import Brain, Example

# Tried for a change's edge and core: of the probability, and of the absolute difference in units
# of the mean of the brain, for a network without the former.
PROBABILITY_GRID = ((0.2, 0.35, 0.5, 0.65, 0.8), (0.5, 0.65, 0.8, 0.9, 0.95, 0.98))
DIFFERENCE_GRID = ((0.02, 0.04, 0.06, 0.08, 0.1), (0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35))
# And for the lesion map.
_PROBABILITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_DIFFERENCES = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
# The least that a lesion changes a voxel of the simulation for it to count as lesion.
LESION_SHARE = 0.5
# A change beyond it, in units of the mean of the brain, is strong: it can be seen.
STRONG_CHANGE = 0.1
# What an operating point may change of a healthy brain: by that much, and by anything.
MOST_STRONG_ML, MOST_CHANGED_ML = 1.0, 3.0
# Points whose error differs by less than this are equally good.
_SAME_ERROR = 0.005
# And what the lesion map may have of a healthy brain.
MOST_MAPPED_ML = 3.0


@dataclass(frozen=True)
class Predicted:
    """A network's own output for an example, and the brain that both lie in."""

    example: Example
    prediction: Prediction
    brain_mask: NDArray[np.bool_]

    @property
    def inpainted(self) -> NDArray[np.float32]:
        """The volume as the network predicts it."""
        return self.prediction.inpainted

    @cached_property
    def may_change(self) -> NDArray[np.bool_]:
        """Where a change is taken, (X, Y, Z)."""
        given, probability = self.example.lesioned, self.prediction.probability
        return brain_without_ventricles(given, self.brain_mask, load_template(), probability)

    def apply(self, thresholds: Thresholds) -> Applied:
        """Take of the prediction what the app takes."""
        return apply_prediction(
            self.example.lesioned, self.prediction, self.brain_mask, load_template(), thresholds
        )

    def composite(self, edge: float, core: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Volume and change mask of an operating point, as `apply` has them."""
        inpainted, weights = take_change(
            self.example.lesioned, self.prediction, self.may_change, edge=edge, core=core
        )
        return inpainted, weights > 0

    def lesion_sign(self, thresholds: Thresholds) -> NDArray[np.float32]:
        """Return what the lesion map of `apply` is thresholded from, (X, Y, Z)."""
        inpainted, _ = self.composite(thresholds.edge, thresholds.core)
        return lesion_sign(
            self.example.lesioned,
            inpainted,
            self.prediction,
            self.may_change,
            load_template(),
            lesion_from=thresholds.lesion_from,
        )


class Point(NamedTuple):
    """An operating point: a change has this edge, and reaches this core."""

    edge: float
    core: float


class Cost(NamedTuple):
    """What an operating point does to one volume.

    `error` is the lesion error that users get, or NaN without lesions; `changed_ml` is what is
    changed, `strong_ml` by more than `STRONG_CHANGE`; `outside_ml` is what is changed outside the
    lesions.
    """

    error: float
    changed_ml: float
    strong_ml: float
    outside_ml: float


class Choice(NamedTuple):
    """The operating point that a network is measured at.

    `error` is the mean lesion error; `excess` by what factor the worst healthy brain is changed
    more than it may be: the point qualifies if it is at most 1.
    """

    point: Point
    error: float
    excess: float


def predict(
    network: keras.Model,
    examples: Iterable[Example],
    window_vox: int,
    probability_curve: ProbabilityCurve = (),
) -> Iterator[Predicted]:
    """Inpaint examples as the app does, one at a time, without compositing."""
    for example in examples:
        mask = example.target > 0
        said = inpaint(
            network,
            example.lesioned,
            mask,
            window_vox=window_vox,
            probability_curve=probability_curve,
        )
        yield Predicted(example, said, mask)


def healthy(brains: Sequence[Brain]) -> list[Example]:
    """Return the brains as they are, as examples without lesions."""
    volumes = [brain.t1w.astype(np.float32) for brain in brains]
    return [Example(t1w, t1w, np.zeros_like(t1w)) for t1w in volumes]


def weigh_points(predicted: Predicted) -> dict[Point, Cost]:
    """Measure the cost of each operating point for a volume."""
    predicted = _cut_to_brain(predicted)
    by_probability = predicted.prediction.probability is not None
    edges, cores = PROBABILITY_GRID if by_probability else DIFFERENCE_GRID
    costs = {}
    for edge, core in product(edges, cores):
        if edge <= core:
            inpainted, changed = predicted.composite(edge, core)
            costs[Point(edge, core)] = _cost(predicted.example, inpainted, changed)
    return costs


def choose_point(
    lesioned: Sequence[dict[Point, Cost]], unlesioned: Sequence[dict[Point, Cost]]
) -> Choice:
    """Choose the operating point that fills lesions and leaves healthy tissue alone.

    Parameters
    ----------
    lesioned, unlesioned : sequence of dict
        As `weigh_points` makes them of validation data, with lesions and healthy.

    Returns
    -------
    Choice
        A point qualifies if it changes at most 1 ml of each healthy brain by more than 0.1 of its
        mean, and 3 ml by anything. Of those whose mean error is at most 0.005 above the lowest,
        that which changes least outside the lesions. If none qualifies, the one that exceeds these
        limits least.

    """
    tried = []
    for point in lesioned[0]:
        error = float(np.mean([costs[point].error for costs in lesioned]))
        excess = max(
            max(c[point].strong_ml / MOST_STRONG_ML, c[point].changed_ml / MOST_CHANGED_ML)
            for c in unlesioned
        )
        tried.append(Choice(point, error, excess))
    qualified = [choice for choice in tried if choice.excess <= 1]
    if not qualified:
        return min(tried, key=lambda choice: choice.excess)
    lowest = min(choice.error for choice in qualified)
    return min(
        (choice for choice in qualified if choice.error <= lowest + _SAME_ERROR),
        key=lambda choice: sum(costs[choice.point].outside_ml for costs in lesioned),
    )


def choose_lesion_threshold(
    lesioned: Iterable[Predicted],
    thresholds: Thresholds,
    false_ml: Sequence[Mapping[float, float]] = (),
) -> dict[str, float]:
    """Choose the lesion map's threshold.

    Parameters
    ----------
    lesioned : iterable of Predicted
        Images with simulated lesions.
    thresholds : Thresholds
        Its `lesion` is not looked at.
    false_ml : sequence of mapping
        Of `weigh_maps` for each healthy brain.

    Returns
    -------
    dict
        `lesion_threshold`, that with the highest mean Dice of those that map at most 3 ml in each
        healthy brain, or the highest if there is none; its `lesion_dice`, and `map_false_ml`, the
        most that it maps in a healthy brain.

    """
    scores = lesion_dice(lesioned, thresholds)
    means = {threshold: float(np.mean(values)) for threshold, values in scores.items()}
    false = {t: max((healthy[t] for healthy in false_ml), default=0.0) for t in means}
    qualified = [t for t, ml in false.items() if ml <= MOST_MAPPED_ML] or [max(means)]
    chosen = max(qualified, key=lambda threshold: means[threshold])
    return {
        'lesion_threshold': chosen,
        'lesion_dice': means[chosen],
        'map_false_ml': false[chosen],
    }


def weigh_maps(predicted: Predicted, thresholds: Thresholds) -> dict[float, float]:
    """Tell how many ml the lesion map of a volume has, for each threshold to choose from."""
    predicted = _cut_to_brain(predicted)
    sign = predicted.lesion_sign(thresholds)
    found = {
        threshold: drop_specks(sign > threshold, thresholds.least_lesion_vox)
        for threshold in _tried(thresholds)
    }
    return {
        threshold: round(float(lesions.sum()) / 1000, 3) for threshold, lesions in found.items()
    }


def lesion_dice(lesioned: Iterable[Predicted], thresholds: Thresholds) -> dict[float, list[float]]:
    """Dice of lesion map and lesions of each prediction, for each threshold to choose from."""
    scores: dict[float, list[float]] = {threshold: [] for threshold in _tried(thresholds)}
    for predicted in lesioned:
        truth = predicted.example.share > LESION_SHARE
        sign = predicted.lesion_sign(thresholds)
        for threshold, values in scores.items():
            found = drop_specks(sign > threshold, thresholds.least_lesion_vox)
            values.append(dice(truth, found))
    return scores


def _tried(thresholds: Thresholds) -> tuple[float, ...]:
    """Thresholds of the lesion map to choose from."""
    return _PROBABILITIES if thresholds.lesion_from == 'probability' else _DIFFERENCES


def _cut_to_brain(predicted: Predicted) -> Predicted:
    """Leave out what lies around the brain: it takes half of the time and never changes."""
    box = box_around(predicted.brain_mask)
    inpainted, probability = predicted.prediction
    said = Prediction(inpainted[box], None if probability is None else probability[box])
    cut = Predicted(Example(*(v[box] for v in predicted.example)), said, predicted.brain_mask[box])
    vars(cut)['may_change'] = predicted.may_change[box]
    return cut


def _cost(example: Example, inpainted: NDArray[np.float32], changed: NDArray[np.bool_]) -> Cost:
    """Measure one volume."""
    strong = np.abs(inpainted - example.lesioned) > STRONG_CHANGE
    lesions = example.share > 0
    error = float('nan')
    if lesions.any():
        error = lesion_error(example.target, inpainted, example.lesioned, lesions)
    volumes = (changed, strong, changed & ~lesions)
    return Cost(error, *(float(volume.sum()) / 1000 for volume in volumes))


def pooled_lesion_error(
    pairs: Iterable[tuple[Example, NDArray[np.float32]]], above: float = 0.0
) -> float:
    """Lesion error over all examples together: large lesion loads count more.

    Every voxel whose share of lesion is above `above` counts: by default the whole of the soft
    rim, with `LESION_SHARE` what an expert would draw.
    """
    after, before = 0.0, 0.0
    for example, inpainted in pairs:
        mask = example.share > above
        doing_nothing = float(np.abs(example.lesioned - example.target)[mask].sum())
        error = lesion_error(example.target, inpainted, example.lesioned, mask)
        before += doing_nothing
        after += error * doing_nothing
    return after / before


def measure(
    lesioned: Sequence[Predicted],
    unlesioned: Sequence[Predicted],
    *,
    edge_threshold: float,
    core_threshold: float,
) -> dict[str, Any]:
    """Measure the network's own output, and the composite that users get.

    Parameters
    ----------
    lesioned, unlesioned : sequence of Predicted
        With lesions and truth, and healthy.
    edge_threshold, core_threshold : float
        Of a change, in the units of what decides.

    Returns
    -------
    dict
        Lesion error (0 perfect, 1 doing nothing) with the soft rims and of the cores alone, PSNR
        in dB and correlation over the whole volume of healthy brains (of the composites that of
        their mean squared error, as some come back as they were), and the volume that is changed
        in them in ml.

    """
    point = (edge_threshold, core_threshold)
    filled = [(p.example, p.composite(*point)[0]) for p in lesioned]
    left = [(p.example.target, *p.composite(*point)) for p in unlesioned]
    own = [(p.example, p.inpainted) for p in lesioned]
    return {
        'lesion_error': pooled_lesion_error(own),
        'lesion_error_composite': pooled_lesion_error(filled),
        'lesion_core_error': pooled_lesion_error(own, LESION_SHARE),
        'lesion_core_error_composite': pooled_lesion_error(filled, LESION_SHARE),
        'lesioned_psnr_before_db': _mean(psnr(e.target, e.lesioned) for e, _ in filled),
        'lesioned_psnr_composite_db': _mean(psnr(e.target, v) for e, v in filled),
        'healthy_psnr_db': _mean(psnr(p.example.target, p.inpainted) for p in unlesioned),
        'healthy_correlation': _mean(
            correlation(p.example.target, p.inpainted) for p in unlesioned
        ),
        'healthy_psnr_composite_db': _pooled(psnr(truth, volume) for truth, volume, _ in left),
        'healthy_change_ml': _mean(float(mask.sum()) / 1000 for _, _, mask in left),
    }


def measure_filling(predictions: Sequence[Predicted]) -> dict[str, float]:
    """Measure the non-blind network: what was hidden, composed with what was given.

    Parameters
    ----------
    predictions : sequence of Predicted
        With `share` 1 where the brain was hidden.

    Returns
    -------
    dict
        PSNR in dB and correlation over the whole volume, before and after; and the mean absolute
        error inside what was hidden, in units of the mean of the brain.

    """
    pairs = [
        (p.example, np.where(p.example.share > 0, p.inpainted, p.example.target))
        for p in predictions
    ]
    return {
        'psnr_before_db': _mean(psnr(e.target, e.lesioned) for e, _ in pairs),
        'psnr_after_db': _mean(psnr(e.target, filled) for e, filled in pairs),
        'correlation_before': _mean(correlation(e.target, e.lesioned) for e, _ in pairs),
        'correlation_after': _mean(correlation(e.target, filled) for e, filled in pairs),
        'error_inside': _mean(
            float(np.abs(filled - e.target)[e.share > 0].mean()) for e, filled in pairs
        ),
    }


def _pooled(decibels: Iterable[float]) -> float:
    """PSNR of the mean squared error of several volumes: those that are unchanged have none."""
    error = _mean(10 ** (-np.asarray(list(decibels)) / 10))
    return float(-10 * np.log10(error)) if error else float('inf')


def _mean(values: Iterable[float]) -> float:
    """Mean; NaN of nothing."""
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else float('nan')
