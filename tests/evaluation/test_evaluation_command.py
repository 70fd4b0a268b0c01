"""The whole command on a brain of 24 voxels a side, and the programs that it calls."""

import csv
import json
import logging
import re
import sys
from dataclasses import replace
from importlib.util import find_spec

import ants
import numpy as np
import pytest
from matplotlib.image import imread
from tiny_brains import (
    FLUID,
    GREY,
    SHAPE,
    WHITE,
    flat_brain,
    healthy_brain,
    tissue_maps,
    write_label_map,
    write_scan,
)

from bids_inpaint.evaluation import __main__ as command
from bids_inpaint.evaluation import figure, one_prediction, segmenters
from bids_inpaint.evaluation.tables import (
    TABLES,
    generality,
    lesion_maps,
    reconstruction,
    registration,
    repeated_scans,
    segmentation,
    timing,
)
from bids_inpaint.image.ants_bridge import to_ants
from bids_inpaint.image.template import AFFINE
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.network.card import read_card, write_card
from bids_inpaint.training import score

LESION = (slice(9, 13), slice(10, 13), slice(10, 14))


def _rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream, delimiter='\t'))


def test_tables_are_named_by_their_letters(capsys):
    base = ['--brains', 'a', 'b', '--masks', 'm', '--out', 'o']
    assert command._parse(base).only == list('abcdefgh')
    assert command._parse([*base, '--only', 'c, a']).only == ['c', 'a']
    with pytest.raises(SystemExit):
        command._parse([*base, '--only', 'a,x'])
    assert 'not x' in capsys.readouterr().err


def test_help_does_not_wait_for_libraries():
    code = (
        'import sys; from bids_inpaint.evaluation import __main__ as c\n'
        'try:\n    c._parse(["--help"])\nexcept SystemExit:\n    pass\n'
        'print(sorted({"keras", "ants", "tensorflow"} & sys.modules.keys()))'
    )
    done = timing.subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == '[]'


def test_without_nonblind_network_a_sentence_says_so(setup):
    (table,) = reconstruction.make(setup)
    assert not table.rows
    assert f'no non-blind network in {setup.models / "nonblind"}' in table.notes[0]


def test_programs_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(segmenters, 'find_spec', lambda _: None)
    monkeypatch.setattr(segmenters, '_has_spm', lambda: False)
    found, missing = segmenters.available()
    assert list(found) == ['Atropos']
    assert [sentence.split(':')[0] for sentence in missing] == ['dipy HMRF', 'SPM12']
    monkeypatch.setattr(segmenters, 'find_spec', lambda _: object())
    monkeypatch.setattr(segmenters, '_has_spm', lambda: True)
    found, missing = segmenters.available()
    assert list(found) == ['Atropos', 'dipy HMRF', 'SPM12']
    assert missing == []


def _check_tissues(labels):
    brain, grey, white = tissue_maps()
    assert labels.dtype == np.uint8
    assert not labels[~brain].any()
    assert (labels[white] == 3).mean() > 0.95
    assert (labels[grey] == segmenters.GREY).mean() > 0.95
    assert (labels[brain & ~grey & ~white] == 1).mean() > 0.95


@pytest.mark.slow
def test_atropos_finds_the_tissues_and_the_same_ones_again(small_template):
    labels = segmenters.atropos(healthy_brain(), small_template.brain_mask)
    _check_tissues(labels)
    again = segmenters.atropos(healthy_brain(), small_template.brain_mask)
    np.testing.assert_array_equal(labels, again)
    # A lesion as dark as grey matter is called grey: what inpainting is for.
    lesioned = healthy_brain()
    lesioned[10:14, 10:14, 10:14] = GREY
    labels = segmenters.atropos(lesioned, small_template.brain_mask)
    assert (labels[10:14, 10:14, 10:14] == segmenters.GREY).mean() > 0.9


@pytest.mark.slow
@pytest.mark.skipif(find_spec('dipy') is None, reason='dipy is not installed')
def test_hmrf_finds_the_tissues(small_template):
    _check_tissues(segmenters.hmrf(healthy_brain(), small_template.brain_mask))


