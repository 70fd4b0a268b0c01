import numpy as np
import pytest

from bids_inpaint.network.losses import lesion_weighted_mse


def _target(t1w, share):
    return np.stack([t1w, share], axis=-1)[None]


def test_weight_one_is_the_mean_squared_error():
    rng = np.random.default_rng(0)
    t1w, share, predicted = rng.random((3, 4, 5, 6), dtype=np.float32)
    loss = lesion_weighted_mse(1)(_target(t1w, share), predicted[None, ..., None])
    assert float(loss) == pytest.approx(float(((t1w - predicted) ** 2).mean()), rel=1e-5)


def test_a_lesion_voxel_counts_as_often_as_told():
    t1w = np.zeros((2, 2, 2), np.float32)
    share = t1w.copy()
    share[0, 0, 0] = 1
    predicted = t1w + 1
    loss = lesion_weighted_mse(10)(_target(t1w, share), predicted[None, ..., None])
    assert float(loss) == pytest.approx((7 + 10) / 8)
