"""The arithmetic of the tables, on numbers whose answer is known."""

import numpy as np
import pytest
from scipy import stats
from tiny_brains import SHAPE, flat_brain

from bids_inpaint.evaluation.segmenters import GREY
from bids_inpaint.evaluation.tables import inpainting, lesion_maps, reconstruction, registration
from bids_inpaint.evaluation.tables import segmentation as seg
from bids_inpaint.evaluation.tables.timing import plan


def test_reconstruction_measures_inside_the_mask():
    truth = flat_brain()
    mask = np.zeros(SHAPE, bool)
    mask[10:14, 10:14, 10:14] = True
    found = reconstruction.figures(truth, np.where(mask, truth - 0.2, truth), mask)
    mean_square = 0.04 * 64 / truth.size
    assert found['mae_inside'] == pytest.approx(0.2, abs=1e-6)
    assert found['psnr_max_db'] == pytest.approx(10 * np.log10(1.4**2 / mean_square), abs=1e-3)
    assert found['psnr_inside_db'] == pytest.approx(20 * np.log10(1.4 / 0.2), abs=1e-3)
    assert found['ssim_inside'] < 0.99
    assert reconstruction.figures(truth, truth, mask)['ssim_inside'] == 1


@pytest.mark.parametrize(('before', 'words'), [(34.5, 'is within'), (33.0, 'is NOT within')])
def test_reconstruction_says_whether_as_much_is_hidden_as_wanted(before, words):
    found = {'nothing': [{'psnr_db': before}], 'network': [{'psnr_db': before + 10.0}]}
    table = reconstruction.summary(found)
    assert words in table.notes[0]
    assert 'gains 10.00 dB' in table.notes[0]
    assert [row['psnr_db'] for row in table.rows] == [before, before + 10]


def test_whole_volumes_are_averaged_by_group_and_method():
    whole = {
        ('healthy', 'nothing'): [{'psnr_db': float('inf')}],
        ('simulated', 'network'): [{'psnr_db': 40.0}, {'psnr_db': 50.0}],
    }
    first, second = inpainting.summarise_whole(whole)
    assert (first['images'], first['psnr_db']) == ('healthy', float('inf'))
    assert (second['volumes'], second['psnr_db']) == (2, 45)
    assert second['psnr_db_sd'] == pytest.approx(np.sqrt(50))


def _labels(grey_from):
    labels = np.full(SHAPE, 3, np.uint8)
    labels[:4] = 1
    labels[grey_from:] = GREY
    return labels


def test_dice_of_tissues_is_known():
    found = seg.tissue_dice(_labels(14), _labels(12))
    assert found == {
        'CSF': 1,
        'GM': pytest.approx(2 * 10 / 22),
        'WM': pytest.approx(2 * 8 / 18),
        'average': pytest.approx((20 / 22 + 16 / 18) / 2),
    }
    assert seg.tissue_dice(_labels(14), None) == {}


def test_share_of_lesions_called_grey():
    mask = np.zeros(SHAPE, bool)
    mask[12:16, 5, 5] = True
    assert seg.grey_share(_labels(13), mask) == 0.75
    assert np.isnan(seg.grey_share(_labels(13), mask & False))


def _segmented(method, values):
    """Two volumes of each participant."""
    return [
        {
            'segmenter': 'S',
            'participant': f'p{number // 2}',
            'method': method,
            'lesion_gm': 0.5,
            **dict.fromkeys(('CSF', 'GM', 'WM', 'average'), value),
        }
        for number, value in enumerate(values)
    ]


def test_segmentation_says_how_much_error_is_gone_and_tests_participants():
    before = np.linspace(0.90, 0.955, 12)
    after = before + np.linspace(0.01, 0.02, 12)
    rows = _segmented('nothing', before) + _segmented('inpainted', after)
    nothing, inpainted = seg.summarise(rows)
    assert 'p' not in nothing
    gone = (after.mean() - before.mean()) / (1 - before.mean())
    assert inpainted['error_gone'] == pytest.approx(gone)
    pairs = before.reshape(6, 2).mean(axis=1), after.reshape(6, 2).mean(axis=1)
    assert inpainted['p'] == pytest.approx(stats.wilcoxon(*pairs).pvalue)
    assert inpainted['p'] == pytest.approx(2 / 2**6)  # all six are better
    assert inpainted['GM_sd'] == pytest.approx(np.std(after, ddof=1))


def test_fewer_than_six_participants_are_not_tested():
    values = {f'p{i}': 0.9 for i in range(5)}
    assert seg.wilcoxon(values, dict.fromkeys(values, 0.95)) is None
    same = {f'p{i}': 0.9 for i in range(8)}
    assert seg.wilcoxon(same, same) is None


