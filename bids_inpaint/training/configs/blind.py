"""The blind network: lesions simulated on healthy brains, whose truth is known."""

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.training.augment import AugmentConfig
from bids_inpaint.training.configs import TrainingConfig
from bids_inpaint.training.lesions import LesionConfig


def get_config() -> TrainingConfig:
    """Return the config that the weights in `models/blind` began with.

    32 filters instead of the paper's 40, which take two thirds of the time of each step.
    """
    return TrainingConfig(
        architecture=UNetConfig(filters=32),
        lesions=LesionConfig(core_probability=0.5),
        augment=AugmentConfig(
            widen_probability=0,
            low_contrast_probability=0,
            patches=0,
            thick_slice_probability=0,
            sharpen_probability=0,
            contrast_agent_probability=0,
        ),
    )
