"""The non-blind network: parts of healthy brains are hidden, and it says what was there."""

from bids_inpaint.network.config import WHITE_MATTER, UNetConfig
from bids_inpaint.training.configs import Stage, TrainingConfig


def get_config() -> TrainingConfig:
    """Return the config of the weights in `models/nonblind`.

    It starts with the weights of the blind network, which knows brains. What it says of voxels
    that it was shown is not used, so that they weigh next to nothing.
    """
    return TrainingConfig(
        task='nonblind',
        architecture=UNetConfig(filters=32, hidden_base=WHITE_MATTER),
        stages=(Stage(until=7500, crop_vox=96, lesion_weight=100.0),),
    )