def _blobs(*corners, size=2):
    mask = np.zeros(SHAPE, bool)
    for corner in corners:
        mask[tuple(slice(c, c + size) for c in corner)] = True
    return mask


def test_lesion_maps_are_compared_by_voxel_and_by_lesion():
    true = _blobs((2, 2, 2), (8, 8, 8), (14, 14, 14))
    found = _blobs((3, 3, 3), (8, 8, 8), (20, 2, 2), (20, 8, 2))
    compared = lesion_maps.compare_maps(true, found)
    assert compared['dice'] == pytest.approx(2 * 9 / (24 + 32))
    assert compared['lesion_recall'] == pytest.approx(2 / 3)
    assert compared['lesion_precision'] == pytest.approx(2 / 4)
    assert compared['lesion_f1'] == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert compared['false_ml'] == pytest.approx(0.023)


def test_empty_maps_find_nothing_and_healthy_brains_have_nothing_to_find():
    true, nothing = _blobs((2, 2, 2)), _blobs()
    assert lesion_maps.compare_maps(true, nothing)['lesion_f1'] == 0
    assert lesion_maps.compare_maps(true, _blobs((9, 9, 9)))['lesion_f1'] == 0
    healthy = lesion_maps.compare_maps(nothing, true)
    assert np.isnan(healthy['dice'])
    assert np.isnan(healthy['lesion_f1'])
    assert healthy['false_ml'] == pytest.approx(0.008)


def test_both_sources_count_alike_at_each_threshold():
    rows = lesion_maps.dice_by_threshold(
        {
            'simulated': {0.1: [0.5, 0.7, 0.6], 0.2: [0.6, 0.8, 0.7]},
            'patients': {0.1: [0.5], 0.2: [0.3]},
        }
    )
    assert [row['dice'] for row in rows] == [pytest.approx(0.55), pytest.approx(0.5)]
    assert lesion_maps.dice_by_threshold({'simulated': {}, 'patients': {}}) == []
    (only,) = lesion_maps.dice_by_threshold({'simulated': {0.2: [0.6]}, 'patients': {}})
    assert (only['threshold'], only['dice']) == (0.2, 0.6)


def test_volume_correlation_needs_three_images():
    assert lesion_maps.volume_correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert lesion_maps.volume_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(lesion_maps.volume_correlation([1, 2], [2, 4]))
    assert np.isnan(lesion_maps.volume_correlation([1, 2, 3], [0, 0, 0]))


def test_maps_are_averaged_where_there_is_something_to_average():
    rows = [
        {'images': 'simulated', 'method': 'inpainted', **lesion_maps.compare_maps(true, found)}
        for true, found in (
            (_blobs((2, 2, 2)), _blobs((2, 2, 2))),
            (_blobs((2, 2, 2)), _blobs()),
        )
    ]
    (line,) = lesion_maps.summarise(rows)
    assert line['dice'] == 0.5
    assert line['lesion_precision'] == 1  # of the one map with lesions
    assert line['volumes'] == 2


def test_displacements_are_averaged_inside_and_near():
    share = np.zeros(SHAPE, np.float32)
    share[10:13, 10:13, 10:13] = 1
    regions = registration.find_regions(share, np.ones(SHAPE, bool))
    assert regions['inside'].sum() == 27
    assert regions['near'][12 + 5, 11, 11]
    assert not regions['near'][12 + 6, 11, 11]
    assert not (regions['near'] & regions['inside']).any()
    assert regions['brain'].sum() == 6**3
    points = np.argwhere(np.any(list(regions.values()), axis=0))
    distance = np.where(regions['inside'][tuple(points.T)], 2.0, 0.5)
    means = registration.average_regions(distance, points, regions)
    assert means['inside_mm'] == 2
    assert means['near_mm'] == 0.5
    healthy = registration.find_regions(share * 0, np.ones(SHAPE, bool))
    assert not healthy['near'].any()


def test_registration_says_what_is_gone_of_doing_nothing():
    rows = [
        {'method': method, 'inside_mm': value, 'near_mm': value, 'brain_mm': 0.1}
        for method, values in (('nothing', (0.4, 0.6)), ('inpainted', (0.1, 0.1)))
        for value in values
    ]
    nothing, inpainted = registration.summarise(rows)
    assert nothing['inside_mm'] == 0.5
    assert inpainted['inside_gone'] == pytest.approx(0.8)


def test_threads_are_powers_of_two_up_to_all():
    assert list(plan(2, gpu=True)) == [
        ('cpu', 'nothing', 1),
        ('cpu', 'resampling', 1),
        ('cpu', 'network', 1),
        ('cpu', 'network', 2),
        ('gpu', 'nothing', 1),
        ('gpu', 'network', 1),
    ]
    assert [threads for _, method, threads in plan(1, gpu=False) if method == 'network'] == [1]
