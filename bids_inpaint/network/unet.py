"""The 3-D U-Net.

References
----------
Manjon J.V. et al., "Blind MRI Brain Lesion Inpainting Using Deep Learning", SASHIMI 2020,
LNCS 12417:41-49.

"""

from typing import Any

import keras
from keras import layers, ops

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.layers import DepthToSpace, SpaceToDepth, TrilinearUpSampling3D

# Hidden voxels are -1; splines may bring others a little below 0.
_HIDDEN_BELOW = -0.5
# Initial bias: about one voxel of a brain in fifty is lesion.
_FIRST_LOGIT = -4.0


def build_unet(config: UNetConfig) -> keras.Model:
    """Build the network.

    Parameters
    ----------
    config : UNetConfig
        The architecture.

    Returns
    -------
    keras.Model
        Takes (B, X, Y, Z, 1), normalised T1w, zero outside the brain; X, Y and Z divisible by
        `config.multiple`. Returns volumes of that shape, float32: `reconstructed`, the output;
        `subvolumes`, the rearranged estimate at half resolution, for deep supervision; and
        with `config.lesion_output` `lesion_logit`, the logit of the probability of lesion.

    """
    t1w = keras.Input((None, None, None, 1), name='t1w')
    features = SpaceToDepth(name='space_to_depth')(t1w)
    skips = []
    for level in range(config.levels - 1):
        features = _convolve(features, config.filters * 2**level, f'down_{level}')
        skips.append(features)
        features = layers.MaxPooling3D(name=f'pool_{level}')(features)
    features = _convolve(features, config.filters * 2 ** (config.levels - 1), 'bottom')
    for level in reversed(range(config.levels - 1)):
        features = layers.UpSampling3D(name=f'upsample_{level}')(features)
        features = layers.Concatenate(name=f'skip_{level}')([features, skips[level]])
        features = _convolve(features, config.filters * 2**level, f'up_{level}')
    low = _last_convolution(features, 8, 'low_resolution', config)
    logits = _lesion_logit(features) if config.lesion_output else {}
    features = TrilinearUpSampling3D(name='upsample_full')(low)
    features = _convolve(features, config.reconstruction_filters, 'reconstruction')
    full = _last_convolution(features, 1, 'full_resolution', config)
    outputs = {'reconstructed': full, 'subvolumes': DepthToSpace(name='depth_to_space')(low)}
    if config.head == 'residual':
        base = t1w
        if config.hidden_base is not None:
            base = ops.where(t1w < _HIDDEN_BELOW, config.hidden_base, t1w)
        outputs = {
            key: layers.Add(name=key, dtype='float32')([base, change])
            for key, change in outputs.items()
        }
    return keras.Model(t1w, outputs | logits, name=f'unet_{config.head}')


def _convolve(features: Any, filters: int, name: str) -> Any:
    """3x3x3 convolution, ReLU, instance normalisation."""
    features = layers.Conv3D(filters, 3, padding='same', activation='relu', name=name)(features)
    # One group per filter: equals batch normalisation with a batch of one volume, as in the
    # training of the paper, but is the same in use.
    return layers.GroupNormalization(groups=-1, name=f'{name}_norm')(features)


def _lesion_logit(features: Any) -> dict[str, Any]:
    """Logit of the probability of lesion, from the last features, at full resolution."""
    low = layers.Conv3D(
        8,
        1,
        kernel_initializer='zeros',
        bias_initializer=keras.initializers.Constant(_FIRST_LOGIT),
        name='lesion_subvolumes',
        dtype='float32',
    )(features)
    return {'lesion_logit': DepthToSpace(name='lesion_logit', dtype='float32')(low)}


def _last_convolution(features: Any, channels: int, name: str, config: UNetConfig) -> Any:
    """1x1x1 convolution in float32; zero at the start where it predicts a change."""
    start = 'zeros' if config.head == 'residual' else 'glorot_uniform'
    return layers.Conv3D(channels, 1, kernel_initializer=start, name=name, dtype='float32')(
        features
    )
