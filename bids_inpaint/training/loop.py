"""Train one network: checkpoints, log, validation."""

import csv
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bids_inpaint.files import replacing
from bids_inpaint.image.metrics import dice, lesion_error, psnr
from bids_inpaint.network.device import visible_gpus
from bids_inpaint.network.inference import inpaint
from bids_inpaint.network.losses import lesion_logit_loss, lesion_weighted_loss
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights
from bids_inpaint.training.configs import Stage, TrainingConfig
from bids_inpaint.training.data import Example
from bids_inpaint.training.examples.batches import Batches, Sources
from bids_inpaint.training.replay import FalseVoxels, drawn_by_processes, fit_replayed
from bids_inpaint.training.schedule import ConstantThenLinear
from bids_inpaint.training.thresholds import LESION_SHARE

CHECKPOINT_FILE = 'checkpoint.npz'
BEST_FILE = 'best.npz'
LOG_FILE = 'log.csv'
FINISH_FILE = 'finish.txt'


def compile_network(config: TrainingConfig, stage: Stage) -> keras.Model:
    """Build the network of a config, with the losses and the optimiser of a stage."""
    keras.utils.set_random_seed(config.seed)
    policy = 'mixed_bfloat16' if config.mixed_precision else 'float32'
    keras.mixed_precision.set_dtype_policy(policy)
    network = build_unet(config.architecture)
    keras.mixed_precision.set_dtype_policy('float32')
    network.compile(
        keras.optimizers.Adam(
            ConstantThenLinear(config.learning_rate, config.steps, config.decay_share),
            use_ema=config.average > 0,
            ema_momentum=config.average,
        ),
        **losses_of(config, stage),
        metrics=_false_voxels(config),
        # XLA has no fast 3-D convolution on a CPU: four times as long a step.
        jit_compile='auto' if visible_gpus() else False,
    )
    network.optimizer.build(network.trainable_variables)
    return network


def losses_of(config: TrainingConfig, stage: Stage) -> dict[str, Any]:
    """Losses of all outputs of a network, and their weights, as `compile` takes them."""
    filling = lesion_weighted_loss(stage.lesion_weight, config.huber_delta)
    losses = {'reconstructed': filling, 'subvolumes': filling}
    weights = dict.fromkeys(losses, 1.0)
    if config.architecture.lesion_output:
        losses['lesion_logit'] = lesion_logit_loss(config.dice_weight)
        weights['lesion_logit'] = config.lesion_loss_weight
    return {'loss': losses, 'loss_weights': weights}


def _false_voxels(config: TrainingConfig) -> dict[str, Any] | None:
    """Make the metrics by which hard examples are known, if examples are used several times."""
    if not config.replay.examples:
        return None
    outputs = ('reconstructed', *(('lesion_logit',) if config.architecture.lesion_output else ()))
    return {name: FalseVoxels(name, config.batch_size) for name in outputs}


def save_checkpoint(network: keras.Model, path: Path) -> None:
    """Write weights and optimiser state."""
    arrays = {f'network/{v.path}': keras.ops.convert_to_numpy(v) for v in network.variables}
    for i, variable in enumerate(network.optimizer.variables):
        arrays[f'optimizer/{i}'] = keras.ops.convert_to_numpy(variable)
    with replacing(path, durable=True) as temporary:
        np.savez(temporary, **arrays)


def load_checkpoint(network: keras.Model, path: Path) -> None:
    """Read weights and optimiser state."""
    with np.load(path, allow_pickle=False) as arrays:
        for variable in network.variables:
            variable.assign(arrays[f'network/{variable.path}'])
        for i, variable in enumerate(network.optimizer.variables):
            variable.assign(arrays[f'optimizer/{i}'])


