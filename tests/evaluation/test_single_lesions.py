"""Single lesions with known size, darkness, contrast and error."""

import numpy as np
import pytest
from tiny_brains import GREY, SHAPE, WHITE, flat_brain

from bids_inpaint.evaluation.lesions import DARKNESSES, SIZES_MM3, class_of, find_lesions, separate
from bids_inpaint.evaluation.tables.inpainting import measure_lesions, patient_rows, pool_lesions


def _share(*boxes):
    share = np.zeros(SHAPE, np.float32)
    for corner, size in boxes:
        share[tuple(slice(c, c + size) for c in corner)] = 1
    return share


def test_classes_take_their_lower_limit():
    assert [class_of(v, SIZES_MM3) for v in (19.9, 20, 99, 100, 5000)] == [0, 1, 1, 2, 3]
    assert [class_of(v, DARKNESSES) for v in (0.05, 0.1, 0.3, 0.9)] == [0, 1, 2, 3]


def test_lesions_that_touch_by_their_rims_are_two():
    share = np.zeros(SHAPE, np.float32)
    share[6:18, 10:13, 10:13] = 0.2  # a rim that joins both cores
    share[6:9, 10:13, 10:13] = share[15:18, 10:13, 10:13] = 1
    labels, number = separate(share)
    assert number == 2
    assert np.array_equal(labels > 0, share > 0)
    assert np.unique(labels[6:12]).tolist() == [0, labels[7, 11, 11]]
    assert np.unique(labels[12:18]).tolist() == [0, labels[16, 11, 11]]


def test_a_pale_dot_without_core_is_a_lesion():
    share = np.zeros(SHAPE, np.float32)
    share[11:13, 11, 11] = 0.4
    assert separate(share)[1] == 1
    assert separate(np.zeros(SHAPE, np.float32))[1] == 0


def test_size_and_darkness_are_known(make_case):
    share = _share(((9, 10, 10), 3))
    (lesion,) = find_lesions(make_case(np.where(share > 0, 0.7, flat_brain()), share))
    assert lesion.size_mm3 == 27
    assert lesion.darkness == pytest.approx(0.5)


def test_contrast_is_against_white_matter_two_to_five_mm_around(make_case):
    share = _share(((10, 10, 10), 3))
    distance = np.sqrt(
        sum(np.maximum(np.maximum(10 - i, i - 12), 0) ** 2 for i in np.indices(SHAPE))
    )
    truth = flat_brain()
    given = np.where(share > 0, 1.0, truth)
    given[(distance > 0) & (distance <= 2)] = 5  # not looked at
    given[distance > 5] = 7  # neither
    (lesion,) = find_lesions(make_case(given, share, truth))
    assert lesion.contrast(given) == pytest.approx(WHITE - 1.0, abs=1e-6)
    overshoot = np.where(share > 0, 1.6, given).astype(np.float32)
    assert lesion.contrast(overshoot) == pytest.approx(0.2, abs=1e-6)
    assert lesion.brightness(overshoot) == pytest.approx(1.6 / WHITE, abs=1e-6)
    ring = truth[lesion.box][lesion.ring]
    assert ring.min() > (WHITE + GREY) / 2  # white matter only, though grey is within 5 mm


def test_errors_are_pooled_per_class_and_pale_lesions_left_out(make_case):
    small, large, pale = ((7, 7, 7), 2), ((13, 13, 13), 4), ((7, 15, 7), 3)
    share = _share(small, large, pale)
    truth = flat_brain()
    given = truth - share * 0.4
    given[7:10, 15:18, 7:10] = WHITE * 0.95  # 5 % darker
    filled = given.copy()
    filled[7:9, 7:9, 7:9] += 0.3  # a quarter of the error is left
    filled[13:17, 13:17, 13:17] += 0.6  # overshoot by half of what was missing
    volumes = dict.fromkeys(('nothing', 'resampling'), given.astype(np.float32))
    volumes |= dict.fromkeys(('network', 'inpainted'), filled.astype(np.float32))
    rows = measure_lesions(make_case(given, share, truth), volumes)
    by_size = {row['size']: row for row in pool_lesions(rows, 'size')}
    assert list(by_size) == ['< 20 mm3', '20 to 100 mm3', '>= 20 mm3']
    assert [row['lesions'] for row in by_size.values()] == [1, 1, 1]
    assert by_size['< 20 mm3']['error_network'] == pytest.approx(0.25, abs=1e-3)
    assert by_size['20 to 100 mm3']['error_inpainted'] == pytest.approx(0.5, abs=1e-3)
    assert by_size['20 to 100 mm3']['error_nothing'] == 1
    assert by_size['20 to 100 mm3']['volume_ml'] == pytest.approx(0.064)
    assert by_size['< 20 mm3']['contrast_nothing'] == pytest.approx(0.4, abs=1e-3)
    assert by_size['< 20 mm3']['contrast_network'] == pytest.approx(0.1, abs=1e-3)
    by_darkness = {row['darkness']: row for row in pool_lesions(rows, 'darkness')}
    assert {name: row['lesions'] for name, row in by_darkness.items()} == {
        '< 0.1': 1,
        '0.25 to 0.5': 2,
    }
    # Errors are summed over lesions before they are divided: the larger lesion counts more.
    pooled = (8 * 0.1 + 64 * 0.2) / (72 * 0.4)
    assert by_darkness['0.25 to 0.5']['error_network'] == pytest.approx(pooled, abs=1e-3)


def test_a_rim_counts_in_the_error_but_not_in_that_of_the_core(make_case):
    share = _share(((10, 10, 10), 4))
    share[9, 10:14, 10:14] = 0.2
    truth = flat_brain()
    given = (truth - share * 0.4).astype(np.float32)
    filled = np.where(share == 1, truth, given).astype(np.float32)  # the rim is left as it was
    volumes = dict.fromkeys(('nothing', 'resampling'), given)
    volumes |= dict.fromkeys(('network', 'inpainted'), filled)
    (row, _) = pool_lesions(measure_lesions(make_case(given, share, truth), volumes), 'size')
    assert row['core_error_nothing'] == 1
    assert row['core_error_inpainted'] == pytest.approx(0, abs=1e-6)
    assert row['error_inpainted'] == pytest.approx(16 * 0.2 / (64 + 16 * 0.2), abs=1e-3)


def test_a_patient_has_its_contrast_before_and_after(make_case):
    share = _share(((8, 8, 8), 2), ((13, 13, 13), 4))
    given = flat_brain() - share * 0.4
    after = given.copy()
    after[13:17, 13:17, 13:17] += 0.4
    after[2, 10, 10] += 1  # a change where experts drew nothing
    volumes = {'nothing': given, 'inpainted': after}
    volumes = {name: volume.astype(np.float32) for name, volume in volumes.items()}
    nothing, inpainted = patient_rows(make_case(given, share), volumes)
    assert nothing['lesions'] == 2
    assert nothing['lesion_ml'] == pytest.approx(0.072)
    assert nothing['contrast'] == pytest.approx(0.4, abs=1e-3)
    assert nothing['reduction'] == pytest.approx(0, abs=1e-6)
    assert nothing['brightness'] == pytest.approx(1 - 0.4 / WHITE, abs=1e-3)
    assert inpainted['contrast'] == pytest.approx(8 * 0.4 / 72, abs=1e-3)
    assert inpainted['reduction'] == pytest.approx(64 / 72, abs=1e-3)
    assert inpainted['change_outside_ml'] == pytest.approx(0.001)
