"""The blind network, trained further for clinical scans: `--start models/blind`."""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, blind
from bids_inpaint.training.examples.augment import AugmentConfig


def get_config() -> TrainingConfig:
    """Return the config of `blind` with clinical image quality, and caps."""
    base = blind.get_config()
    return replace(
        base,
        lesions=replace(base.lesions, caps_probability=0.3),
        augment=AugmentConfig(widen_probability=0),
        stages=(Stage(until=13000, crop_vox=96, lesion_weight=8.0),),
        learning_rate=6e-4,
        decay_share=0.7,
    )
