"""The non-blind network: parts of healthy brains are hidden, and it says what was there."""

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.training.configs import Stage, TrainingConfig


def get_config() -> TrainingConfig:
    """Return the config of the weights in `models/nonblind`."""
    return TrainingConfig(
        task='nonblind',
        architecture=UNetConfig(filters=32),
        stages=(Stage(until=1500, crop_vox=96, lesion_weight=10.0),),
    )
