"""Calibrate the last layer of a blind network: gain and offset of its change."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from bids_inpaint.image.metrics import psnr
from bids_inpaint.network.card import Card
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training.data import Brain, Example
from bids_inpaint.training.thresholds import Predicted, healthy, pooled_lesion_error, predict

_LAST_LAYER = 'full_resolution'
_GAINS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)
_SHARES = tuple(number / 20 for number in range(21))
_LEAST_HEALTHY_DB = 50.5


class Calibration(NamedTuple):
    """The change d of a network becomes `gain * (d - offset)`."""

    gain: float
    offset: float

    def apply(self, prediction: Predicted) -> Predicted:
        """Return what a network would have predicted after calibration."""
        given, brain = prediction.example.lesioned, prediction.brain_mask
        change = np.float32(self.gain) * (prediction.inpainted - given - np.float32(self.offset))
        said = prediction.prediction._replace(inpainted=np.where(brain, given + change, given))
        return replace(prediction, prediction=said)


def choose(lesioned: Sequence[Predicted], unlesioned: Sequence[Predicted]) -> Calibration:
    """Choose the calibration with the least lesion error that leaves healthy brains alone.

    A network predicts less than the whole change where lesion is uncertain; and with a high weight
    of lesions it brightens the whole brain a little, which is invisible but lowers the PSNR.

    Parameters
    ----------
    lesioned, unlesioned : sequence of Predicted
        Of validation data, with and without lesions.

    Returns
    -------
    Calibration
        Of the gains and shares of the median change of healthy brains that are tried, the one
        with the least lesion error among those by which healthy brains come back at 50.5 dB in
        the mean; if there is none, the one with the highest PSNR.

    """
    changes = [(p.inpainted - p.example.lesioned)[p.brain_mask] for p in unlesioned]
    median = float(np.median([np.median(change) for change in changes]))
    tried = []
    for gain, share in product(_GAINS, _SHARES):
        calibration = Calibration(gain, share * median)
        filled = [(p.example, calibration.apply(p).inpainted) for p in lesioned]
        left = [psnr(p.example.target, calibration.apply(p).inpainted) for p in unlesioned]
        missing_db = max(_LEAST_HEALTHY_DB - float(np.mean(left)), 0.0)
        tried.append((missing_db, pooled_lesion_error(filled), calibration))
    return min(tried)[-1]


def calibrate(folder: Path, examples: Sequence[Example], brains: Sequence[Brain]) -> Calibration:
    """Choose the calibration of the network in a folder on validation data, and put it in.

    Parameters
    ----------
    folder : Path
        Of a network with a residual head; its weights and card are replaced. The figures of
        the card go, as they were of the weights before.
    examples, brains : sequence
        To validate with: simulated lesions, and healthy brains.

    """
    network, card = load_weights(folder)
    network.compile(jit_compile=False)
    window = card.architecture.window_vox
    chosen = choose(
        list(predict(network, examples, window)),
        list(predict(network, healthy(brains), window)),
    )
    layer = network.get_layer(_LAST_LAYER)
    layer.kernel.assign(chosen.gain * layer.kernel)
    layer.bias.assign(chosen.gain * (layer.bias - chosen.offset))
    _write(network, card, folder, chosen)
    return chosen


def _write(network: keras.Model, card: Card, folder: Path, chosen: Calibration) -> None:
    """Write weights and card, with the calibration."""
    kept = {f.name: getattr(card, f.name) for f in fields(card) if f.name != 'sha256'}
    made = [*card.training.get('calibrated', []), {**chosen._asdict(), 'sha256': card.sha256}]
    training = {**card.training, 'calibrated': made}
    save_weights(network, folder, {**kept, 'metrics': {}, 'training': training})
