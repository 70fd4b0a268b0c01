"""Train one network: checkpoints, log, validation."""

import csv
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.image.metrics import lesion_error, psnr
from bids_inpaint.network.inference import inpaint
from bids_inpaint.network.losses import lesion_weighted_loss
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights
from bids_inpaint.training.batches import Batches
from bids_inpaint.training.configs import Stage, TrainingConfig
from bids_inpaint.training.patients import Patient
from bids_inpaint.training.pipeline import Brain, Example
from bids_inpaint.training.schedule import ConstantThenLinear

CHECKPOINT_FILE = 'checkpoint.npz'
BEST_FILE = 'best.npz'
LOG_FILE = 'log.csv'


def compile_network(config: TrainingConfig, stage: Stage) -> keras.Model:
    """Build the network of a config, with the losses and the optimiser of a stage."""
    keras.utils.set_random_seed(config.seed)
    policy = 'mixed_bfloat16' if config.mixed_precision else 'float32'
    keras.mixed_precision.set_dtype_policy(policy)
    network = build_unet(config.architecture)
    keras.mixed_precision.set_dtype_policy('float32')
    loss = lesion_weighted_loss(stage.lesion_weight, config.huber_delta)
    network.compile(
        keras.optimizers.Adam(
            ConstantThenLinear(config.learning_rate, config.steps, config.decay_share),
            use_ema=config.average > 0,
            ema_momentum=config.average,
        ),
        loss={'reconstructed': loss, 'subvolumes': loss},
        # XLA has no fast 3-D convolution on a CPU: four times as long a step.
        jit_compile='auto' if keras.distribution.list_devices('gpu') else False,
    )
    network.optimizer.build(network.trainable_variables)
    return network


def save_checkpoint(network: keras.Model, path: Path) -> None:
    """Write weights and optimiser state under a temporary name, then rename."""
    arrays = {f'network/{v.path}': keras.ops.convert_to_numpy(v) for v in network.variables}
    for i, variable in enumerate(network.optimizer.variables):
        arrays[f'optimizer/{i}'] = keras.ops.convert_to_numpy(variable)
    temporary = path.with_name(f'.{path.name}')
    with temporary.open('wb') as stream:
        np.savez(stream, **arrays)
    temporary.replace(path)


def load_checkpoint(network: keras.Model, path: Path) -> int:
    """Read weights and optimiser state; return the number of steps that were done."""
    with np.load(path, allow_pickle=False) as arrays:
        for variable in network.variables:
            variable.assign(arrays[f'network/{variable.path}'])
        for i, variable in enumerate(network.optimizer.variables):
            variable.assign(arrays[f'optimizer/{i}'])
    return int(network.optimizer.iterations)


@contextmanager
def running_average(network: keras.Model) -> Iterator[None]:
    """Give a network the running average of its weights, if its optimiser keeps one."""
    weights = network.get_weights()
    network.optimizer.finalize_variable_values(network.trainable_variables)
    try:
        yield
    finally:
        network.set_weights(weights)


def validate(
    network: keras.Model, examples: Sequence[Example], config: TrainingConfig, stage: Stage
) -> dict[str, float]:
    """Loss, lesion error, and PSNR outside lesions, of whole volumes; means over the examples."""
    loss = lesion_weighted_loss(stage.lesion_weight, config.huber_delta)
    window_vox = config.architecture.window_vox
    losses, errors, fidelity = [], [], []
    for example in examples:
        predicted = inpaint(network, example.lesioned, example.target > 0, window_vox=window_vox)
        target = np.stack([example.target, example.share], axis=-1)
        losses.append(float(loss(target[None], predicted[None, ..., None])))
        errors.append(lesion_error(example.target, predicted, example.lesioned, example.share > 0))
        fidelity.append(
            psnr(example.target, np.where(example.share > 0, example.target, predicted))
        )
    means = {'validation_loss': losses, 'lesion_error': errors, 'psnr_outside': fidelity}
    return {name: float(np.mean(values)) for name, values in means.items()}


