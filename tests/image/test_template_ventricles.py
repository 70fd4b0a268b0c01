"""Change in the ventricles is measured, and no other change is taken for it."""

import numpy as np
import pytest

from bids_inpaint.image.template import Template, load_template
from bids_inpaint.image.ventricles import (
    brain_without_ventricles,
    sure_ventricles,
    ventricle_change,
)

SHAPE = (90, 91, 92)
GREY, WHITE, FLUID = 0.8, 1.2, 0.25


def distance(*middle: float) -> np.ndarray:
    return np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - middle, axis=-1)


@pytest.fixture
def head() -> tuple[np.ndarray, Template]:
    """A ball of grey around white matter, with fluid in its middle and at its rim."""
    r = distance(45, 45, 46)
    brain = r < 40
    grey, white = (r < 38) & (r > 30), (r <= 30) & (r > 9)
    t1w = np.select([grey, white, brain], [GREY, WHITE, FLUID]).astype(np.float32)
    maps = Template(t1w, grey.astype(np.float32), white.astype(np.float32), brain)
    return t1w, maps


def test_fluid_is_that_in_the_middle(head):
    t1w, maps = head
    fluid = sure_ventricles(t1w, maps)
    r = distance(45, 45, 46)
    assert fluid[r < 7].all()
    assert not fluid[r > 9].any()


def test_brain_with_narrow_ventricles_has_little_of_it(head):
    t1w, maps = head
    t1w[distance(45, 45, 46) > 4] = WHITE
    t1w[maps.grey_matter > 0] = GREY
    fluid = sure_ventricles(t1w, maps)
    assert fluid.any()
    assert not fluid[t1w > 0.5].any()
    assert ventricle_change(t1w, t1w + 1, maps.brain_mask, maps) is None


def test_change_is_that_of_fluid_alone(head):
    t1w, maps = head
    fluid = sure_ventricles(t1w, maps)
    inpainted = t1w + np.where(distance(45, 45, 46) > 9, np.float32(0.4), np.float32(0))
    asked = np.ones(SHAPE, bool)
    assert ventricle_change(t1w, inpainted, asked, maps) == 0
    inpainted[45:, :, :][fluid[45:, :, :]] -= 0.2
    share = fluid[45:].sum() / fluid.sum()
    found = ventricle_change(t1w, inpainted, asked, maps)
    assert found == pytest.approx(0.2 * share, rel=1e-5)
    assert ventricle_change(t1w, inpainted, ~fluid, maps) == 0


def test_lesions_may_be_anywhere_but_in_fluid_joined_to_ventricles(head):
    t1w, maps = head
    r, lesion = distance(45, 45, 46), distance(45, 59, 46)
    t1w[(lesion < 6) & (r > 9)] = 0.8  # beside the ventricle, and darker than grey matter
    horn = (r > 9) & (r < 15) & (distance(45, 33, 46) < 5)
    t1w[horn] = FLUID  # wider than the template's
    apart = distance(70, 45, 46) < 3
    t1w[apart] = FLUID  # as dark as fluid, but on its own
    kept = brain_without_ventricles(t1w, maps.brain_mask, maps)
    assert not kept[r < 9].any()
    assert not kept[horn].any()
    np.testing.assert_array_equal(kept, maps.brain_mask & (r > 9) & ~horn)


def test_dark_lesions_beside_a_ventricle_are_told_by_their_probability(head):
    t1w, maps = head
    r = distance(45, 45, 46)
    lesion = (distance(45, 57, 46) < 5) & (r > 9)
    t1w[lesion] = FLUID
    probability = np.zeros(SHAPE, np.float32)
    without = brain_without_ventricles(t1w, maps.brain_mask, maps, probability)
    assert not without[lesion].any()
    probability[distance(45, 57, 46) < 8] = 0.8  # a part of the ventricle, too
    kept = brain_without_ventricles(t1w, maps.brain_mask, maps, probability)
    assert kept[lesion].all()
    assert not kept[sure_ventricles(t1w, maps)].any()


def test_ventricles_end_at_their_reach(head):
    t1w, maps = head
    r = distance(45, 45, 46)
    shaft = (np.abs(np.indices(SHAPE)[0] - 45) < 3) & (np.abs(np.indices(SHAPE)[2] - 46) < 3)
    t1w[shaft & (r < 29)] = FLUID
    kept = brain_without_ventricles(t1w, maps.brain_mask, maps)
    assert not kept[shaft & (r < 15)].any()
    assert kept[shaft & (r > 22) & (r < 29)].all()


def test_without_sure_fluid_lesions_may_be_anywhere(head):
    t1w, maps = head
    t1w[maps.brain_mask] = WHITE
    np.testing.assert_array_equal(
        brain_without_ventricles(t1w, maps.brain_mask, maps), maps.brain_mask
    )


def test_image_without_grey_matter_has_none(head):
    t1w, maps = head
    assert not sure_ventricles(np.zeros_like(t1w), maps).any()


@pytest.mark.slow
def test_ventricles_of_the_template_are_found():
    maps = load_template()
    fluid = sure_ventricles(maps.t1w / maps.t1w[maps.brain_mask].mean(), maps)
    x, y, z = (np.argwhere(fluid) - [90, 126, 72]).T
    assert 4000 < fluid.sum() < 15000
    assert np.abs(x).max() < 45
    assert (y.min() > -80, y.max() < 30, z.min() > -40, z.max() < 60) == (True,) * 4
