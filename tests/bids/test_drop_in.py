"""A dataset with inpainted images in place of the sources, and all else as it was."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_inpaint.bids.dataset import read_description, write_dataset_files
from bids_inpaint.bids.derivatives import find_processed
from bids_inpaint.bids.drop_in import make_drop_in
from bids_inpaint.bids.existing import source_sha256
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import source_uri, write_json
from bids_inpaint.cli.dataset import main
from bids_inpaint.errors import BidsInpaintError

T1W = (
    'sub-01/anat/sub-01_T1w.nii.gz',
    'sub-02/ses-1/anat/sub-02_ses-1_run-1_T1w.nii',
    'sub-02/ses-2/anat/sub-02_ses-2_T1w.nii.gz',
)
CONTRAST = 'sub-01/anat/sub-01_ce-gd_T1w.nii.gz'


def write_image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    img = nb.Nifti1Image(np.full((5, 6, 7), value, np.int16), np.eye(4))
    img.header.set_xyzt_units('mm', 'sec')
    img.to_filename(path)


def write_result(out: Path, source: Path, value: int = 1) -> Path:
    """What `make_drop_in` looks at of the derivatives of one image."""
    scan = parse_t1w(source)
    digest = source_sha256(source)
    sidecar = {
        'Description': 'filled',
        'Sources': [source_uri(scan)],
        'GeneratedBy': [{'Name': 'bids_inpaint', 'Version': '1', 'Parameters': {'a': 1}}],
        'Steps': [{'step': 'conform', 'source_sha256': digest}],
    }
    product = derivative_path(scan, 'inpainted')
    write_image(out / product, value)
    for kind in ('inpainted', 'anat2std_xfm'):
        write_json(out / sidecar_path(derivative_path(scan, kind)), sidecar)
    (out / derivative_path(scan, 'anat2std_xfm')).touch()
    write_json(out / derivative_path(scan, 'qc'), {'lesion_count': 1})
    return out / product


@pytest.fixture
def bids(tmp_path) -> Path:
    """A dataset with sessions, functional images, tables and inherited sidecars."""
    root = tmp_path / 'study' / 'raw'
    for name in (*T1W, CONTRAST):
        write_image(root / name)
    bold = root / 'sub-01/func/sub-01_task-rest_bold.nii.gz'
    bold.parent.mkdir()
    img = nb.Nifti1Image(np.zeros((5, 6, 7, 4), np.int16), np.eye(4))
    img.header.set_xyzt_units('mm', 'sec')
    img.header['pixdim'][4] = 2
    img.to_filename(bold)
    texts = {
        'README': 'ours',
        '.bidsignore': 'extra\n',
        '.git/config': 'hidden',
        'extra/notes.txt': 'note',
        'derivatives/fs/dataset_description.json': '{}',
        'sourcedata/raw.dcm': 'dicom',
        'T1w.json': '{"Manufacturer": "M"}',
        'task-rest_bold.json': '{"RepetitionTime": 2.0, "TaskName": "rest"}',
        'sub-01/anat/sub-01_T1w.json': '{"EchoTime": 0.003, "Description": "old"}',
        'participants.tsv': 'participant_id\tage\nsub-01\t30\nsub-02\t40\n',
        'sub-01/sub-01_scans.tsv': 'filename\tacq_time\nanat/sub-01_T1w.nii.gz\tn/a\n'
        'anat/sub-01_ce-gd_T1w.nii.gz\tn/a\nfunc/sub-01_task-rest_bold.nii.gz\tn/a\n',
        'dataset_description.json': json.dumps(
            {'Name': 'Study', 'BIDSVersion': '1.8.0', 'DatasetType': 'raw',
             'License': 'CC0', 'DatasetDOI': 'doi:10.0/1'}
        ),
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def out(bids, tmp_path) -> Path:
    """What the app wrote of it."""
    folder = tmp_path / 'study' / 'out'
    write_dataset_files(folder, bids_dir=bids)
    for name in T1W:
        write_result(folder, bids / name)
    return folder


@pytest.fixture
def new(tmp_path) -> Path:
    return tmp_path / 'study' / 'filled'


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if not path.is_dir()}


def values(path: Path) -> set[int]:
    return set(np.unique(np.asarray(nb.load(path).dataobj)).tolist())


def test_images_are_replaced_and_all_else_is_linked(bids, out, new):
    made = make_drop_in(bids, out, new)
    assert made.replaced == 3
    assert made.left_out == (CONTRAST,)
    for name in T1W:
        assert values(new / name) == {1}
    hidden = ('.git/', 'derivatives/', 'sourcedata/', CONTRAST)
    expected = {name for name in files_of(bids) if not name.startswith(hidden)}
    sidecars = {str(sidecar_path(Path(name))) for name in T1W}
    assert files_of(new) == expected | sidecars
    bold = 'sub-01/func/sub-01_task-rest_bold.nii.gz'
    assert (new / bold).readlink() == Path(f'../../../raw/{bold}')
    assert (new / bold).samefile(bids / bold)
    own = {name for name in files_of(new) if not (new / name).is_symlink()}
    tables = {'sub-01/sub-01_scans.tsv', 'dataset_description.json'}
    assert own == sidecars | tables | {T1W[1]}  # it is .nii, its result .nii.gz


def test_neither_dataset_is_written_to(bids, out, new):
    before = {path: path.stat().st_mtime_ns for path in (*bids.rglob('*'), *out.rglob('*'))}
    make_drop_in(bids, out, new)
    after = {path: path.stat().st_mtime_ns for path in (*bids.rglob('*'), *out.rglob('*'))}
    assert after == before


def test_links_hold_when_all_is_moved(bids, out, new, tmp_path):
    make_drop_in(bids, out, new)
    (tmp_path / 'study').rename(tmp_path / 'moved')
    assert all((tmp_path / 'moved/filled' / name).exists() for name in T1W)


def test_sidecar_is_kept_and_extended(bids, out, new):
    make_drop_in(bids, out, new)
    found = json.loads((new / 'sub-01/anat/sub-01_T1w.json').read_text())
    assert found['EchoTime'] == 0.003
    assert found['Description'] == 'filled'
    assert found['Sources'] == [
        'bids:raw:sub-01/anat/sub-01_T1w.nii.gz',
        'bids:inpainted:sub-01/anat/sub-01_desc-inpainted_T1w.nii.gz',
    ]
    assert found['GeneratedBy'][0]['Parameters'] == {'a': 1}
    other = json.loads((new / 'sub-02/ses-2/anat/sub-02_ses-2_T1w.json').read_text())
    assert 'EchoTime' not in other


def test_description_says_what_it_is_and_of_what(bids, out, new):
    make_drop_in(bids, out, new)
    found = read_description(new)
    assert found['Name'] == 'Study, white-matter lesions inpainted'
    assert (found['DatasetType'], found['BIDSVersion'], found['License']) == (
        'raw',
        '1.8.0',
        'CC0',
    )
    assert 'DatasetDOI' not in found
    assert found['GeneratedBy'][-1]['Name'] == 'bids_inpaint'
    assert found['SourceDatasets'][0] == {'URL': bids.as_uri(), 'DOI': 'doi:10.0/1'}
    assert found['DatasetLinks'] == {'raw': bids.as_uri(), 'inpainted': out.as_uri()}


def test_tables_name_what_is_there(bids, out, new):
    make_drop_in(bids, out, new, participant_label=['01'])
    assert (new / 'participants.tsv').read_text() == 'participant_id\tage\nsub-01\t30\n'
    assert (new / 'sub-01/sub-01_scans.tsv').read_text().splitlines()[1:] == [
        'anat/sub-01_T1w.nii.gz\tn/a',
        'func/sub-01_task-rest_bold.nii.gz\tn/a',
    ]
    assert not (new / 'sub-02').exists()


def test_copies_need_no_other_folder(bids, out, new):
    make_drop_in(bids, out, new, copy=True)
    shutil.rmtree(bids)
    shutil.rmtree(out)
    assert not [path for path in new.rglob('*') if path.is_symlink()]
    assert all(values(new / name) == {1} for name in T1W)
    assert (new / 'extra/notes.txt').read_text() == 'note'


def test_compressed_result_becomes_plain_as_its_source(bids, out, new):
    make_drop_in(bids, out, new)
    (one,) = [p for p in find_processed(out, bids) if p.scan.t1w.name == Path(T1W[1]).name]
    assert (new / T1W[1]).read_bytes() == gzip.decompress(
        one.files()['inpainted_native'].read_bytes()
    )


def test_participants_without_result_are_named(bids, out, new):
    for path in (out / 'sub-02/ses-2').rglob('*_qc.json'):
        path.unlink()
    with pytest.raises(BidsInpaintError, match=re.escape(f'without: {T1W[2]}. Process them')):
        make_drop_in(bids, out, new)
    assert sorted(path.name for path in new.parent.iterdir()) == ['out', 'raw']
    made = make_drop_in(bids, out, new, allow_missing=True)
    assert made.left_out == (CONTRAST, T1W[2])
    assert not (new / T1W[2]).exists()
    assert (new / T1W[1]).exists()


def test_output_without_native_images_is_no_result(bids, out, new):
    for path in out.rglob('*_desc-inpainted_T1w.nii.gz'):
        path.unlink()
    with pytest.raises(BidsInpaintError, match='must have its inpainted one'):
        make_drop_in(bids, out, new, allow_missing=True)


def test_image_that_was_replaced_since_is_refused(bids, out, new):
    write_image(bids / T1W[0], 7)
    with pytest.raises(BidsInpaintError, match=r'sub-01_T1w\.nii\.gz is not the image any more'):
        make_drop_in(bids, out, new)


def test_unknown_participant_is_named(bids, out, new):
    with pytest.raises(BidsInpaintError, match='no such participant: sub-09'):
        make_drop_in(bids, out, new, participant_label=['01', '09'], allow_missing=True)


@pytest.mark.parametrize('place', ['raw/new', 'out/new', 'raw', 'taken'])
def test_place_that_is_taken_or_within_a_dataset_is_refused(bids, out, place):
    (bids.parent / 'taken').mkdir()
    (bids.parent / 'taken/file').touch()
    with pytest.raises(BidsInpaintError, match='the new dataset must'):
        make_drop_in(bids, out, bids.parent / place)
    assert not (bids / 'new').exists()


@pytest.mark.parametrize('place', ['raw/derivatives/new', 'deep/er/new'])
def test_other_places_will_do(bids, out, place):
    make_drop_in(bids, out, bids.parent / place)
    assert values(bids.parent / place / T1W[0]) == {1}


def test_nothing_is_left_of_what_failed(bids, out, new, monkeypatch):
    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('bids_inpaint.bids.drop_in.copy_bytes', fail)
    with pytest.raises(BidsInpaintError, match='No space left'):
        make_drop_in(bids, out, new)
    assert sorted(path.name for path in new.parent.iterdir()) == ['out', 'raw']


def test_nothing_is_written_through_a_linked_participant(bids, out, new, tmp_path):
    (bids / 'sub-01').rename(tmp_path / 'elsewhere')
    (bids / 'sub-01').symlink_to(tmp_path / 'elsewhere')
    make_drop_in(bids, out, new)
    assert values(bids / T1W[0]) == {0}
    assert values(new / T1W[0]) == {1}
    assert not (new / 'sub-01').is_symlink()


def test_image_that_was_not_fetched_is_linked(bids, out, new):
    bold = bids / 'sub-01/func/sub-01_task-rest_bold.nii.gz'
    bold.unlink()
    bold.symlink_to('../../.git/annex/nothing')
    make_drop_in(bids, out, new)
    assert (new / bold.relative_to(bids)).is_symlink()
    shutil.rmtree(new)
    with pytest.raises(BidsInpaintError, match=r'task-rest_bold\.nii\.gz'):
        make_drop_in(bids, out, new, copy=True)


def test_folder_of_another_program_is_no_output(bids, out, new):
    write_json(out / 'dataset_description.json', {'GeneratedBy': [{'Name': 'fMRIPrep'}]})
    with pytest.raises(BidsInpaintError, match='made by bids_inpaint'):
        make_drop_in(bids, out, new)


def test_command_tells_what_it_did(bids, out, new, capsys):
    assert main([str(bids), str(out), str(new), '--allow_missing']) == 0
    said = capsys.readouterr().err
    assert f'left out, as it was not inpainted: {CONTRAST}' in said
    assert '3 T1w images are inpainted in' in said
    assert main([str(bids), str(out), str(new)]) == 2
    assert 'not there yet, or empty' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('options', [{}, {'copy': True}, {'participant_label': ['01']}])
def test_validator_finds_no_error(bids, out, new, options):
    executable = Path(sys.executable).with_name('bids-validator-deno')
    if not executable.exists():
        pytest.skip('bids-validator-deno is not installed')
    make_drop_in(bids, out, new, **options)
    result = subprocess.run(
        [str(executable), str(new), '--json'], capture_output=True, check=False
    )
    issues = json.loads(result.stdout)['issues']['issues']
    errors = {f'{i["code"]} {i["location"]}' for i in issues if i['severity'] == 'error'}
    assert errors == set()
