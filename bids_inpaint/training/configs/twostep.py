"""The blind network, trained on patients too: `--start` from that of `finish`.

Both steps of the paper: the target of patients is their non-blind filling.
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
