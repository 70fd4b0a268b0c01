"""Last part of the training of the blind network: `--start` from that of `clinical`."""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, clinical
from bids_inpaint.training.examples.augment import AugmentConfig


def get_config() -> TrainingConfig:
    """Return the config of `clinical` with wider ventricles, and absolute errors.

    Absolute errors do not change what is probably not lesion; so lesions may weigh more.
    """
    return replace(
        clinical.get_config(),
        augment=AugmentConfig(),
        stages=(Stage(until=8000, crop_vox=96, lesion_weight=20.0),),
        huber_delta=0.05,
        learning_rate=4e-4,
        decay_share=0.6,
        average=0.9995,
    )
