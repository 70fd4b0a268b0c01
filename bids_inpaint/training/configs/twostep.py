"""The blind network, trained on patients too: both steps of the paper."""

from dataclasses import replace

from bids_inpaint.training.configs import TrainingConfig, blind


def get_config() -> TrainingConfig:
    """Return the config of `blind`, with patients as a third of its examples."""
    return replace(blind.get_config(), patient_share=1 / 3)
