"""The blind network on a short budget, to compare variants of it (`docs/results.md`)."""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, blind


def get_config() -> TrainingConfig:
    """Return the config of `blind` with 1,500 steps on small cubes; vary it by `--set`."""
    stage = Stage(until=1500, crop_vox=64, lesion_weight=5.0)
    base = blind.get_config()
    return replace(base, stages=(stage,), architecture=replace(base.architecture, window_vox=64))
