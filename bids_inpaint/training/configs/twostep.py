"""The blind network, trained on patients too: `--start` what `finish` has made.

Both steps of the paper: patients have what the non-blind network fills in as their target.
"""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, finish


def get_config() -> TrainingConfig:
    """Return the config of `finish`, with patients as a part of its examples.

    Patients show what is not to be changed; so lesions may weigh more.
    """
    return replace(
        finish.get_config(),
        patient_share=0.2,
        stages=(Stage(until=3000, crop_vox=96, lesion_weight=30.0),),
        learning_rate=3e-4,
        decay_share=0.8,
        average=0.999,
    )
