"""The non-blind network: it restores hidden parts of healthy brains."""

from bids_inpaint.network.config import WHITE_MATTER, UNetConfig
from bids_inpaint.training.configs import Stage, TrainingConfig


def get_config() -> TrainingConfig:
    """Return the config of the weights in `models/nonblind`.

    It starts from the weights of the blind network. Its predictions of visible voxels are not
    used, so these have almost no weight.
    """
    return TrainingConfig(
        task='nonblind',
        architecture=UNetConfig(filters=32, hidden_base=WHITE_MATTER),
        stages=(Stage(until=7500, crop_vox=96, lesion_weight=100.0),),
    )