def steps_done(path: Path) -> int:
    """Count the steps before a checkpoint, as its optimiser did; 0 without one."""
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as arrays:
        return int(arrays['optimizer/0'])


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
    losses: list[float] = []
    errors: list[float] = []
    fidelity: list[float] = []
    overlaps: list[float] = []
    for example in examples:
        said = inpaint(network, example.lesioned, example.target > 0, window_vox=window_vox)
        predicted = said.inpainted
        target = np.stack([example.target, example.share], axis=-1)
        losses.append(float(loss(target[None], predicted[None, ..., None])))
        errors.append(lesion_error(example.target, predicted, example.lesioned, example.share > 0))
        fidelity.append(
            psnr(example.target, np.where(example.share > 0, example.target, predicted))
        )
        if said.probability is not None:
            overlaps.append(dice(example.share > LESION_SHARE, said.probability > LESION_SHARE))
    means = {'validation_loss': losses, 'lesion_error': errors, 'psnr_outside': fidelity}
    if overlaps:
        means['lesion_dice'] = overlaps
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
        """Keep the loss; at each interval validate, write and reset."""
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
    sources: Sources,
    examples: Sequence[Example],
    folder: Path,
    *,
    interval: int = 250,
    start: Path | None = None,
    workers: int = 1,
) -> keras.Model:
    """Train, or resume a training.

    Parameters
    ----------
    config : TrainingConfig
        Settings.
    sources : Sources
        To train with.
    examples : sequence of Example
        Whole volumes to validate with.
    folder : Path
        For checkpoint and log; an existing training is resumed.
    interval : int
        Steps between checkpoints.
    start : Path, optional
        Network (weights and card) of the same architecture to begin with, if there is no
        checkpoint; random weights if not given.
    workers : int
        Threads that make examples; processes, if they are used several times.

    Returns
    -------
    keras.Model
        As it is after the last step, or the running average of its weights if `config.average`;
        with `config.patience` that of the checkpoint of the last stage that validated best.

    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT_FILE
    for stage in config.stages:
        first = steps_done(checkpoint)
        batches = Batches(sources, config, first=first, until=stage.until, workers=workers)
        replayed = config.replay.examples and first < stage.until
        with drawn_by_processes(batches, workers) if replayed else nullcontext() as drawn:
            network = compile_network(config, stage)
            if first:
                load_checkpoint(network, checkpoint)
            elif start:
                take_weights(network, load_weights(start)[0])
            losses = losses_of_last_stage(folder / LOG_FILE, config)
            if first >= stage.until or is_over(losses, config):
                continue
            progress = Progress(folder, examples, config, stage, first=first, interval=interval)
            if drawn:
                fit_replayed(network, batches, drawn, [progress])
            else:
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


def finish_in(config: TrainingConfig, folder: Path, steps: int) -> TrainingConfig:
    """Let a training end after some more steps, over which its learning rate falls to zero.

    If repeated, the end stays the same: the last step is kept beside the checkpoint.
    """
    path = folder / FINISH_FILE
    if not path.exists():
        done = steps_done(folder / CHECKPOINT_FILE)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{done + steps} {steps}\n')
    until, falling = (int(number) for number in path.read_text().split())
    last = replace(config.stages[-1], until=until)
    stages = (*(stage for stage in config.stages[:-1] if stage.until < until), last)
    return replace(config, stages=stages, decay_share=falling / until)


def take_weights(network: keras.Model, begun: keras.Model) -> None:
    """Give a network the weights of another one that has the same layers or fewer.

    Raises
    ------
    ValueError
        If the other one has weights that this one lacks, or of other shapes.

    """
    missing = {variable.path: variable for variable in network.variables}
    for variable in begun.variables:
        if variable.path not in missing or variable.shape != missing[variable.path].shape:
            msg = f'no {variable.path} of shape {variable.shape} in {network.name}'
            raise ValueError(msg)
        missing[variable.path].assign(variable)


def _append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a CSV file, with a head if it is new."""
    new = not path.exists()
    with path.open('a', newline='') as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
