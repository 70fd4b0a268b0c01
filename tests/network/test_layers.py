import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.network.layers import DepthToSpace, SpaceToDepth, TrilinearUpSampling3D

SIZES = st.tuples(*[st.integers(1, 4)] * 3)


@given(half=SIZES, channels=st.integers(1, 3), seed=st.integers(0, 99))
def test_depth_to_space_undoes_space_to_depth_exactly(half, channels, seed):
    shape = (2, *(2 * n for n in half), channels)
    volumes = np.random.default_rng(seed).random(shape, dtype=np.float32)
    split = SpaceToDepth()(volumes)
    assert tuple(split.shape) == (2, *half, 8 * channels)
    np.testing.assert_array_equal(np.asarray(DepthToSpace()(split)), volumes)


def test_space_to_depth_makes_subvolumes_of_even_and_odd_voxels():
    volume = np.arange(4 * 6 * 8, dtype=np.float32).reshape(1, 4, 6, 8, 1)
    split = np.asarray(SpaceToDepth()(volume))
    for number in range(8):
        i, j, k = number // 4, number // 2 % 2, number % 2
        np.testing.assert_array_equal(split[0, ..., number], volume[0, i::2, j::2, k::2, 0])


def test_space_to_depth_tells_its_shape():
    assert SpaceToDepth().compute_output_shape((None, 4, None, 8, 1)) == (None, 2, None, 4, 8)
    assert DepthToSpace().compute_output_shape((None, 2, None, 4, 8)) == (None, 4, None, 8, 1)
    assert TrilinearUpSampling3D().compute_output_shape((1, 2, None, 4, 3)) == (1, 4, None, 8, 3)


def test_upsampling_keeps_a_linear_ramp():
    ramp = np.arange(8, dtype=np.float32)
    volume = np.broadcast_to(ramp[:, None, None], (8, 3, 5))[None, ..., None]
    doubled = np.asarray(TrilinearUpSampling3D()(volume))[0, :, 2, 3, 0]
    # New voxels are half as large: their centres lie at -1/4, 1/4, 3/4, ... of the old.
    np.testing.assert_allclose(doubled[1:-1], np.arange(1, 15) / 2 - 0.25, atol=1e-6)
    np.testing.assert_array_equal(doubled[[0, -1]], [0, 7])


@given(seed=st.integers(0, 99))
def test_upsampling_keeps_the_mean(seed):
    volume = np.random.default_rng(seed).random((1, 3, 4, 5, 2), dtype=np.float32)
    doubled = np.asarray(TrilinearUpSampling3D()(volume))
    assert doubled.shape == (1, 6, 8, 10, 2)
    np.testing.assert_allclose(doubled.mean((1, 2, 3)), volume.mean((1, 2, 3)), atol=1e-6)
