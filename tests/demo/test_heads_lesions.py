"""Lesions of made-up heads."""

import numpy as np
import pytest

from demo.heads.grid import oriented_grid, positions_mm
from demo.heads.lesions import (
    SPECK_VOX,
    Lesions,
    Ovoid,
    add_caps,
    add_ovoids,
    draw_ovoids,
    no_lesions,
    within_white_matter,
)

ORIENTATIONS = [('RAS', (0, 0, 0)), ('LAS', (0, 0, 0)), ('LPS', (0, 0, 0)), ('PSR', (16, -7, 5))]


@pytest.mark.parametrize(('axcodes', 'oblique_deg'), ORIENTATIONS)
def test_ovoid_has_its_place_volume_and_darkness(axcodes, oblique_deg):
    grid = oriented_grid((30, 32, 24), (1, 1, 1.5), axcodes, (5, 6, 7), oblique_deg)
    ovoid = Ovoid(np.array([7.0, 3.0, 8.0]), np.array([6.0, 5.0, 4.0]), np.eye(3), 0.4)
    flat = np.zeros(grid.shape, np.float32)
    lesions = add_ovoids(no_lesions(grid.shape), grid, [ovoid], flat)
    volume = lesions.share.sum() * 1.5
    assert volume == pytest.approx(4 / 3 * np.pi * 6 * 5 * 4, rel=0.06)
    centre = (positions_mm(*grid) * lesions.share).sum((1, 2, 3)) / lesions.share.sum()
    np.testing.assert_allclose(centre, ovoid.centre_mm, atol=0.1)
    assert lesions.darkening.max() == pytest.approx(0.4, abs=1e-6)


def test_ovoids_at_and_beyond_the_border_are_cut_not_wrapped():
    grid = oriented_grid((10, 11, 12), (1, 1, 1), 'RAS')
    at = Ovoid(positions_mm(*grid)[:, 0, 0, 0].astype(float), np.full(3, 3.0), np.eye(3), 0.4)
    beyond = at._replace(centre_mm=at.centre_mm - 40)
    share = add_ovoids(no_lesions(grid.shape), grid, [at, beyond], np.zeros(grid.shape)).share
    assert share[0, 0, 0] == 1
    assert share[5:].max() == share[:, 5:].max() == share[:, :, 5:].max() == 0
    last = at._replace(centre_mm=positions_mm(*grid)[:, -1, -1, -1].astype(float))
    assert add_ovoids(no_lesions(grid.shape), grid, [last], share).share[-1, -1, -1] == 1


@pytest.mark.parametrize('seed', range(4))
def test_drawn_lesions_do_not_touch_and_are_as_dark_as_documented(seed):
    rng = np.random.default_rng(seed)
    sites = rng.uniform(-13, 13, (2000, 3)).astype(np.float32)
    ovoids = draw_ovoids(sites, [12, 8, 5, 5, 5, 3, 3], rng)
    assert [2 * o.radii_mm.max() for o in ovoids] == [12, 8, 5, 5, 5, 3, 3]
    assert all(0.1 <= o.darkening <= 0.55 for o in ovoids)
    for i, a in enumerate(ovoids):
        for b in ovoids[:i]:
            gap = np.linalg.norm(a.centre_mm - b.centre_mm)
            assert gap > a.radii_mm.max() + b.radii_mm.max()


def test_too_few_sites_are_named():
    with pytest.raises(ValueError, match=r'1 sites hold 1 lesions, not 2'):
        draw_ovoids(np.zeros((1, 3), np.float32), [5, 5], np.random.default_rng(0))


def test_caps_are_as_deep_as_asked_and_absent_where_thin():
    distance = np.tile(np.arange(12, dtype=np.float32), (2, 1))
    thickness = np.array([[6.0], [1.0]], np.float32) * np.ones_like(distance)
    lesions = add_caps(no_lesions(distance.shape), distance, thickness, 0.3)
    assert (lesions.share[0, :5] == 1).all()
    assert lesions.share[0, 6] == pytest.approx(0.5)
    assert (lesions.share[0, 8:] == 0).all()
    assert (lesions.share[1] == 0).all()
    assert lesions.darkening.max() == pytest.approx(0.3)


def test_lesions_stay_in_white_matter_and_lose_their_specks():
    share = np.zeros((12, 12, 12), np.float32)
    share[1:7, 1:7, 1:7] = 1
    share[10, 10, 10] = 1
    share[10, 1, 1] = 0.02
    white = np.ones(share.shape, np.float32)
    white[1:3] = 0.2
    kept = within_white_matter(Lesions(share, 0.4 * share), white)
    assert kept.share[3:7, 1:7, 1:7].min() == 1
    assert kept.share[:3].max() == 0
    assert kept.share[8:].max() == 0
    assert SPECK_VOX > 1
    np.testing.assert_allclose(kept.darkening, 0.4 * kept.share)
