"""The demo dataset: two people, a made-up head, and what is known of them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from demo.build import build
from demo.dataset import NAME, Description, Row, describe, is_ours, read_groups, replace
from demo.heads.participants import WITH_LESIONS
from demo.people import IMAGES, LICENCES, PEOPLE, copy_person

SMALL_BYTES = 8_000_000


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Folder that holds `bids` and `truth`."""
    folder = tmp_path_factory.mktemp('demo')
    build(folder / 'bids', folder / 'truth')
    return folder


def sha256(path: Path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(folder: Path):
    return {p.relative_to(folder): sha256(p) for p in folder.rglob('*') if p.is_file()}


def test_only_an_earlier_build_is_replaced(tmp_path):
    new, old = tmp_path / 'new', tmp_path / 'old'
    new.mkdir()
    old.mkdir()
    (old / 'precious').touch()
    with pytest.raises(FileExistsError, match='demo dataset'):
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


def test_table_of_participants_reads_back(tmp_path):
    description = Description(f'{NAME}: small', 'none', ('me',), 'Please', (), 'text')
    rows = [Row('02', 'healthy', '19', 'F'), Row('01', 'patient')]
    describe(tmp_path / 'bids', tmp_path / 'truth', description, rows, 0)
    assert read_groups(tmp_path / 'bids') == {'sub-02': 'healthy', 'sub-01': 'patient'}
    assert (tmp_path / 'bids/participants.tsv').read_text().endswith('sub-01\tn/a\tn/a\tpatient\n')
    assert is_ours(tmp_path / 'bids')
    assert is_ours(tmp_path / 'truth')
    assert (tmp_path / 'truth/README.md').read_text() == 'text'


@pytest.mark.parametrize('person', PEOPLE, ids=lambda person: person.row.label)
def test_images_of_people_are_copied_as_they_are(tmp_path, person):
    copy_person(tmp_path / 'bids', tmp_path / 'truth', person)
    sub = f'sub-{person.row.label}'
    t1w = tmp_path / f'bids/{sub}/anat/{sub}_T1w.nii.gz'
    assert sha256(t1w) == sha256(IMAGES / person.t1w)
    sidecar = json.loads(t1w.with_name(f'{sub}_T1w.json').read_text())
    air = np.asarray(nb.load(t1w).dataobj)[0]
    assert sidecar['SkullStripped'] == (not air.any())
    masks = list(tmp_path.rglob('*mask*.nii.gz'))
    assert len(masks) == (person.row.group == 'patient')
    for path in masks:
        assert path.is_relative_to(tmp_path / 'truth')  # in the dataset, the app would fill it
        assert sha256(path) == sha256(IMAGES / person.lesion_mask)
        assert nb.load(path).shape == nb.load(t1w).shape
        np.testing.assert_allclose(nb.load(path).affine, nb.load(t1w).affine, atol=1e-4)


def test_images_of_people_are_those_whose_licence_is_told():
    text = LICENCES.read_text()
    images = sorted(path for path in IMAGES.iterdir() if path != LICENCES)
    named = [name for person in PEOPLE for name in (person.t1w, person.lesion_mask) if name]
    assert [path.name for path in images] == sorted(named)
    for path in images:
        assert f'| `{path.name}` | `{sha256(path)}` |' in text
    assert sum(path.stat().st_size for path in images) < SMALL_BYTES
    for said in ('CC BY 4.0', '10.1007/s12021-017-9348-7', 'PDDL 1.0', 'PNAS 2006', '**Changed**'):
        assert said in text


@pytest.mark.slow
def test_demo_has_a_patient_a_healthy_person_and_a_made_up_head(built):
    groups = {'sub-01': 'patient', 'sub-02': 'healthy', 'sub-03': 'simulated'}
    assert read_groups(built / 'bids') == groups
    images = {p.relative_to(built).as_posix() for p in built.rglob('*.nii*')}
    assert images == {
        *(f'bids/{sub}/anat/{sub}_T1w.nii.gz' for sub in groups),
        'truth/sub-01/anat/sub-01_label-lesion_mask.nii.gz',
        'truth/sub-03/anat/sub-03_desc-lesionfree_T1w.nii.gz',
        'truth/sub-03/anat/sub-03_label-lesion_mask.nii.gz',
        'truth/sub-03/anat/sub-03_label-lesion_probseg.nii.gz',
    }
    made = nb.load(built / 'bids/sub-03/anat/sub-03_T1w.nii.gz')
    assert made.shape == WITH_LESIONS.shape
    assert LICENCES.read_text() in (built / 'bids/README.md').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('folder', ['bids', 'truth'])
def test_validator_finds_no_error(built, folder):
    validator = Path(sys.executable).with_name('bids-validator-deno')
    run = subprocess.run([validator, '--json', built / folder], capture_output=True, check=False)
    issues = json.loads(run.stdout)['issues']['issues']
    assert [i for i in issues if i['severity'] == 'error'] == []


@pytest.mark.slow
def test_same_seed_gives_the_same_files(built, tmp_path):
    with threadpool_limits(1):
        build(tmp_path / 'bids', tmp_path / 'truth')
    assert hashes(tmp_path) == hashes(built)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['bids', 'truth']
