"""Contrast of lesions on the grid of an image; the evaluation has it on that of the template."""

import numpy as np
import pytest
from image_grids import GRIDS, grid_of
from tiny_brains import SHAPE, flat_brain, healthy_brain, tissue_maps

from bids_inpaint.evaluation import lesions as evaluation
from bids_inpaint.evaluation.cases import Case
from bids_inpaint.image.resample import resample
from bids_inpaint.image.template import AFFINE, Template, load_template
from bids_inpaint.image.volume import Volume
from demo.contrast import find_lesions, mean_contrast, white_matter

EVERYWHERE = np.ones((24, 25, 26), bool)


def block(*corner, size=3):
    mask = np.zeros(EVERYWHERE.shape, bool)
    mask[tuple(slice(c, c + size) for c in corner)] = True
    return mask


def contrast(mask, t1w, zooms_mm=(1, 1, 1), white=EVERYWHERE):
    return mean_contrast(list(find_lesions(mask, white, zooms_mm)), t1w.astype(np.float32))


@pytest.mark.parametrize('level', [60, 140])
def test_a_lesion_that_is_too_dark_or_too_bright_has_contrast(level):
    mask = block(8, 9, 10)
    assert contrast(mask, np.where(mask, level, 100)) == pytest.approx(40)


def test_lesions_count_by_their_volume():
    small, large = block(2, 2, 2, size=1), block(12, 12, 12, size=3)
    t1w = np.where(small, 20, np.where(large, 90, 100))
    assert contrast(small | large, t1w) == pytest.approx((80 + 27 * 10) / 28)


@pytest.mark.parametrize('zooms_mm', [(1, 1, 1), (1, 1.5, 3), (0.9, 0.9, 1.8)])
def test_white_matter_two_to_five_mm_around_counts_and_no_other(zooms_mm):
    mask = block(10, 11, 12, size=1)
    steps = [i - c for i, c in zip(np.indices(mask.shape), (10, 11, 12), strict=True)]
    distance = np.sqrt(sum((s * z) ** 2 for s, z in zip(steps, zooms_mm, strict=True)))
    ring = (distance > 2) & (distance <= 5)
    t1w = np.where(ring, 100, 5000)
    t1w[mask] = 60
    assert contrast(mask, t1w, zooms_mm) == pytest.approx(40)
    other = ring & (steps[0] > 0)  # grey matter, or another lesion
    t1w[other] = 7000
    assert contrast(mask, t1w, zooms_mm, white=~other) == pytest.approx(40)


def test_the_ring_leaves_out_other_lesions():
    mask = block(8, 8, 8) | block(13, 8, 8)
    assert contrast(mask, np.where(mask, 60, 100)) == pytest.approx(40)


def test_lesions_far_from_white_matter_do_not_count():
    near, far = block(2, 2, 2), block(18, 18, 18)
    white = EVERYWHERE.copy()
    white[11:] = False
    t1w = np.where(near, 60, np.where(far, 0, 100))
    assert contrast(near | far, t1w, white=white) == pytest.approx(40)
    assert np.isnan(contrast(far, t1w, white=white))
    assert np.isnan(contrast(np.zeros_like(far), t1w))


@pytest.mark.parametrize('name', GRIDS)
def test_white_matter_is_found_on_every_grid(name):
    grid, template = grid_of(name), load_template()
    xfm = np.eye(4)
    xfm[:3, 3] = (18, -25, 12)  # the brain lies far off the template's
    white, grey, brain = (
        resample(Volume(np.asarray(data, np.float32), AFFINE), grid, xfm)
        for data in (template.white_matter, template.grey_matter, template.brain_mask)
    )
    t1w = Volume((120 * white + 80 * grey).astype(np.float32), grid.affine)
    found = white_matter(t1w, brain > 0.5, xfm)
    assert found.dtype == bool
    sure = white > 0.9
    assert sure.sum() > 500
    assert found[sure].all()
    assert not found[white < 0.3].any()


def test_the_evaluation_has_the_same_contrast(monkeypatch):
    brain, grey, white = tissue_maps()
    probabilities = grey.astype(np.float32), white.astype(np.float32)
    template = Template(healthy_brain(), *probabilities, brain)
    monkeypatch.setattr(evaluation, 'load_template', lambda: template)
    mask = np.zeros(SHAPE, bool)
    mask[8:11, 9:12, 10:12] = mask[15, 15, 12:14] = mask[4:6, 10, 10] = True
    given = np.where(mask, flat_brain() - 0.3, healthy_brain()).astype(np.float32)
    after = np.where(mask, given + 0.2, given).astype(np.float32)
    case = Case(
        name='made',
        participant='made',
        side='test',
        given=given,
        truth=None,
        share=mask.astype(np.float32),
        brain_mask=brain,
        white_matter=1.4,
        anat2std_xfm=np.eye(4),
    )
    found = evaluation.white_matter_of(given, brain, *probabilities)
    lesions = list(find_lesions(mask, found, (1, 1, 1)))
    assert len(lesions) == 3
    for t1w in (given, after):
        expected = evaluation.patient_contrast(case, t1w)
        assert mean_contrast(lesions, t1w) == pytest.approx(expected, rel=1e-5)
