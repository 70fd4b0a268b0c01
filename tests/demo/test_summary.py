"""What the demo's summary measures and says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_grids import grid_of

from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.resample import resample
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import Volume
from demo import measure
from demo.dataset import NAME, Description, Row, describe
from demo.heads.files import write_nifti
from demo.heads.scanner import Stored
from demo.summary import main, summarise

SHAPE = (5, 6, 7)
VOXEL_ML = 0.06  # of 3 x 4 x 5 mm
STD2ANAT = np.eye(4)
STD2ANAT[:3, 3] = (18, -25, 12)


def write(folder, sub, images, affine):
    """Write images by the endings of their paths; those of the product also on the template."""
    for name, voxels in images.items():
        top, ending = name.split('/')
        for space in ('', 'space-MNI152NLin2009aSym_') if top == 'out' else ('',):
            path = folder / top / sub / 'anat' / f'{sub}_{space}{ending}.nii.gz'
            write_nifti(path, Stored(voxels, 1, 0), affine)


def finish(folder, sub):
    """Write what the app writes besides images."""
    stem = folder / 'out' / sub / 'anat' / sub
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_xfm(
        np.linalg.inv(STD2ANAT), Path(f'{stem}_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt')
    )
    (stem.parent / f'{sub}_desc-inpaint_qc.json').write_text(json.dumps({'problems': 'none'}))


def add_patient(folder):
    """Three quarters of a lesion are filled; a voxel near it and three far off are changed."""
    grid, template = grid_of('LAS'), load_template()
    white, grey, brain = (
        resample(Volume(np.asarray(data, np.float32), AFFINE), grid, STD2ANAT)
        for data in (template.white_matter, template.grey_matter, template.brain_mask)
    )
    flat = np.where(white > 0.5, 120, np.where(grey > 0.5, 80, 0)).astype(np.float32)
    deep = np.argwhere(white == white.max())[0]
    lesion = np.zeros(grid.shape, np.uint8)
    lesion[deep[0], deep[1], deep[2] : deep[2] + 2] = 1
    given = flat - 40 * lesion
    added = 30 * lesion.astype(np.float32)
    added[deep[0] + 2, deep[1], deep[2]] = 30
    added[1, 1, 1:4] = (5, 5, -20)
    images = {
        'bids/T1w': given,
        'truth/label-lesion_mask': lesion,
        'out/desc-inpainted_T1w': given + added,
        'out/desc-difference_T1w': added / np.float32(100),
        'out/desc-brain_mask': (brain > 0.5).astype(np.uint8),
    }
    write(folder, 'sub-01', images, grid.affine)
    finish(folder, 'sub-01')


def add_healthy(folder):
    """Two voxels are changed, one of them by much."""
    given = np.full(SHAPE, 100, np.int16)
    added = np.zeros(SHAPE, np.int16)
    added[4, 5, 5:] = (5, 20)
    images = {
        'bids/T1w': given,
        'out/desc-inpainted_T1w': given + added,
        'out/desc-difference_T1w': (added / 100).astype(np.float32),
    }
    write(folder, 'sub-02', images, np.diag([3, 4, 5, 1]))
    finish(folder, 'sub-02')


def add_made(folder):
    """A quarter of the error in a lesion is left; a voxel beside it is changed, too."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 1:3, 1:3] = 1
    truth = np.full(SHAPE, 100, np.int16)
    inpainted = (truth - 10 * mask).astype(np.int16)
    inpainted[3, 1, 1] += 1
    difference = 0.3 * mask.astype(np.float32)
    difference[3, 1, 1] = 0.01
    images = {
        'bids/T1w': (truth - 40 * mask).astype(np.int16),
        'truth/label-lesion_mask': mask,
        'truth/desc-lesionfree_T1w': truth,
        'out/desc-inpainted_T1w': inpainted,
        'out/desc-difference_T1w': difference,
    }
    write(folder, 'sub-03', images, np.diag([3, 4, 5, 1]))
    finish(folder, 'sub-03')


@pytest.fixture
def demo_folder(tmp_path):
    """Dataset, truth and outputs of three tiny participants."""
    rows = [Row('01', 'patient'), Row('02', 'healthy'), Row('03', 'simulated')]
    description = Description(f'{NAME}: tiny', 'none', ('me',), 'Please', (), 'text')
    describe(tmp_path / 'bids', tmp_path / 'truth', description, rows, 0)
    add_patient(tmp_path)
    add_healthy(tmp_path)
    add_made(tmp_path)
    return tmp_path


def told(folder):
    return summarise(folder / 'out', folder / 'bids', folder / 'truth')


def row_of(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(name + '  '))
    return line.removeprefix(name).split()