def test_spm_is_given_a_brain_and_its_classes_are_put_in_order(small_template, monkeypatch):
    from nipype.interfaces import spm

    from bids_inpaint.image.volume import Volume, load, save

    class NewSegment:
        def __init__(self, channel_files):
            self.t1w = load(channel_files).data

        def run(self, cwd):
            files = []
            for name, level in (('c1', GREY), ('c2', WHITE), ('c3', FLUID)):
                data = (np.abs(self.t1w - level) < 0.1).astype(np.float32)
                path = save(Volume(data, AFFINE), timing.Path(cwd) / f'{name}t1w.nii')
                files.append([str(path)])
            self.outputs = type('Outputs', (), {'native_class_images': files})
            return self

    monkeypatch.setattr(spm, 'NewSegment', NewSegment)
    _check_tissues(segmenters.spm(flat_brain(), small_template.brain_mask))


def test_points_go_where_the_image_goes(tmp_path):
    """An image that is resampled through the transform has its mark where the point goes."""
    image = np.zeros(SHAPE, np.float32)
    image[9, 12, 14] = 1
    shift = ants.create_ants_transform(
        transform_type='AffineTransform', dimension=3, translation=(-3.0, 2.0, 1.0)
    )
    ants.write_transform(shift, str(tmp_path / 'shift.mat'))
    moving = to_ants(image, AFFINE)
    moved = ants.apply_transforms(moving, moving, [str(tmp_path / 'shift.mat')]).numpy()
    ((i, j, k),) = np.argwhere(moved > 0.5)
    points = np.array([[9, 12, 14]])
    found = registration.apply_to_points(points, [tmp_path / 'shift.mat'])
    np.testing.assert_allclose(found[0], AFFINE[:3, :3] @ [i, j, k] + AFFINE[:3, 3], atol=1e-3)
    assert (i, j, k) != (9, 12, 14)


def test_the_picture_shows_the_slice_with_most_lesion(tmp_path):
    mask = np.zeros(SHAPE, bool)
    mask[10:14, 10:14, 13] = mask[10, 10, 7] = True
    _, grey, _ = tissue_maps()
    marked = healthy_brain()
    marked[:, :, 13] = 1.8
    panels = [
        figure.Panel('before', marked, grey),
        figure.Panel('after', healthy_brain(), grey & False),
    ]
    png = figure.draw_before_and_after(panels, mask, tmp_path / 'picture.png')
    pixels = imread(png)[..., :3].mean(axis=-1)
    half = pixels.shape[1] // 2
    assert pixels[:, :half].mean() > pixels[:, half:].mean() + 0.2
    assert [p.name for p in tmp_path.iterdir()] == ['picture.png']


@pytest.mark.slow
def test_a_prediction_is_measured_in_its_own_process(setup):
    (t1w,) = setup.brains[0].glob('sub-06/**/*_desc-preproc_T1w.nii.gz')
    found = timing.run_child('resampling', t1w, setup.models / 'blind', 'cpu', 1)
    assert set(found) == {'load_s', 'first_s', 'next_s', 'peak_memory_gb'}
    assert 0.05 < found['peak_memory_gb'] < 4
    assert found['first_s'] > 0
    with pytest.raises(
        RuntimeError, match=r'(?s)resampling on .*sub-06.* ended with 1: .*no network'
    ):
        timing.run_child('resampling', t1w, setup.models / 'none', 'cpu', 1)


def test_peak_memory_grows_with_what_is_held():
    before = one_prediction.peak_memory_gb()
    held = np.ones(2**26, np.float32)  # 0.25 GB
    assert one_prediction.peak_memory_gb() > 0
    assert one_prediction.peak_memory_gb() >= before
    assert held.nbytes / 1024**3 <= one_prediction.peak_memory_gb()


