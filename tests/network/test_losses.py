import numpy as np
import pytest

from bids_inpaint.network.losses import lesion_weighted_loss


def _target(t1w, share):
    return np.stack([t1w, share], axis=-1)[None]


def test_weight_one_is_the_mean_squared_error():
    rng = np.random.default_rng(0)
    t1w, share, predicted = rng.random((3, 4, 5, 6), dtype=np.float32)
    loss = lesion_weighted_loss(1)(_target(t1w, share), predicted[None, ..., None])
    assert float(loss) == pytest.approx(float(((t1w - predicted) ** 2).mean()), rel=1e-5)


def test_a_lesion_voxel_counts_as_often_as_told():
    t1w = np.zeros((2, 2, 2), np.float32)
    share = t1w.copy()
    share[0, 0, 0] = 1
    predicted = t1w + 1
    loss = lesion_weighted_loss(10)(_target(t1w, share), predicted[None, ..., None])
    assert float(loss) == pytest.approx((7 + 10) / 8)


def test_large_errors_count_in_proportion_beyond_delta():
    t1w = np.zeros((1, 1, 2), np.float32)
    predicted = np.array([[[0.05, 1.1]]], np.float32)
    loss = lesion_weighted_loss(1, 0.1)(_target(t1w, t1w), predicted[None, ..., None])
    # The line touches the parabola at delta: 2 * 0.1 * |e| - 0.1^2.
    assert float(loss) == pytest.approx((0.05**2 + 2 * 0.1 * 1.1 - 0.1**2) / 2, rel=1e-5)