def test_table_has_what_can_be_known_of_each(demo_folder):
    text = told(demo_folder)
    assert text.splitlines()[0].split() == ['sub-01', 'sub-02', 'sub-03']
    assert text.splitlines()[1].split() == ['patient', 'healthy', 'simulated']
    assert row_of(text, 'contrast of lesions before') == ['40.0', '-', '-']
    assert row_of(text, 'contrast of lesions after') == ['10.0', '-', '-']
    assert row_of(text, 'contrast gone, %') == ['75', '-', '-']
    assert row_of(text, 'error left in lesions') == ['-', '-', '0.25']
    assert row_of(text, 'known lesions, ml') == ['0.1', '0.0', '0.5']
    assert row_of(text, 'changed, ml') == ['0.2', '0.1', '0.5']
    assert row_of(text, 'changed outside lesions, ml') == ['0.1', '0.1', '0.1']


def test_each_has_its_sentences_and_files(demo_folder):
    text = told(demo_folder)
    for said in (
        'sub-01, a patient with multiple sclerosis: 75 % of the contrast',
        'More than 2 voxels away',
        '0.1 ml were changed, 0.0 ml of it by more than 0.1 of mean brain intensity.',
        'sub-02, healthy, where nothing should change: 0.1 ml were changed, 0.1 ml of it',
        'sub-03, a synthetic head',
        '0.25 of the error',
        f'{demo_folder}/out/sub-03/anat/sub-03_desc-inpainted_T1w.nii.gz',
        f'{demo_folder}/out/sub-03.html',
        'problems: none',
    ):
        assert said in ' '.join(text.split())
    assert max(len(line) for line in text.splitlines() if ' ' in line.strip()) <= 80
    assert 'space-' not in text


def test_the_template_is_brought_to_the_image_and_not_the_other_way(demo_folder, monkeypatch):
    used = []

    def white_matter(_, brain_mask, std2anat_xfm):
        used.append(std2anat_xfm)
        return brain_mask

    monkeypatch.setattr(measure, 'white_matter', white_matter)
    told(demo_folder)
    np.testing.assert_allclose(used, [STD2ANAT], atol=1e-6)


def test_margin_and_mask_are_not_outside():
    lesion = np.zeros(SHAPE, bool)
    lesion[0, 0, 0] = True
    difference = np.zeros(SHAPE, np.float32)
    difference[0, 0, :5] = -0.2
    difference[0, 3, 0] = 0.1  # no more than that
    for margin_vox, outside, strong in ((0, 5, 4), (1, 4, 3), (2, 3, 2)):
        change = measure.volumes_changed(
            difference, lesion, zooms_mm=(3, 4, 5), margin_vox=margin_vox
        )
        assert change.lesion_ml == pytest.approx(VOXEL_ML)
        assert change.changed_ml == pytest.approx(6 * VOXEL_ML)
        assert change.strong_ml == pytest.approx(5 * VOXEL_ML)
        assert change.outside_ml == pytest.approx(outside * VOXEL_ML)
        assert change.outside_strong_ml == pytest.approx(strong * VOXEL_ML)


def test_some_participants_are_enough(demo_folder):
    (demo_folder / 'out/sub-01/anat/sub-01_desc-inpainted_T1w.nii.gz').unlink()
    text = told(demo_folder)
    assert 'sub-01' not in text
    assert row_of(text, 'error left in lesions') == ['-', '0.25']


def test_problems_of_quality_are_told(demo_folder):
    qc_file = demo_folder / 'out/sub-02/anat/sub-02_desc-inpaint_qc.json'
    qc_file.write_text(json.dumps({'problems': 'a lot was changed'}))
    (demo_folder / 'out/sub-03/anat/sub-03_desc-inpaint_qc.json').unlink()
    text = told(demo_folder)
    assert 'problems: a lot was changed' in text
    assert 'no sub-03_desc-inpaint_qc.json' in text


def test_command_prints_the_summary(demo_folder, capsys):
    folders = [f'--{name}={demo_folder / name}' for name in ('bids', 'truth')]
    assert main([str(demo_folder / 'out'), *folders]) == 0
    assert 'contrast gone' in capsys.readouterr().out


def test_folder_without_outputs_is_named(demo_folder):
    with pytest.raises(FileNotFoundError, match=r'did the app run'):
        summarise(demo_folder, demo_folder / 'bids', demo_folder / 'truth')


@pytest.mark.parametrize('missing', ['sub-01_label-lesion_mask', 'sub-03_desc-lesionfree_T1w'])
def test_missing_truth_is_named(demo_folder, missing):
    sub = missing.split('_')[0]
    (demo_folder / f'truth/{sub}/anat/{missing}.nii.gz').unlink()
    with pytest.raises(FileNotFoundError, match=f'0 files {missing}'):
        told(demo_folder)


def test_summary_needs_no_network():
    code = 'import sys, demo.summary; print({"tensorflow", "keras"} & set(sys.modules))'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == 'set()'
