"""The demo dataset as files."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from demo.build import build, replace
from demo.dataset import NAME, is_ours, write_nifti
from demo.participants import PARTICIPANTS
from demo.scanner import Stored


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Folder that holds `bids` and `truth`."""
    folder = tmp_path_factory.mktemp('demo')
    build(folder / 'bids', folder / 'truth')
    return folder


def stored(path: Path):
    return nb.load(path).dataobj.get_unscaled()


def hashes(folder: Path):
    files = sorted(p for p in folder.rglob('*') if p.is_file())
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


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


def test_only_an_earlier_build_is_replaced(tmp_path):
    new, old = tmp_path / 'new', tmp_path / 'old'
    new.mkdir()
    old.mkdir()
    (old / 'precious').touch()
    with pytest.raises(FileExistsError, match=r'is no demo dataset'):
        replace(new, old)
    assert (old / 'precious').exists()
    (old / 'dataset_description.json').write_text(json.dumps({'Name': NAME}))
    replace(new, old)
    assert list(old.iterdir()) == []


@pytest.mark.parametrize('text', ['', '[]', '{"Name": "other"}'])
def test_other_folders_are_not_ours(tmp_path, text):
    assert not is_ours(tmp_path)
    (tmp_path / 'dataset_description.json').write_text(text)
    assert not is_ours(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.label)
def test_scan_has_the_grid_and_type_of_its_participant(built, participant):
    name = f'sub-{participant.label}/anat/sub-{participant.label}_T1w{participant.extension}'
    img = nb.load(built / 'bids' / name)
    assert ''.join(nb.aff2axcodes(img.affine)) == participant.axcodes
    np.testing.assert_allclose(img.header.get_zooms(), participant.zooms_mm, rtol=1e-6)
    assert img.get_data_dtype() == participant.dtype
    oblique = np.rad2deg(nb.affines.obliquity(img.affine)).max()
    assert (oblique > 15) == any(participant.oblique_deg)


@pytest.mark.slow
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.label)
def test_truth_differs_in_the_lesions_only(built, participant):
    sub = f'sub-{participant.label}'
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
@pytest.mark.parametrize('participant', PARTICIPANTS, ids=lambda p: p.label)
def test_intensities_are_those_of_a_t1w_head(built, participant):
    sub = f'sub-{participant.label}'
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
@pytest.mark.parametrize('folder', ['bids', 'truth'])
def test_validator_finds_no_error(built, folder):
    validator = Path(sys.executable).parent / 'bids-validator-deno'
    if not validator.exists():
        pytest.skip('bids-validator-deno is not installed')
    run = subprocess.run([validator, '--json', built / folder], capture_output=True, check=False)
    issues = json.loads(run.stdout)['issues']['issues']
    assert [i for i in issues if i['severity'] == 'error'] == []


@pytest.mark.slow
def test_same_seed_gives_the_same_files(built, tmp_path):
    build(tmp_path / 'bids', tmp_path / 'truth')
    assert hashes(tmp_path) == hashes(built)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['bids', 'truth']
