"""Choose thresholds on validation data, and measure a network on the frozen test set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.composite import change_weights, composite
from bids_inpaint.image.fluid import brain_without_ventricles
from bids_inpaint.image.lesion_map import map_lesions, white_matter_of
from bids_inpaint.image.metrics import correlation, dice, lesion_error, psnr
from bids_inpaint.image.template import load_template
from bids_inpaint.network.inference import inpaint
from bids_inpaint.training.pipeline import Brain, Example

# Tried for a change's edge and core, and for the lesion map; in units of the mean of the brain.
_EDGES = (0.02, 0.04, 0.06, 0.08, 0.1)
_CORES = (0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
_LESION_THRESHOLDS = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)
# The least that a lesion changes a voxel of the simulation for it to count as lesion.
LESION_SHARE = 0.5
_MIN_LESION_VOX = 10
# What a change threshold may cost: lesion error beyond that of the network's own output.
_TOLERATED_ERROR = 0.02


@dataclass(frozen=True)
class Prediction:
    """A network's own output for an example, and the brain that both lie in."""

    example: Example
    inpainted: NDArray[np.float32]
    brain_mask: NDArray[np.bool_]

    @cached_property
    def may_change(self) -> NDArray[np.bool_]:
        """Where a change is taken, (X, Y, Z)."""
        given = self.example.lesioned
        return brain_without_ventricles(given, self.brain_mask, load_template())


def predict(
    network: keras.Model, examples: Iterable[Example], window_vox: int
) -> list[Prediction]:
    """Inpaint examples as the app does, without compositing."""
    predictions = []
    for example in examples:
        mask = example.target > 0
        inpainted = inpaint(network, example.lesioned, mask, window_vox=window_vox)
        predictions.append(Prediction(example, inpainted, mask))
    return predictions


def healthy(brains: Sequence[Brain]) -> list[Example]:
    """Return the brains as they are, as examples without lesions."""
    volumes = [brain.t1w.astype(np.float32) for brain in brains]
    return [Example(t1w, t1w, np.zeros_like(t1w)) for t1w in volumes]


def apply_thresholds(
    prediction: Prediction, *, edge_threshold: float, core_threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Composite a prediction as the app does; return the volume and its change mask."""
    given = prediction.example.lesioned
    weights = change_weights(
        prediction.inpainted - given,
        prediction.may_change,
        edge_threshold=edge_threshold,
        core_threshold=core_threshold,
    )
    return composite(given, prediction.inpainted, weights), weights > 0


def choose_change_thresholds(
    lesioned: Sequence[Prediction], unlesioned: Sequence[Prediction]
) -> dict[str, float]:
    """Choose the thresholds of a change.

    Of all pairs whose lesion error is at most 0.02 above that of the network's own output, the
    one that changes healthy brains least.

    Parameters
    ----------
    lesioned, unlesioned : sequence of Prediction
        Of validation data, with and without lesions.

    """
    best = pooled_lesion_error([(p.example, p.inpainted) for p in lesioned]) + _TOLERATED_ERROR
    candidates = []
    for edge, core in product(_EDGES, _CORES):
        if edge > core:
            continue
        chosen = {'edge_threshold': edge, 'core_threshold': core}
        filled = [(p.example, apply_thresholds(p, **chosen)[0]) for p in lesioned]
        changed = sum(int(apply_thresholds(p, **chosen)[1].sum()) for p in unlesioned)
        error = pooled_lesion_error(filled)
        candidates.append((error > best, changed if error <= best else error, edge, core))
    _, _, edge, core = min(candidates)
    return {'change_edge_threshold': edge, 'change_core_threshold': core}


def choose_lesion_threshold(
    lesioned: Sequence[Prediction], *, edge_threshold: float, core_threshold: float
) -> dict[str, float]:
    """Choose the lesion map's threshold: the highest mean Dice with the simulated lesions."""
    scores = lesion_dice(lesioned, edge_threshold=edge_threshold, core_threshold=core_threshold)
    means = {threshold: float(np.mean(values)) for threshold, values in scores.items()}
    chosen = max(means, key=lambda threshold: means[threshold])
    return {'lesion_threshold': chosen, 'lesion_dice': means[chosen]}


def lesion_dice(
    lesioned: Sequence[Prediction], *, edge_threshold: float, core_threshold: float
) -> dict[float, list[float]]:
    """Dice of lesion map and lesions of each prediction, for each threshold to choose from."""
    thresholds = {'edge_threshold': edge_threshold, 'core_threshold': core_threshold}
    filled = [(p, apply_thresholds(p, **thresholds)[0]) for p in lesioned]
    return {
        threshold: [
            dice(p.example.share > LESION_SHARE, lesion_map(p, inpainted, threshold))
            for p, inpainted in filled
        ]
        for threshold in _LESION_THRESHOLDS
    }


def lesion_map(
    prediction: Prediction, inpainted: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Map lesions as the app does."""
    template = load_template()
    white = white_matter_of(
        inpainted, prediction.brain_mask, template.grey_matter, template.white_matter
    )
    return map_lesions(
        inpainted - prediction.example.lesioned,
        white,
        threshold=threshold,
        min_size_vox=_MIN_LESION_VOX,
    )


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
    lesioned: Sequence[Prediction],
    unlesioned: Sequence[Prediction],
    *,
    edge_threshold: float,
    core_threshold: float,
) -> dict[str, Any]:
    """Measure the network's own output, and the composite that users get.

    Parameters
    ----------
    lesioned, unlesioned : sequence of Prediction
        With lesions and truth, and healthy.
    edge_threshold, core_threshold : float
        Of a change, in units of the mean of the brain.

    Returns
    -------
    dict
        Lesion error (0 perfect, 1 doing nothing) with the soft rims and of the cores alone, PSNR
        in dB and correlation over the whole volume of healthy brains (of the composites that of
        their mean squared error, as some come back as they were), and the volume that is changed
        in them in ml.

    """
    thresholds = {'edge_threshold': edge_threshold, 'core_threshold': core_threshold}
    filled = [(p.example, apply_thresholds(p, **thresholds)[0]) for p in lesioned]
    left = [(p.example.target, *apply_thresholds(p, **thresholds)) for p in unlesioned]
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


def measure_filling(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Measure the non-blind network: what was hidden, composed with what was given.

    Parameters
    ----------
    predictions : sequence of Prediction
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
