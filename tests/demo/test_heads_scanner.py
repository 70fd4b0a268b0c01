"""Noise, shading and rounding of made-up heads."""

import numpy as np
import pytest
from made_heads import PARTICIPANTS

from demo.heads.grid import finer, oriented_grid
from demo.heads.scan import Tissue, acquire
from demo.heads.scanner import bias_field, magnitude, receiver_noise, store, texture


def test_bias_reaches_its_strength_both_ways_and_is_smooth():
    grid = oriented_grid((40, 44, 48), (4, 4, 4), 'RAS')
    field = bias_field(grid, 0.25, np.random.default_rng(0))
    assert field.min() == pytest.approx(0.75, abs=1e-5)
    assert field.max() == pytest.approx(1.25, abs=1e-5)
    assert max(np.abs(np.diff(field, axis=a)).max() for a in range(3)) < 0.1


def test_air_has_the_mean_of_rayleigh_noise():
    noise = receiver_noise((40, 40, 40), 5, np.random.default_rng(0))
    air = magnitude(np.zeros((40, 40, 40), np.float32), noise)
    assert air.mean() == pytest.approx(5 * np.sqrt(np.pi / 2), rel=0.01)


def test_texture_has_unit_variance_and_is_correlated():
    grain = texture((40, 40, 40), np.random.default_rng(0))
    assert grain.std() == pytest.approx(1, abs=1e-4)
    assert (grain[1:] * grain[:-1]).mean() > 0.4


@pytest.mark.parametrize(
    ('dtype', 'slope', 'intercept'),
    [(np.int16, 1, 0), (np.uint8, 2.25, 0), (np.uint16, 0.02, -20)],
)
def test_stored_values_are_within_half_a_step(dtype, slope, intercept):
    volume = np.random.default_rng(0).uniform(0, 500, (5, 6, 7)).astype(np.float32)
    stored = store(volume, dtype, slope, intercept)
    assert stored.data.dtype == dtype
    back = stored.data * stored.slope + stored.intercept
    assert np.abs(back - volume).max() <= slope / 2 * 1.01


def test_values_beyond_the_type_are_clipped():
    volume = np.array([-10, 1e6], np.float32)
    assert store(volume, np.uint8, 1, 0).data.tolist() == [0, 255]


@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.name)
def test_lesions_change_nothing_beyond_themselves(participant):
    small = participant.__class__(**{**vars(participant), 'shape': (14, 15, 16)})
    grid = finer(oriented_grid(small.shape, (1, 1, 2), 'LAS'), small.slices_averaged)
    ones = np.ones(grid.shape, np.float32)
    tissue = Tissue(ones, ones, ones, ones, ones)
    darkening = np.zeros(grid.shape, np.float32)
    darkening[4:7, 4:7, 4:6] = 0.5
    t1w, lesion_free = acquire(small, tissue, grid, darkening, np.random.default_rng(0))
    changed = np.argwhere(t1w.data != lesion_free.data)
    assert len(changed) >= 9
    assert changed.min(0).tolist()[:2] == [4, 4]
    assert changed.max(0).tolist()[:2] == [6, 6]
    assert set(changed[:, 2]) == {k // small.slices_averaged for k in (4, 5)}
    assert t1w.data.astype(float).sum() < lesion_free.data.astype(float).sum()
