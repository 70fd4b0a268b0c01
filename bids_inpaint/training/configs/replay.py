"""The blind network trained at length, on a GPU: `--start` what `anatomy` has made."""

from dataclasses import replace

from bids_inpaint.training.configs import ReplayConfig, Stage, TrainingConfig, anatomy


def get_config() -> TrainingConfig:
    """Return the config of `anatomy` with batches of eight, and examples used several times."""
    return replace(
        anatomy.get_config(),
        stages=(Stage(until=9539, crop_vox=96, lesion_weight=20.0),),
        replay=ReplayConfig(examples=3000),
        batch_size=8,
        learning_rate=8e-4,
        decay_share=0.436,
    )
