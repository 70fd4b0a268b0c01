"""The app on datasets as DataLad, other file systems and large studies have them."""

import os
import shutil
import time

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import grid_of

from bids_inpaint.cli import dataset, main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
MANY = 10_000


@pytest.fixture(autouse=True)
def no_pages(monkeypatch):
    """Pages take longer than all else, and have tests of their own."""
    monkeypatch.setattr('bids_inpaint.run.pages.report_run', lambda *_: [])


def annex(path, root):
    """Put the content of a file where git-annex has it, read-only, and a link in its place."""
    key = root / '.git/annex/objects/f1/2k' / path.name / path.name
    key.parent.mkdir(parents=True)
    path.rename(key)
    key.chmod(0o444)
    path.symlink_to(os.path.relpath(key, path.parent))


def test_a_datalad_dataset_has_right_products_that_are_files(linear, tiny_dataset, tmp_path):
    (tiny_dataset / 'participants.tsv').write_text('participant_id\tage\nsub-01\t30\nsub-02\t40\n')
    names = ['participants.tsv', 'dataset_description.json']
    images = sorted(tiny_dataset.rglob('*_T1w.nii*'))
    plain = {path: nb.load(path).get_fdata() for path in images}
    for path in [*images, *(tiny_dataset / name for name in names)]:
        annex(path, tiny_dataset)
    assert main(linear()) == 0
    out = tmp_path / 'out'
    assert not [path for path in out.rglob('*') if path.is_symlink()]
    for path, source in plain.items():
        stem = path.name.partition('_T1w')[0]
        (product,) = out.rglob(f'{stem}_desc-inpainted_T1w.nii.gz')
        (mask,) = out.rglob(f'{stem}_desc-change_mask.nii.gz')
        outside = nb.load(mask).get_fdata() == 0
        np.testing.assert_array_equal(nb.load(product).get_fdata()[outside], source[outside])
        assert path.is_symlink()
        assert path.resolve().stat().st_mode & 0o777 == 0o444
    assert dataset.main([str(tiny_dataset), str(out), str(tmp_path / 'new')]) == 0
    assert len((tmp_path / 'new/participants.tsv').read_text().splitlines()) == 3


def test_labels_that_differ_in_case_alone_are_two_people(linear, tiny_dataset, tmp_path):
    source = tiny_dataset / 'sub-01/anat/sub-01_T1w.nii.gz'
    for label, dtype in (('A', 'i2'), ('a', 'f4')):
        path = tiny_dataset / f'sub-{label}/anat/sub-{label}_T1w.nii.gz'
        tiny_app.write_head(path, grid_of('RAS'), dtype=dtype)
    shutil.rmtree(source.parents[1])
    shutil.rmtree(tiny_dataset / 'sub-02')
    assert main(linear()) == 0
    types = {
        label: nb.load(tmp_path / f'out/sub-{label}/anat/sub-{label}_desc-inpainted_T1w.nii.gz')
        .get_data_dtype()
        .name
        for label in 'Aa'
    }
    assert types == {'A': 'int16', 'a': 'float32'}


@pytest.mark.parametrize('length', [1500, 4000])
def test_very_long_paths_are_taken_or_told(linear, tiny_dataset, tmp_path, capsys, length):
    """The file system allows 4,096 bytes, of which the working folder needs 300."""
    folder = tmp_path / 'out'
    while len(str(folder)) < length:
        folder /= 'x' * min(200, length - len(str(folder)))
    shutil.rmtree(tiny_dataset / 'sub-02')
    line = linear()
    line[1] = str(folder)
    line[line.index('-w') + 1] = str(folder) + 'w'
    status = main(line)
    said = capsys.readouterr().err
    assert 'Traceback' not in said
    if length < 2000:
        assert status == 0, said
        assert (folder / 'sub-01/anat/sub-01_desc-inpainted_T1w.nii.gz').is_file()
    else:
        assert status in {1, 2}
        assert 'File name too long' in said


def test_10_000_participants_are_planned_and_one_of_them_is_done(
    linear, tiny_dataset, tmp_path, capsys
):
    for number in range(MANY):
        path = tiny_dataset / f'sub-{number:05}/anat/sub-{number:05}_T1w.nii.gz'
        path.parent.mkdir(parents=True)
        path.touch()
    tiny_app.write_head(tiny_dataset / 'sub-00777/anat/sub-00777_T1w.nii.gz', grid_of('RAS'))
    started = time.process_time()
    assert main(linear('--dry-run')) == 0
    assert capsys.readouterr().out.count('_desc-inpainted_T1w.nii.gz') >= MANY
    assert main(linear('--participant-label', '00777')) == 0
    assert (tmp_path / 'out/sub-00777/anat/sub-00777_desc-inpainted_T1w.nii.gz').is_file()
    assert main([str(tiny_dataset), str(tmp_path / 'out'), 'group']) == 0
    table = (tmp_path / 'out/group_T1w.tsv').read_text().splitlines()
    assert len(table) == 1 + MANY + 2
    assert time.process_time() - started < 600