@pytest.mark.slow
def test_every_table_is_made_and_made_again_from_memory(
    setup, make_network, monkeypatch, capsys, caplog
):
    make_network('nonblind')
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(timing, 'plan', lambda *_, **__: [('cpu', 'network', 1)])
    template = to_ants(healthy_brain(), AFFINE).numpy()
    monkeypatch.setattr(
        registration,
        'load_template',
        lambda: type('Template', (), {'t1w': template, 'brain_mask': healthy_brain() > 0}),
    )
    monkeypatch.setattr(segmenters, 'find_spec', lambda _: None)
    arguments = ['--brains', *map(str, setup.brains), '--masks', str(setup.masks)]
    arguments += ['--patients', str(setup.patients), '--models', str(setup.models)]
    arguments += ['--out', str(setup.out), '--work', str(setup.memory.folder), '--threads', '1']
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith('### ')] == [
        (setup.out / f'{name}.md').read_text().splitlines()[0]
        for name in (
            'a_reconstruction',
            'b_whole_volume',
            'b_lesions_by_size',
            'b_lesions_by_darkness',
            'b_patients',
            'c_segmentation',
            'c_segmentation_patients',
            'd_threshold',
            'd_lesion_map',
            'd_lesion_map_patients',
            'e_registration',
            'f_time_and_memory',
            'g_generality',
            'g_by_age',
            'h_repeated_scans',
        )
    ]
    _check_end_to_end(setup.out)
    # What is costly comes from memory, and the figures are the same.
    before = {p.name: p.read_text() for p in setup.out.glob('[a-e]_*.tsv')}
    for module, name in ((segmenters, 'atropos'), (registration, 'map_points')):
        monkeypatch.setattr(module, name, None)
    monkeypatch.setattr('bids_inpaint.evaluation.methods.inpaint_on_device', None)
    assert command.main([*arguments, '--only', 'a,b,c,d,e']) == 0
    assert {p.name: p.read_text() for p in setup.out.glob('[a-e]_*.tsv')} == before
    assert {m.__name__.split('.')[-1] for m in (segmentation, lesion_maps)} <= set(TABLES.values())


def _check_end_to_end(out):
    """A network that has learnt nothing does as well as doing nothing."""
    whole = {(r['images'], r['method']): r for r in _rows(out / 'b_whole_volume.tsv')}
    assert {images for images, _ in whole} == {'healthy', 'simulated', 'patients'}
    assert float(whole['healthy', 'inpainted']['psnr_db']) == float('inf')
    assert float(whole['healthy', 'inpainted']['change_ml']) == 0
    simulated = whole['simulated', 'network']
    assert simulated['psnr_db'] == whole['simulated', 'nothing']['psnr_db']
    for row in _rows(out / 'b_lesions_by_size.tsv'):
        assert float(row['error_network']) == pytest.approx(1, abs=1e-6)
    patients = _rows(out / 'b_patients.tsv')
    assert {row['patient'] for row in patients} == {'openms26', 'mslesseg14_ses-1'}
    for row in patients:
        # The non-blind network fills with -1, as it is given, times white matter over 1.4.
        mean = -1 if row['method'] == 'non-blind' else 1
        if row['method'] != 'resampling':
            assert float(row['lesion_mean']) == pytest.approx(mean, abs=1e-3)
    segmented = {r['method']: r for r in _rows(out / 'c_segmentation.tsv')}
    assert float(segmented['reference']['average']) == 1
    assert segmented['inpainted']['average'] == segmented['nothing']['average']
    assert segmented['inpainted']['p'] == 'n/a'
    assert 'left out, as dipy is not installed' in (out / 'c_segmentation.md').read_text()
    for page in out.glob('*.md'):
        last = page.read_text().splitlines()[-1]
        assert re.search(r'weights: blind [0-9a-f]{8}, nonblind [0-9a-f]{8}\.$', last), page.name
    assert imread(out / segmentation.FIGURE).shape[2] == 4
    mapped = {(r['images'], r['method']): r for r in _rows(out / 'd_lesion_map.tsv')}
    assert float(mapped['patients', 'inpainted']['dice']) == 0
    moved = {r['method']: r for r in _rows(out / 'e_registration.tsv')}
    assert moved['inpainted']['inside_mm'] == moved['nothing']['inside_mm']
    (timed,) = _rows(out / 'f_time_and_memory.tsv')
    assert float(timed['first_s']) > 0


def fill_all(setup, monkeypatch):
    """Let the network fill the lesion, wherever it is asked."""

    def fill(t1w, brain_mask, **_):
        inpainted, probability = t1w.copy(), np.zeros_like(t1w)
        inpainted[LESION] = WHITE
        probability[LESION] = 0.9
        return Prediction(inpainted * brain_mask, probability), {}

    monkeypatch.setattr('bids_inpaint.evaluation.methods.inpaint_on_device', fill)
    card = read_card(setup.models / 'blind')
    told = replace(
        card,
        architecture=replace(card.architecture, lesion_output=True),
        change_edge_threshold=0.5,
        change_core_threshold=0.8,
        lesion_threshold=0.5,
    )
    write_card(told, setup.models / 'blind')


