"""The blind network, trained on for what patients' scans look like: `--start models/blind`."""

from dataclasses import replace

from bids_inpaint.training.augment import AugmentConfig
from bids_inpaint.training.configs import Stage, TrainingConfig, blind


def get_config() -> TrainingConfig:
    """Return the config of `blind` with low contrast, thick slices and uneven white matter."""
    return replace(
        blind.get_config(),
        augment=AugmentConfig(),
        stages=(
            Stage(until=2000, crop_vox=96, lesion_weight=5.0),
            Stage(until=5500, crop_vox=96, lesion_weight=8.0),
        ),
    )
