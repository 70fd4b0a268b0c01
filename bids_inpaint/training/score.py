"""The one score that networks are compared by, and its validation set (`docs/training.md`)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bids_inpaint.image.template import SHAPE, load_template
from bids_inpaint.image.thresholds import Thresholds
from bids_inpaint.network.card import Card, ProbabilityCurve
from bids_inpaint.network.inference import follow_curve
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.examples.anatomy import Anatomy
from bids_inpaint.training.examples.batches import visible_share
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.examples.simulate import simulate, take_anatomy
from bids_inpaint.training.examples.synthetic import LabelMap, SyntheticConfig, draw_anatomy
from bids_inpaint.training.thresholds import (
    Cost,
    Point,
    Predicted,
    choose_lesion_threshold,
    choose_point,
    predict,
    weigh_maps,
    weigh_points,
)

LOGGER = logging.getLogger(__name__)
_SEED = 20261125
_WHOLE = (slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
# Every image has lesions, of all that training knows but single shapes, which only train.
LESIONS = LesionConfig(
    healthy_share=0.0,
    core_probability=0.5,
    caps_probability=0.5,
    halo_probability=0.5,
)
_BINS = 10
# Of the curve: most of white matter is far below 0.1.
_CURVE_BINS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Voxels of a volume that calibration looks at: more would say the same.
_CALIBRATED_VOX = 200_000
_Sample = tuple[NDArray[np.float32], NDArray[np.float32]]  # probability, share of lesion


class ValidationSet:
    """Volumes that the score is of, made one at a time, the same at each call.

    Parameters
    ----------
    brains : sequence of Brain
        Healthy people whose image is known.
    label_maps : sequence of LabelMap
        Healthy people whose labels are known.
    patients : sequence of Brain
        Scans of patients: lesions are put in, but nothing is said of what else is changed there.
    masks : sequence of (X, Y, Z) bool
        Lesions of patients who do not train.

    """

    def __init__(
        self,
        brains: Sequence[Brain],
        label_maps: Sequence[LabelMap],
        patients: Sequence[Brain],
        masks: Sequence[NDArray[np.bool_]],
    ) -> None:
        self.brains, self.label_maps = brains, label_maps
        self.patients, self.masks = patients, masks

    def healthy(self) -> Iterator[tuple[str, Example]]:
        """Names and volumes of the healthy, as they are."""
        for name, anatomy in self._healthy():
            t1w = anatomy.t1w
            yield name, Example(t1w, t1w, np.zeros_like(t1w))

    def lesioned(self) -> Iterator[tuple[str, Example]]:
        """Names and volumes of all, with lesions put in."""
        patients = ((_name(brain), take_anatomy(brain, _WHOLE)) for brain in self.patients)
        for group in (self._healthy(), patients):
            for name, anatomy in group:
                rng = np.random.default_rng([_SEED, *name.encode()])
                yield name, simulate(anatomy, self.masks, _WHOLE, rng, LESIONS)

    def _healthy(self) -> Iterator[tuple[str, Anatomy]]:
        for brain in self.brains:
            yield _name(brain), take_anatomy(brain, _WHOLE)
        for label_map in self.label_maps:
            name = f'label-maps/{label_map.participant}'
            rng = np.random.default_rng([_SEED, *name.encode()])
            yield name, draw_anatomy(label_map, _WHOLE, rng, SyntheticConfig())


def _name(brain: Brain) -> str:
    return f'{brain.dataset}/{brain.scan}'


def score(network: keras.Model, card: Card, validation: ValidationSet) -> dict[str, Any]:
    """Measure a network on the validation set.

    Parameters
    ----------
    network : keras.Model
        As made by `bids_inpaint.network.unet.build_unet`.
    card : Card
        Of it.
    validation : ValidationSet
        To measure with.

    Returns
    -------
    dict
        `choice`, the operating point; what `choose_lesion_threshold` says; and for each
        image its `Cost` at that point, under `lesioned` and `healthy`. Of a network with
        a probability of lesion also its `probability_curve`, the `calibration_error` that is
        left and the `bins` that this is of; and under `by_difference` all the rest once more,
        with the probability ignored.

    """
    window = card.architecture.window_vox
    lesioned = dict(_predictions(network, window, validation.lesioned()))
    curve: ProbabilityCurve = ()
    calibration: dict[str, Any] = {}
    if card.architecture.lesion_output:
        curve, calibration = fit_curve(lesioned)
        lesioned = {name: recalibrated(one, curve) for name, one in lesioned.items()}
    decided, undecided, false_ml = {}, {}, []
    for name, one in _predictions(network, window, validation.healthy()):
        told = recalibrated(one, curve)
        decided[name] = weigh_points(told)
        if card.architecture.lesion_output:
            undecided[name] = weigh_points(_without_probability(one))
            false_ml.append(weigh_maps(told, card.thresholds))
    measured = {'probability_curve': curve, **calibration, **_decide(lesioned, decided, false_ml)}
    if card.architecture.lesion_output:
        ignored = {name: _without_probability(one) for name, one in lesioned.items()}
        measured['by_difference'] = _decide(ignored, undecided)
    return measured


def _decide(
    lesioned: Mapping[str, Predicted],
    unlesioned: Mapping[str, dict[Point, Cost]],
    false_ml: Sequence[Mapping[float, float]] = (),
) -> dict[str, Any]:
    """Choose the thresholds, and return the cost of each volume at that point."""
    weighed = {name: weigh_points(one) for name, one in lesioned.items()}
    choice = choose_point(list(weighed.values()), list(unlesioned.values()))
    edge, core = choice.point
    given = all(one.prediction.probability is not None for one in lesioned.values())
    lesion_from: Literal['probability', 'difference'] = 'probability' if given else 'difference'
    thresholds = Thresholds(edge=edge, core=core, lesion=0.0, lesion_from=lesion_from)
    return {
        'choice': {'edge': edge, 'core': core, 'error': choice.error, 'excess': choice.excess},
        **choose_lesion_threshold(lesioned.values(), thresholds, false_ml),
        'lesioned': {name: costs[choice.point]._asdict() for name, costs in weighed.items()},
        'healthy': {name: costs[choice.point]._asdict() for name, costs in unlesioned.items()},
    }


def _without_probability(predicted: Predicted) -> Predicted:
    return replace(predicted, prediction=predicted.prediction._replace(probability=None))


def _predictions(
    network: keras.Model, window: int, examples: Iterator[tuple[str, Example]]
) -> Iterator[tuple[str, Predicted]]:
    for name, example in examples:
        (predicted,) = predict(network, [example], window)
        LOGGER.info('%s', name)
        yield name, predicted


def recalibrated(predicted: Predicted, curve: ProbabilityCurve) -> Predicted:
    """Return a prediction whose probability follows a curve."""
    said = predicted.prediction
    if said.probability is None:
        return predicted
    probability = follow_curve(said.probability, curve)
    return replace(predicted, prediction=said._replace(probability=probability))


def fit_curve(lesioned: Mapping[str, Predicted]) -> tuple[ProbabilityCurve, dict[str, Any]]:
    """Find what the probability of lesion is worth, and the calibration error that is left.

    Of voxels of white matter in simulated images: the mean share of lesion in bins of the
    probability, made to rise (isotonic regression).

    Parameters
    ----------
    lesioned : mapping of str to Predicted
        Names and predictions of two images or more with lesions, as the network says them.

    Returns
    -------
    curve : tuple of (float, float)
        Of `bids_inpaint.network.inference.follow_curve`.
    left : dict
        `calibration_error`: the mean over ten equal bins of probability of the difference between
        the mean probability and the mean share of lesion, where each image follows the curve of
        the others; and the `bins` themselves.

    Raises
    ------
    ValueError
        If a network gives no probability.

    References
    ----------
    Zadrozny B., Elkan C., "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002, 694-699.

    """
    samples = [_white_matter_sample(name, predicted) for name, predicted in lesioned.items()]
    followed = []
    for i, (said, _) in enumerate(samples):
        followed.append(follow_curve(said, _rising_curve(samples[:i] + samples[i + 1 :])))
    share = np.concatenate([share for _, share in samples])
    bins = calibration_bins(np.concatenate(followed), share)
    error = float(np.mean([abs(one['said'] - one['true']) for one in bins]))
    return _rising_curve(samples), {'calibration_error': error, 'bins': bins}


def _white_matter_sample(name: str, predicted: Predicted) -> _Sample:
    """Take probability and share of lesion of some voxels of white matter."""
    probability = predicted.prediction.probability
    if probability is None:
        msg = f'{name}: the network gives no probability'
        raise ValueError(msg)
    inside = np.flatnonzero((load_template().white_matter > 0.5) & predicted.brain_mask)
    rng = np.random.default_rng([_SEED, *name.encode()])
    taken = rng.choice(inside, min(_CALIBRATED_VOX, inside.size), replace=False)
    return probability.ravel()[taken], visible_share(predicted.example).ravel()[taken]


def _rising_curve(samples: Sequence[_Sample]) -> ProbabilityCurve:
    """Mean share of lesion against mean probability in bins, made to rise, from 0 to 1."""
    said, share = (np.concatenate(values) for values in zip(*samples, strict=True))
    bins = np.digitize(said, _CURVE_BINS)
    vox = np.bincount(bins, minlength=len(_CURVE_BINS) + 1)
    met = vox > 0
    means = [np.bincount(bins, v, len(vox))[met] / vox[met] for v in (said, share)]
    true = isotonic_regression(means[1], weights=vox[met]).x
    points = zip(means[0].round(4).tolist(), true.round(4).tolist(), strict=True)
    return ((0.0, 0.0), *points, (1.0, 1.0))


def calibration_bins(
    probability: NDArray[np.floating], share: NDArray[np.floating]
) -> list[dict[str, float]]:
    """Compare predicted and true shares in ten equal bins; empty ones are left out.

    Parameters
    ----------
    probability, share : (N,) float
        Probability of lesion, and share of lesion.

    Returns
    -------
    list of dict
        Mean probability `said`, mean share `true`, and number of voxels `vox` of each bin.

    """
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    return [
        {
            'said': float(probability[inside].mean()),
            'true': float(share[inside].mean()),
            'vox': int(inside.sum()),
        }
        for inside in (bins == i for i in range(_BINS))
        if inside.any()
    ]
