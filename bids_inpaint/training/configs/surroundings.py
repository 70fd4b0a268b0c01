"""The non-blind network on any anatomy, filling like its surroundings: with `--label-maps`."""

from dataclasses import replace

from bids_inpaint.training.configs import Stage, TrainingConfig, anatomy, nonblind


def get_config() -> TrainingConfig:
    """Return the config of `nonblind` with anatomies, shapes and pale surroundings of `anatomy`.

    White matter that is paler around what is hidden teaches it to fill as brightly as the white
    matter next to it, not as that of the whole brain. It ends with `--finish-in`.
    """
    base, blind = nonblind.get_config(), anatomy.get_config()
    return replace(
        base,
        lesions=replace(
            base.lesions,
            masks_per_image=(0, 2),
            shapes_per_image=blind.lesions.shapes_per_image,
            halo_probability=0.7,
            halo_depth=(0.02, 0.2),
        ),
        age=blind.age,
        synthetic_share=blind.synthetic_share,
        stages=(Stage(until=blind.steps, crop_vox=96, lesion_weight=100.0),),
        learning_rate=2e-4,
        decay_share=0.0,
        average=0.99,
        mixed_precision=False,
    )