class Progress(keras.callbacks.Callback):
    """Writes the checkpoint and a line of the log every `interval` steps; stops when it is time.

    Time is when the validation loss of the stage was not lowered for `patience` intervals.
    """

    def __init__(
        self,
        folder: Path,
        examples: Sequence[Example],
        config: TrainingConfig,
        stage: Stage,
        *,
        first: int,
        interval: int,
    ) -> None:
        super().__init__()
        self.folder, self.examples, self.first = folder, examples, first
        self.interval, self.config, self.stage = interval, config, stage
        self.losses: list[float] = []
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the loss; now and then validate, write and begin anew."""
        self.losses.append(float((logs or {})['loss']))
        step = self.first + batch + 1
        if step % self.interval and step != self.params['steps'] + self.first:
            return
        seconds = (time.monotonic() - self.started) / len(self.losses)
        with running_average(self.model):
            measured = validate(self.model, self.examples, self.config, self.stage)
        row = {
            'step': step,
            'loss': float(np.mean(self.losses)),
            'seconds_per_step': round(seconds, 3),
            **measured,
        }
        save_checkpoint(self.model, self.folder / CHECKPOINT_FILE)
        _append_row(self.folder / LOG_FILE, row)
        losses = losses_of_last_stage(self.folder / LOG_FILE, self.config)
        if self.config.patience is not None and losses and losses[-1] == min(losses):
            save_checkpoint(self.model, self.folder / BEST_FILE)
        self.model.stop_training = is_over(losses, self.config)
        # The mean that Keras shows runs over all steps so far; ours is of the interval.
        self.losses, self.started = [], time.monotonic()
        self.model.reset_metrics()


def losses_of_last_stage(log: Path, config: TrainingConfig) -> list[float]:
    """Read the validation losses of the checkpoints of the last stage, in their order."""
    if not log.exists():
        return []
    began = config.stages[-2].until if len(config.stages) > 1 else 0
    with log.open(newline='') as stream:
        rows = [row for row in csv.DictReader(stream) if int(row['step']) > began]
    return [float(row['validation_loss']) for row in rows]


def is_over(losses: Sequence[float], config: TrainingConfig) -> bool:
    """Whether the last `config.patience` of the losses are none of them the lowest."""
    patience = config.patience
    if patience is None or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])


def train(
    config: TrainingConfig,
    brains: Sequence[Brain],
    masks: Sequence[NDArray[np.bool_]],
    examples: Sequence[Example],
    folder: Path,
    *,
    interval: int = 250,
    start: Path | None = None,
    patients: Sequence[Patient] = (),
    workers: int = 1,
) -> keras.Model:
    """Train, or go on with a training that was stopped.

    Parameters
    ----------
    config : TrainingConfig
        How.
    brains, masks
        To train with.
    examples : sequence of Example
        Whole volumes to validate with.
    folder : Path
        For checkpoint and log; what is there is gone on with.
    interval : int
        Steps between checkpoints.
    start : Path, optional
        Network (weights and card) of the same architecture to begin with, if there is no
        checkpoint; random weights if not given.
    patients : sequence of Patient
        To train with besides, as often as `config.patient_share` says.
    workers : int
        Threads that make examples.

    Returns
    -------
    keras.Model
        As it is after the last step, or the running average of its weights if `config.average`;
        with `config.patience` that of the checkpoint of the last stage that validated best.

    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT_FILE
    for stage in config.stages:
        network = compile_network(config, stage)
        first = load_checkpoint(network, checkpoint) if checkpoint.exists() else 0
        if not first and start:
            begun = load_weights(start)[0]
            network.set_weights(begun.get_weights())
        losses = losses_of_last_stage(folder / LOG_FILE, config)
        if first >= stage.until or is_over(losses, config):
            continue
        batches = Batches(
            brains,
            masks,
            config,
            first=first,
            until=stage.until,
            patients=patients,
            workers=workers,
        )
        progress = Progress(
            folder,
            examples,
            config,
            stage,
            first=first,
            interval=interval,
        )
        network.fit(
            batches,
            epochs=1,
            shuffle=False,
            callbacks=[progress],
            verbose=1 if os.isatty(1) else 0,
        )
    if config.patience is not None and (folder / BEST_FILE).exists():
        load_checkpoint(network, folder / BEST_FILE)
    network.optimizer.finalize_variable_values(network.trainable_variables)
    return network


def _append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a CSV file, with a head if it is new."""
    new = not path.exists()
    with path.open('a', newline='') as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
