"""Head, pose and shape of made-up heads."""

import numpy as np
import pytest
from made_heads import PARTICIPANTS
from scipy.spatial.transform import Rotation

from demo.heads.grid import oriented_grid, positions_mm
from demo.heads.head import Look, brain_contrast, ellipsoid, hull, sharpen, surroundings
from demo.heads.warp import HEAD_CENTRE_MM, enlarge_ventricles, pose, template_positions


def jacobian_determinants(points, zoom_mm):
    rows = np.stack([np.stack(np.gradient(axis, zoom_mm)) for axis in points.astype(float)])
    return np.linalg.det(np.moveaxis(rows, (0, 1), (-2, -1)))


def test_pose_scales_along_the_axes_of_the_head_then_turns():
    matrix = pose((0, 0, 90), (0.5, 1, 1), (10, 20, 30))
    moved = matrix @ np.append(HEAD_CENTRE_MM + np.array([4, 6, 0]), 1)
    np.testing.assert_allclose(moved[:3], [10 - 6, 20 + 2, 30], atol=1e-9)


@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.name)
def test_participants_are_turned_and_scaled_enough(participant):
    turn = Rotation.from_euler('xyz', participant.rotation_deg, degrees=True).magnitude()
    assert np.rad2deg(turn) >= 10
    assert all(abs(scale - 1) >= 0.08 - 1e-9 for scale in participant.scale)


@pytest.mark.parametrize('seed', range(3))
def test_shapes_are_one_to_one_and_several_millimetres_away(seed):
    grid = oriented_grid((60, 66, 60), (3, 3, 3), 'RAS', (0, -15, 0))
    still = pose((0, 0, 0), (1, 1, 1), tuple(HEAD_CENTRE_MM))
    points = template_positions(grid, still, 0.28, np.random.default_rng(seed))
    assert jacobian_determinants(points, 3).min() > 0.1
    distance = np.linalg.norm(points - positions_mm(*grid), axis=0)
    assert 2 < np.sqrt((distance**2).mean()) < 8


@pytest.mark.parametrize(('strength', 'larger'), [(0.3, True), (-0.3, False)])
def test_ventricles_grow_with_strength(strength, larger):
    grid = oriented_grid((40, 40, 40), (2, 2, 2), 'RAS', (15, -12, 14))
    points = positions_mm(*grid)
    centre = np.reshape(np.array([15, -12, 14], np.float32), (3, 1, 1, 1))
    before = (np.linalg.norm(points - centre, axis=0) < 8).sum()
    moved = enlarge_ventricles(points, strength)
    after = (np.linalg.norm(moved - centre, axis=0) < 8).sum()
    assert (after > 1.2 * before) if larger else (after < 0.8 * before)
    assert jacobian_determinants(moved, 2).min() > 0


def test_layers_from_air_to_fluid_have_the_order_of_a_t1w():
    look = Look(fluid=0.2, fat=1.4, skull_mm=8, fat_mm=5)
    vault = np.array([20, 14.9, 12, 8.2, 5, 2, 0], np.float32)
    depth = 16 - vault
    inner = np.full_like(vault, 0.5)
    still = np.zeros((2, vault.size), np.float32)
    air, skin, fat, outer, marrow, table, fluid = surroundings(vault, depth, inner, still, look)
    assert air == 0
    assert fat > 1.3 > skin > 0.4
    assert max(outer, table) < 0.15
    assert marrow > 0.5
    assert fluid == pytest.approx(0.2, abs=0.01)


def test_contrast_keeps_the_order_of_tissues_and_never_falls_below_fluid():
    t1w = np.linspace(0, 1.2, 200, dtype=np.float32)
    seen = brain_contrast(t1w, Look(fluid=0.2, grey=0.6))
    assert seen.dtype == np.float32
    assert (np.diff(seen) >= 0).all()
    assert seen[0] == pytest.approx(0.2)
    assert brain_contrast(np.ones(1, np.float32), Look()) == pytest.approx(1)


def test_ellipsoid_has_its_volume_and_place():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-40, -30, -20)
    share = np.zeros((40, 41, 42), np.float32)
    box, soft = ellipsoid(affine, share.shape, (4, 10, 20), (16, 12, 10))
    share[box] = soft
    assert share.sum() * 8 == pytest.approx(4 / 3 * np.pi * 16 * 12 * 10, rel=0.05)
    middle = [(share * line).sum() / share.sum() for line in np.indices(share.shape)]
    np.testing.assert_allclose(2 * np.array(middle) + affine[:3, 3], (4, 10, 20), atol=0.1)


def test_hull_closes_a_sulcus_and_keeps_the_outline():
    mask = np.zeros((40, 40, 40), bool)
    mask[10:30, 10:30, 10:30] = True
    with_sulcus = mask.copy()
    with_sulcus[18:21, 15:30, 10:30] = False
    closed = hull(with_sulcus, 2.0, 8.0)
    assert closed[19, 16:26, 20].all()
    assert not (closed & ~mask).any()


def test_sharpening_raises_contrast_and_leaves_the_outside_empty():
    t1w = np.zeros((20, 20, 20), np.float32)
    t1w[2:18, 2:18, 2:18] = 160
    t1w[10:18, 2:18, 2:18] = 200
    sharp = sharpen(t1w)
    assert (sharp[t1w == 0] == 0).all()
    assert sharp[10, 10, 10] > 200
    assert sharp[9, 10, 10] < 160
    assert sharp.dtype == np.float32
