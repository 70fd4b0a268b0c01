from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bids_inpaint.image.template import load_template
from bids_inpaint.image.ventricles import template_ventricles
from bids_inpaint.training import data
from bids_inpaint.training.examples import simulate
from bids_inpaint.training.examples.anatomy import Anatomy
from bids_inpaint.training.examples.augment import AugmentConfig
from bids_inpaint.training.examples.lesions import LesionConfig
from bids_inpaint.training.examples.ventricles import distance_from_ventricles, is_fluid, widen

CONFIG = AugmentConfig(widen_probability=1, widen_vox=(5.0, 5.0))
FLUID, WHITE = 0.3, 1.4


def _brain():
    t1w = np.zeros((30, 30, 30), np.float32)
    t1w[2:28, 2:28, 2:28] = WHITE
    t1w[13:17, 13:17, 13:17] = FLUID
    return t1w


def _anatomy(t1w, ventricles):
    distance = ndimage.distance_transform_edt(~ventricles) if ventricles.any() else np.inf
    away = np.broadcast_to(np.float16(distance), t1w.shape)
    return Anatomy(t1w, t1w > 1.2, away, WHITE, 1.0)


@pytest.mark.parametrize('width', [0.0, 1.5, 5.0])
def test_ventricles_grow_by_a_width_and_nothing_else_changes(width):
    t1w = _brain()
    config = replace(CONFIG, widen_vox=(width, width))
    found = widen(_anatomy(t1w, is_fluid(t1w, WHITE)), np.random.default_rng(0), config)
    widened = found.t1w
    assert not (found.white_matter & (widened < 1.1)).any()
    assert found.ventricle_vox[24, 15, 15] == pytest.approx(8 - width, abs=0.01)
    from_the_face = widened[17:25, 15, 15]
    lost = float(((WHITE - from_the_face) / (WHITE - FLUID)).sum())
    assert lost == pytest.approx(width, abs=1e-5)
    assert (widened <= t1w).all()
    np.testing.assert_array_equal(widened[t1w == 0], 0)
    np.testing.assert_array_equal(widened[:, :, 27], t1w[:, :, 27])


def test_where_there_is_no_ventricle_nothing_is_widened():
    t1w = _brain()
    nowhere = np.zeros(t1w.shape, bool)
    found = widen(_anatomy(t1w, nowhere), np.random.default_rng(0), CONFIG)
    np.testing.assert_array_equal(found.t1w, t1w)


def test_a_config_may_leave_ventricles_as_they_are():
    t1w = _brain()
    rng = np.random.default_rng(0)
    config = replace(CONFIG, widen_probability=0)
    found = widen(_anatomy(t1w, is_fluid(t1w, WHITE)), rng, config)
    np.testing.assert_array_equal(found.t1w, t1w)
    assert rng.random() == np.random.default_rng(0).random()  # and draws nothing


def test_truth_of_a_widened_brain_is_widened_too():
    maps = load_template()
    t1w = np.where(maps.brain_mask, np.float32(WHITE), np.float32(0))
    t1w[template_ventricles(maps)] = FLUID
    brain = data.Brain('ds', '01', t1w.astype(np.float16), WHITE, 1.2)
    box = (slice(60, 120), slice(80, 140), slice(60, 120))
    config = replace(CONFIG, deform_probability=0)
    anatomy = simulate.draw_deformed(brain, box, np.random.default_rng(0), config)
    lesions = LesionConfig(healthy_share=1.0)
    made = simulate.simulate(anatomy, [], box, np.random.default_rng(0), lesions)
    np.testing.assert_array_equal(made.lesioned, made.target)
    before = distance_from_ventricles(t1w, WHITE)[box] == 0
    after = is_fluid(made.target, WHITE)
    assert before.any()
    assert after[before].all()
    assert after.sum() > 1.5 * before.sum()
