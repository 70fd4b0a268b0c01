"""The blind network on synthetic anatomies, with a second output: `--label-maps`, `--shapes`."""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, finish
from bids_inpaint.training.examples.anatomy import AgeConfig

_OPEN_END = 1_000_000


def get_config() -> TrainingConfig:
    """Return the config of `finish` with made anatomies, single shapes, pale surroundings.

    The learning rate is constant until `--finish-in` sets an end.
    """
    base = finish.get_config()
    return replace(
        base,
        architecture=replace(base.architecture, lesion_output=True),
        lesions=replace(
            base.lesions,
            masks_per_image=(0, 1),
            shapes_per_image=(0, 60),
            halo_probability=0.5,
        ),
        age=AgeConfig(rim_probability=0.4, space_probability=0.3),
        synthetic_share=0.5,
        stages=(Stage(until=_OPEN_END, crop_vox=96, lesion_weight=20.0),),
        learning_rate=4e-4,
        decay_share=0.0,
        average=0.999,
        mixed_precision=False,
    )