def test_images_unlike_those_that_trained_are_measured_one_by_one(setup, tmp_path, monkeypatch):
    write_scan(tmp_path / 'others', 'sub-x1_ses-1', healthy_brain(7))
    write_scan(tmp_path / 'others', 'sub-x1_ses-2', healthy_brain(8))
    brain, _, white = tissue_maps()
    for name in ('sub-seg01', 'sub-seg03'):  # the first trains
        write_label_map(tmp_path / 'maps', name, (3 * brain - white).astype(np.uint16))
    monkeypatch.setattr(score, '_WHOLE', tuple(slice(0, n) for n in SHAPE))
    fill_all(setup, monkeypatch)
    folders = {'unlike': (tmp_path / 'others',), 'label_maps': tmp_path / 'maps'}
    table, ages = generality.make(replace(setup, **folders))
    assert ages.rows == []  # of nobody
    others, patients = table.rows[:2], table.rows[3:]
    assert table.rows[2]['dataset'] == 'label-maps'
    assert table.rows[2]['name'] == 'seg03'
    assert [row['name'] for row in others] == ['sub-x1_ses-1', 'sub-x1_ses-2']
    assert [row['name'] for row in patients] == ['mslesseg14_ses-1', 'openms26']
    for row in table.rows:
        assert row['cpu_s'] > 0
        assert row['probability_ml'] == pytest.approx(0.9 * 48 / 1000, rel=1e-4)
        assert row['map_ml'] == 0.048
        assert row['strong_ml'] <= row['changed_ml']
    assert 'dice' not in others[0]
    assert 'outside_ml' not in others[0]
    for row in patients:
        assert row['dice'] == 1
        assert row['contrast_gone'] > 0.9
        assert row['outside_ml'] == 0
        assert row['strong_ml'] == 0.048


def test_change_in_healthy_people_by_age(setup, tmp_path, monkeypatch):
    raw = tmp_path / 'raw'
    raw.mkdir()
    text = 'participant_id\tage\nsub-06\t50\nsub-46\t39.5\nsub-11\t30\nsub-61\tn/a\n'
    (raw / 'participants.tsv').write_text(text)
    description = {'Name': 'x', 'BIDSVersion': '1.9.0', 'DatasetLinks': {'raw': raw.as_uri()}}
    (setup.brains[0] / 'dataset_description.json').write_text(json.dumps(description))
    fill_all(setup, monkeypatch)
    rows = generality.make(setup)[1].rows
    assert [(row['age'], row['people']) for row in rows] == [('below 40', 1), ('50 and more', 1)]
    for row in rows:
        assert row['strong_ml'] <= row['changed_ml'] == row['most_ml']


def test_volumes_of_repeated_scans_agree_better_where_lesions_are_filled(
    setup, tmp_path, monkeypatch
):
    lesioned = flat_brain()
    lesioned[LESION] = GREY
    for name, t1w in (('x1_ses-1', flat_brain()), ('x1_ses-2', lesioned), ('x2', flat_brain())):
        write_scan(tmp_path / 'others', f'sub-{name}', t1w)
    fill_all(setup, monkeypatch)

    def by_brightness(t1w, brain_mask):
        return (np.digitize(t1w, [0.6, 1.1]) + 1).astype(np.uint8) * brain_mask

    monkeypatch.setattr(repeated_scans, 'atropos', by_brightness)
    (table,) = repeated_scans.make(replace(setup, unlike=(tmp_path / 'others',)))
    ((row),) = table.rows
    assert row['participant'] == 'x1'
    assert row['sessions'] == 'sub-x1_ses-1, sub-x1_ses-2'
    _, grey, white = (float(tissue.sum()) for tissue in tissue_maps())
    assert row['GM_before'] == pytest.approx(48 / (grey + 24))
    assert row['WM_before'] == pytest.approx(48 / (white - 24))
    assert row['CSF_before'] == row['CSF_after'] == row['GM_after'] == row['WM_after'] == 0


def test_tissue_volumes_are_those_of_the_t1w(make_case):
    case = make_case(flat_brain(), np.zeros(SHAPE))
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, :8] = 2
    stretched = replace(case, anat2std_xfm=np.diag([2.0, 2.0, 2.0, 1.0]))
    assert repeated_scans.tissue_volumes(labels, case)['GM'] == pytest.approx(0.008)
    assert repeated_scans.tissue_volumes(labels, stretched)['GM'] == pytest.approx(0.001)
