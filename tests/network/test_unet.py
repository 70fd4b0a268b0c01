import keras
import numpy as np
import pytest

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet

TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2)


def test_residual_network_begins_as_the_identity():
    t1w = np.random.default_rng(0).random((1, 8, 12, 16, 1), dtype=np.float32)
    outputs = build_unet(TINY).predict_on_batch(t1w)
    assert set(outputs) == {'reconstructed', 'subvolumes'}
    for output in outputs.values():
        np.testing.assert_array_equal(output, t1w)


def test_direct_network_has_the_same_weights_and_no_identity():
    t1w = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    config = UNetConfig(filters=2, levels=2, reconstruction_filters=2, head='direct')
    direct = build_unet(config)
    assert direct.count_params() == build_unet(TINY).count_params()
    assert np.abs(direct.predict_on_batch(t1w)['reconstructed'] - t1w).max() > 0.1


def test_the_papers_size_has_four_and_a_half_million_weights():
    network = build_unet(UNetConfig())
    assert network.count_params() == pytest.approx(4.6e6, rel=0.02)


def test_filters_double_at_each_level():
    network = build_unet(UNetConfig(filters=3, levels=3))
    found = {layer.name: layer.filters for layer in network.layers if hasattr(layer, 'filters')}
    assert [found[n] for n in ('down_0', 'down_1', 'bottom', 'up_1', 'up_0')] == [3, 6, 12, 6, 3]


@pytest.mark.parametrize('levels', [1, 2, 3])
def test_multiple_is_the_smallest_size_that_is_taken(levels):
    config = UNetConfig(filters=1, levels=levels)
    t1w = np.ones((1, *(config.multiple,) * 3, 1), np.float32)
    assert build_unet(config).predict_on_batch(t1w)['reconstructed'].shape == t1w.shape


def test_outputs_are_float32_in_mixed_precision():
    keras.mixed_precision.set_dtype_policy('mixed_bfloat16')
    try:
        network = build_unet(TINY)
    finally:
        keras.mixed_precision.set_dtype_policy('float32')
    assert {output.dtype for output in network.outputs} == {'float32'}


def test_training_and_use_are_the_same_function():
    t1w = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    config = UNetConfig(filters=2, levels=2, reconstruction_filters=2, head='direct')
    network = build_unet(config)
    trained, used = (network(t1w, training=mode)['reconstructed'] for mode in (True, False))
    np.testing.assert_array_equal(np.asarray(trained), np.asarray(used))


def test_what_is_normalised_is_each_volume_of_its_own():
    first, second = np.random.default_rng(0).random((2, 1, 8, 8, 8, 1), dtype=np.float32)
    config = UNetConfig(filters=2, levels=2, reconstruction_filters=2, head='direct')
    network = build_unet(config)
    alone = network.predict_on_batch(first)['reconstructed']
    together = network.predict_on_batch(np.concatenate([first, 9 * second]))['reconstructed']
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)
