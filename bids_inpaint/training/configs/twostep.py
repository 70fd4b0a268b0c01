"""The blind network, trained on patients too: `--start` what `finish` has made.

Both steps of the paper: patients have what the non-blind network fills in as their target.
"""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, finish


def get_config() -> TrainingConfig:
    """Return the config of `finish`, shorter, with patients as a quarter of its examples."""
    return replace(
        finish.get_config(),
        patient_share=0.25,
        stages=(Stage(until=3000, crop_vox=96, lesion_weight=20.0),),
        learning_rate=3e-4,
        decay_share=0.7,
        average=0.999,
    )
