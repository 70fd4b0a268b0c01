import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.image.zero import Zero, find_zero, shift

SHAPE = (30, 36, 32)


def radius():
    """Distance from the middle of the volume: 1 is the edge of the brain."""
    axes = [(np.arange(n) - (n - 1) / 2) / (0.42 * n) for n in SHAPE]
    return np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing='ij')))


def brain(seed=0):
    """An extracted brain: fluid, grey and white matter with noise, and 0 around it."""
    r = radius()
    rng = np.random.default_rng(seed)
    tissue = np.select([r < 0.2, r < 0.6, r < 0.9], [150, 900, 600], 200)
    noisy = np.abs(tissue + rng.normal(0, 40, SHAPE)) + 1
    return np.where(r < 1, noisy, 0).astype(np.float32)


def head(seed=0):
    """A head: the brain in bone and scalp, and noise in air."""
    r = radius()
    rng = np.random.default_rng(seed)
    around = np.where((r > 1.1) & (r < 1.2), 1200, 0)
    noise = np.hypot(*rng.normal(0, 12, (2, *SHAPE)))
    return (np.where(r < 1, brain(seed), around) + noise).astype(np.float32)


def z_scored(values, where=None):
    inside = values[... if where is None else where]
    return ((values - inside.mean()) / inside.std()).astype(np.float32)


def mp2rage():
    """-0.5 to 0.5, as the ratio of two images is; in air it is noise."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, SHAPE)
    return np.where(radius() < 1.2, head() / 1300 - 0.5, noise).astype(np.float32)


BRAIN = radius() < 1
SHIFTED = {
    'z-scored head': (z_scored(head()), -head().mean() / head().std()),
    'z-scored brain, over all voxels': (z_scored(brain()), -brain().mean() / brain().std()),
    'MP2RAGE': (mp2rage(), -0.5),
    'CT-like': (head() - 1024, -1024),
    'dark half': (head() - 500, -500),
    'brain from -1000': (brain() - 1000, -1000),
    'pedestal': (head() + 1000, 1000),
    'pedestal of a brain': (brain() + 1000, 1000),
}


@pytest.mark.parametrize('kind', SHIFTED)
def test_the_value_of_air_is_found(kind):
    t1w, zero = SHIFTED[kind]
    found = find_zero(t1w)
    assert found.marker is None
    assert found.value == pytest.approx(float(zero), abs=0.02 * float(np.ptp(t1w)))
    shifted = shift(t1w, found)
    assert shifted.dtype == np.float32
    np.testing.assert_allclose(shifted, t1w - np.float32(found.value))


def undershoot(t1w):
    """As splines leave it around edges."""
    edge = np.random.default_rng(2).random(SHAPE) < 0.02
    return np.where(edge & ~BRAIN, -0.08 * t1w.max(), t1w).astype(np.float32)


AS_IT_IS = {
    'head': head(),
    'brain': brain(),
    'undershoot of a brain': undershoot(brain()),
    'bright air': (1300 - head()).clip(0),
    'brain that fills the image': brain()[10:20, 12:24, 10:20],
    'few wild voxels': np.where(np.arange(brain().size).reshape(SHAPE) == 7, -30000, head()),
}


@pytest.mark.parametrize('kind', AS_IT_IS)
def test_values_that_begin_at_zero_are_not_touched(kind):
    t1w = AS_IT_IS[kind].astype(np.float32)
    assert find_zero(t1w) == Zero(0.0)
    assert shift(t1w, Zero(0.0)) is t1w


@pytest.mark.parametrize('marker', [-1, -1000, -32768])
def test_a_background_below_zero_is_a_marker(marker):
    t1w = np.where(BRAIN, brain(), np.float32(marker))
    found = find_zero(t1w)
    assert found == Zero(0.0, marker)
    np.testing.assert_array_equal(shift(t1w, found), brain())


REFUSED = {
    'brain z-scored over itself': np.where(BRAIN, z_scored(brain(), BRAIN), 0),
    'the same on a background far below': np.where(BRAIN, z_scored(brain(), BRAIN), -5),
    'MP2RAGE in a mask': np.where(BRAIN, mp2rage(), 0),
    'upside down': -head(),
    'brain upside down': -brain(),
    'above 32767, as int16': (40 * head()).astype(np.uint16).view(np.int16),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_an_image_whose_background_is_not_dark_is_refused(kind):
    with pytest.raises(ValueError, match=r'^values from -\S+ to \S+ around a border of \S+$'):
        find_zero(REFUSED[kind].astype(np.float32))


@given(power=st.integers(-20, 20), kind=st.sampled_from(sorted(SHIFTED)))
def test_the_unit_does_not_matter(power, kind):
    t1w, factor = SHIFTED[kind][0], 2.0**power
    assert find_zero(t1w * np.float32(factor)).value == find_zero(t1w).value * factor
