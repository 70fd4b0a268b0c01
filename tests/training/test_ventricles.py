from dataclasses import replace

import numpy as np
import pytest

from bids_inpaint.image.fluid import ventricles_of
from bids_inpaint.image.template import load_template
from bids_inpaint.training import pipeline
from bids_inpaint.training.augment import AugmentConfig
from bids_inpaint.training.ventricles import find_ventricles, is_fluid, widen

CONFIG = AugmentConfig(widen_probability=1, widen_vox=(5.0, 5.0))
FLUID, WHITE = 0.3, 1.4


def _brain():
    t1w = np.zeros((30, 30, 30), np.float32)
    t1w[2:28, 2:28, 2:28] = WHITE
    t1w[13:17, 13:17, 13:17] = FLUID
    return t1w


@pytest.mark.parametrize('width', [0.0, 1.5, 5.0])
def test_ventricles_grow_by_a_width_and_nothing_else_changes(width):
    t1w = _brain()
    ventricles = is_fluid(t1w, WHITE)
    config = replace(CONFIG, widen_vox=(width, width))
    widened = widen(t1w, ventricles, np.random.default_rng(0), config)
    from_the_face = widened[17:25, 15, 15]
    lost = float(((WHITE - from_the_face) / (WHITE - FLUID)).sum())
    assert lost == pytest.approx(width, abs=1e-5)
    assert (widened <= t1w).all()
    np.testing.assert_array_equal(widened[t1w == 0], 0)
    np.testing.assert_array_equal(widened[:, :, 27], t1w[:, :, 27])


def test_where_there_is_no_ventricle_nothing_is_widened():
    t1w = _brain()
    nowhere = np.zeros(t1w.shape, bool)
    np.testing.assert_array_equal(widen(t1w, nowhere, np.random.default_rng(0), CONFIG), t1w)


def test_a_config_may_leave_ventricles_as_they_are():
    t1w = _brain()
    rng = np.random.default_rng(0)
    config = replace(CONFIG, widen_probability=0)
    np.testing.assert_array_equal(widen(t1w, is_fluid(t1w, WHITE), rng, config), t1w)
    assert rng.random() == np.random.default_rng(0).random()  # and draws nothing


def test_truth_of_a_widened_brain_is_widened_too():
    maps = load_template()
    t1w = np.where(maps.brain_mask, np.float32(WHITE), np.float32(0))
    t1w[ventricles_of(maps)] = FLUID
    brain = pipeline.Brain('ds', '01', t1w.astype(np.float16), WHITE, 1.2)
    box = (slice(60, 120), slice(80, 140), slice(60, 120))
    config = replace(CONFIG, deform_probability=0)
    lesions = pipeline.LesionConfig(healthy_share=1.0)
    made = pipeline.simulate(brain, [], box, np.random.default_rng(0), lesions, config)
    np.testing.assert_array_equal(made.lesioned, made.target)
    before = find_ventricles(t1w[box], box, WHITE)
    after = is_fluid(made.target, WHITE)
    assert before.any()
    assert after[before].all()
    assert after.sum() > 1.5 * before.sum()
