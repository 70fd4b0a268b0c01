"""What the demo's summary says."""

import json

import numpy as np
import pytest

from demo.dataset import write_nifti
from demo.scanner import Stored
from demo.summary import flat, main, measure, summarise

SHAPE = (5, 6, 7)


@pytest.fixture
def demo_folder(tmp_path):
    """Dataset, truth and outputs of one tiny participant; a quarter of the error is left."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, 1:3, 1:3] = 1
    truth = np.full(SHAPE, 100, np.int16)
    lesioned = (truth - 40 * mask).astype(np.int16)
    inpainted = (truth - 10 * mask).astype(np.int16)
    inpainted[4, 5, 6] += 1
    for name, voxels in {
        'bids/sub-01/anat/sub-01_T1w.nii.gz': lesioned,
        'truth/sub-01/anat/sub-01_desc-lesionfree_T1w.nii.gz': truth,
        'truth/sub-01/anat/sub-01_label-lesion_mask.nii.gz': mask,
        'out/sub-01/anat/sub-01_desc-inpainted_T1w.nii.gz': inpainted,
        'out/sub-01/anat/sub-01_space-MNI152NLin2009aSym_desc-inpainted_T1w.nii.gz': inpainted,
    }.items():
        scaling = (1, 0) if 'mask' in name else (0.5, 3)
        write_nifti(tmp_path / name, Stored(voxels, *scaling), np.diag([2, 2, 2, 1]))
    qc = {'change_volume_ml': 0.123456, 'registration': {'similarity': 0.9}, 'lesion_count': 3}
    anat = tmp_path / 'out/sub-01/anat'
    (anat / 'sub-01_desc-inpaint_qc.json').write_text(json.dumps(qc))
    (tmp_path / 'out/sub-01.html').touch()
    return tmp_path


def test_summary_gives_outputs_qc_and_error(demo_folder):
    text = summarise(demo_folder / 'out', demo_folder / 'bids', demo_folder / 'truth')
    for said in (
        'sub-01_desc-inpainted_T1w.nii.gz',
        'sub-01.html',
        'change_volume_ml         0.1235',
        'registration.similarity  0.9',
        'lesion_count             3',
        'lesion error: 0.250',
        'true lesions with their rims: 0.06 ml',
        'unchanged outside: 99.505 % (0.01 ml changed)',
    ):
        assert said in text
    assert text.count('lesion error') == 1  # not of the image in template space


def test_missing_qc_is_said(demo_folder):
    (demo_folder / 'out/sub-01/anat/sub-01_desc-inpaint_qc.json').unlink()
    text = summarise(demo_folder / 'out', demo_folder / 'bids', demo_folder / 'truth')
    assert 'no sub-01_desc-inpaint_qc.json' in text


def test_command_prints_the_summary(demo_folder, capsys):
    folders = [f'--{name}={demo_folder / name}' for name in ('bids', 'truth')]
    assert main([str(demo_folder / 'out'), *folders]) == 0
    assert 'lesion error: 0.250' in capsys.readouterr().out


def test_folder_without_outputs_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'did the app run'):
        summarise(tmp_path, tmp_path, tmp_path)


def test_missing_truth_is_named(demo_folder):
    with pytest.raises(FileNotFoundError, match=r'holds 0 files sub-01_desc-lesionfree_T1w'):
        summarise(demo_folder / 'out', demo_folder / 'bids', demo_folder / 'out')


def test_healthy_has_no_lesion_error():
    healthy = np.ones(SHAPE)
    change = measure(healthy, healthy, healthy, np.zeros(SHAPE, bool), 0.001)
    assert np.isnan(change.lesion_error)
    assert change.unchanged_outside == 1


def test_flat_names_nested_numbers():
    assert dict(flat({'a': {'b': 1.23456}, 'c': 'x'})) == {'a.b': '1.235', 'c': 'x'}
