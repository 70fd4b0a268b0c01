"""What is made of a prediction: one function for app and science."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_inpaint.image import thresholds
from bids_inpaint.image.template import Template
from bids_inpaint.image.thresholds import Prediction, Thresholds, apply_prediction

SHAPE = (20, 22, 24)
BRAIN = np.zeros(SHAPE, bool)
BRAIN[2:18, 2:20, 2:22] = True
THRESHOLDS = Thresholds(
    edge=0.3, core=0.7, lesion=0.5, lesion_from='probability', least_lesion_vox=5
)


@pytest.fixture(autouse=True)
def no_ventricles(monkeypatch):
    monkeypatch.setattr(thresholds, 'brain_without_ventricles', lambda _, mask, *__: mask)


@pytest.fixture
def maps():
    white = np.zeros(SHAPE, np.float32)
    white[:, 10:] = 1
    return Template(white, 1 - white, white, BRAIN)


def _given():
    t1w = np.where(BRAIN, np.float32(1), np.float32(0))
    t1w[:, 10:] *= 1.4
    return t1w


def _lesion(size=4):
    box = np.zeros(SHAPE, bool)
    box[8 : 8 + size, 12 : 12 + size, 10 : 10 + size] = True
    return box


def _said(lesion, *, inside=0.9, around=0.0, filling=0.2):
    """A network that fills everything by as much, and is sure of one lesion."""
    t1w = _given()
    probability = np.where(lesion, np.float32(inside), np.float32(around))
    return t1w, Prediction(t1w + np.float32(filling) * BRAIN, probability * BRAIN)


def test_the_probability_says_whether_and_the_filling_how_much(maps):
    lesion = _lesion()
    t1w, said = _said(lesion)
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)
    np.testing.assert_array_equal(found.lesion_mask, lesion)
    np.testing.assert_allclose(found.inpainted[lesion], t1w[lesion] + 0.2, atol=1e-6)
    reach = ndimage.distance_transform_cdt(~lesion, 'chessboard')[found.weights > 0].max()
    assert reach == 2, 'a change follows the filling two voxels beyond the edge'
    np.testing.assert_array_equal(found.inpainted[found.weights == 0], t1w[found.weights == 0])


def test_without_filling_a_change_ends_at_the_edge(maps):
    lesion = _lesion()
    t1w, said = _said(lesion)
    around = np.float32(0.015) * BRAIN
    said = said._replace(inpainted=np.where(lesion, t1w + np.float32(0.2), t1w + around))
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)
    np.testing.assert_array_equal(found.weights, lesion)


@pytest.mark.parametrize(('core', 'changed'), [(0.69, False), (0.71, True)])
def test_an_edge_needs_a_core(maps, core, changed):
    lesion = _lesion()
    t1w, said = _said(lesion, inside=0.5)
    said.probability[9, 13, 11] = core
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)
    assert (found.weights > 0).any() == changed
    if changed:
        np.testing.assert_array_equal(found.weights[lesion], 1)


def test_small_lesions_are_no_lesions_of_the_map_but_are_filled(maps):
    lesion = _lesion(size=1)
    t1w, said = _said(lesion)
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)
    assert not found.lesion_mask.any()
    assert found.weights[lesion].all()
    smaller = replace(THRESHOLDS, least_lesion_vox=1)
    assert apply_prediction(t1w, said, BRAIN, maps, smaller).lesion_mask.sum() == 1


def test_the_map_of_the_difference_is_as_in_the_paper(maps):
    lesion = _lesion()
    t1w, said = _said(lesion, filling=0.2)
    by_difference = replace(THRESHOLDS, lesion_from='difference', lesion=0.15)
    found = apply_prediction(t1w, said, BRAIN, maps, by_difference)
    # Within white matter of the inpainted volume, where the change was taken whole.
    assert found.lesion_mask[lesion].all()
    assert (np.abs(found.inpainted - t1w)[found.lesion_mask] > 0.15).all()
    none = apply_prediction(t1w, said, BRAIN, maps, replace(by_difference, lesion=0.25))
    assert not none.lesion_mask.any()


def test_a_network_without_probability_decides_by_the_difference(maps):
    lesion = _lesion()
    t1w = _given()
    said = Prediction(np.where(lesion, t1w + np.float32(0.8), t1w + np.float32(0.2) * BRAIN))
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)  # 0.2 is below the edge
    assert (found.weights[lesion] == 1).all()
    assert ndimage.distance_transform_cdt(~lesion, 'taxicab')[found.weights > 0].max() == 1
    np.testing.assert_array_equal(found.lesion_mask, lesion)


def test_ventricles_are_left_alone(maps, monkeypatch):
    lesion = _lesion()
    half = np.indices(SHAPE)[0] < 10
    monkeypatch.setattr(thresholds, 'brain_without_ventricles', lambda _, mask, *__: mask & half)
    t1w, said = _said(lesion)
    found = apply_prediction(t1w, said, BRAIN, maps, THRESHOLDS)
    assert found.lesion_mask.any()
    assert not (found.weights > 0)[~half].any()
    assert not found.lesion_mask[~half].any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999))
def test_nothing_changes_outside_the_weights_and_the_brain(seed):
    rng = np.random.default_rng(seed)
    t1w = _given() + rng.normal(0, 0.05, SHAPE).astype(np.float32) * BRAIN
    probability = ndimage.gaussian_filter(rng.random(SHAPE), 1.5)
    probability = (probability - probability.min()) / np.ptp(probability) * BRAIN
    said = Prediction(
        (t1w + rng.normal(0, 0.1, SHAPE) * BRAIN).astype(np.float32),
        probability.astype(np.float32),
    )
    white = (t1w > 1.2).astype(np.float32)
    grey = ((t1w > 0.5) & (t1w < 1.2)).astype(np.float32)
    found = apply_prediction(t1w, said, BRAIN, Template(white, grey, white, BRAIN), THRESHOLDS)
    assert not (found.weights > 0)[~BRAIN].any()
    assert found.inpainted.dtype == found.weights.dtype == np.float32
    outside = found.weights == 0
    np.testing.assert_array_equal(found.inpainted[outside], t1w[outside])
    sure = (said.probability > THRESHOLDS.core) & BRAIN
    assert (found.weights[sure] == 1).all()
