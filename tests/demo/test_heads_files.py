"""Made-up heads as files: the one of the demo, and those that only tests and evaluation need."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from made_heads import PARTICIPANTS, build_heads

from demo.dataset import is_ours, read_groups
from demo.heads.files import write_nifti
from demo.heads.scanner import Stored

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Folder that holds `bids` and `truth`."""
    folder = tmp_path_factory.mktemp('heads')
    build_heads(folder / 'bids', folder / 'truth')
    return folder


def stored(path: Path):
    return nb.load(path).dataobj.get_unscaled()


@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
@pytest.mark.parametrize('codes', [(1, 1), (1, 0)])
def test_file_holds_exactly_what_is_stored(tmp_path, extension, codes):
    data = np.random.default_rng(0).integers(0, 60000, (5, 6, 7)).astype(np.uint16)
    affine = np.array([[-1.0, 0, 0, 9], [0, 0, 2, -8], [0, 1.5, 0, 7], [0, 0, 0, 1]])
    path = tmp_path / f'image{extension}'
    write_nifti(path, Stored(data, 0.5, -20), affine, codes)
    img = nb.load(path)
    np.testing.assert_array_equal(img.dataobj.get_unscaled(), data)
    assert (img.dataobj.slope, img.dataobj.inter) == (0.5, -20)
    assert img.get_data_dtype() == np.uint16
    assert (int(img.header['qform_code']), int(img.header['sform_code'])) == codes
    np.testing.assert_allclose(img.affine, affine, atol=1e-5)
    assert img.header['srow_x'].any() == bool(codes[1])


@pytest.mark.slow
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.name)
def test_scan_has_the_grid_and_type_of_its_participant(built, participant):
    name = f'sub-{participant.name}/anat/sub-{participant.name}_T1w{participant.extension}'
    img = nb.load(built / 'bids' / name)
    assert ''.join(nb.aff2axcodes(img.affine)) == participant.axcodes
    np.testing.assert_allclose(img.header.get_zooms(), participant.zooms_mm, rtol=1e-6)
    assert img.get_data_dtype() == participant.dtype
    oblique = np.rad2deg(nb.affines.obliquity(img.affine)).max()
    assert (oblique > 15) == any(participant.oblique_deg)


@pytest.mark.slow
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.name)
def test_truth_differs_in_the_lesions_only(built, participant):
    sub = f'sub-{participant.name}'
    t1w = stored(built / f'bids/{sub}/anat/{sub}_T1w{participant.extension}')
    known = built / f'truth/{sub}/anat'
    lesion_free = stored(known / f'{sub}_desc-lesionfree_T1w{participant.extension}')
    mask = stored(known / f'{sub}_label-lesion_mask.nii.gz') > 0
    np.testing.assert_array_equal(t1w[~mask], lesion_free[~mask])
    assert mask.any() == bool(participant.disease.diameters_mm)
    if mask.any():
        step = participant.white / participant.slope * participant.noise
        assert np.median(lesion_free[mask].astype(float) - t1w[mask]) > step


@pytest.mark.slow
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.name)
def test_intensities_are_those_of_a_t1w_head(built, participant):
    sub = f'sub-{participant.name}'
    img = nb.load(built / f'truth/{sub}/anat/{sub}_desc-lesionfree_T1w{participant.extension}')
    t1w = img.get_fdata() / participant.white
    corners = np.concatenate([t1w[:6, :6, :6].ravel(), t1w[-6:, -6:, -6:].ravel()])
    assert np.median(corners) < 0.06  # air
    assert np.percentile(t1w, 99.5) > 1.2  # scalp, brighter than white matter
    head = t1w[t1w > 0.3]
    assert ((head > 0.85) & (head < 1.15)).mean() > 0.15  # white matter
    limits = np.iinfo(participant.dtype)
    assert (stored(Path(img.get_filename())) == limits.max).mean() < 1e-4  # clipped


@pytest.mark.slow
def test_dataset_of_heads_is_valid_and_says_who_is_healthy(built):
    assert read_groups(built / 'bids') == {
        'sub-lesions': 'simulated',
        'sub-healthy': 'healthy',
        'sub-ovoids': 'simulated',
    }
    assert is_ours(built / 'bids')
    validator = Path(sys.executable).with_name('bids-validator-deno')
    for folder in ('bids', 'truth'):
        command = [validator, '--json', built / folder]
        run = subprocess.run(command, capture_output=True, check=False)
        issues = json.loads(run.stdout)['issues']['issues']
        assert [i for i in issues if i['severity'] == 'error'] == []


def test_heads_have_a_command():
    command = [sys.executable, ROOT / 'tests/made_heads.py', '--help']
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'OUT TRUTH' in run.stdout
