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
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import source_uri
from bids_inpaint.cli.dataset import main
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256, write_json

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
    digest = sha256(source)
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


@pytest.fixture
def doubtful(bids, out) -> str:
    """One of the images has a problem, which is returned."""
    text = '300000 mm3 were changed, more than 150000 mm3'
    write_json(out / derivative_path(parse_t1w(bids / T1W[0]), 'qc'), {'problems': text})
    return text


def test_images_with_problems_are_an_error(bids, out, new, doubtful, capsys):
    assert main([str(bids), str(out), str(new)]) == 2
    error = capsys.readouterr().err
    assert f'{T1W[0]} ({doubtful})' in error
    assert T1W[1] not in error
    assert '--allow-problems' in error
    assert not new.exists()


def test_images_with_problems_are_taken_if_allowed(bids, out, new, doubtful, capsys):
    assert main([str(bids), str(out), str(new), '--allow-problems']) == 0
    assert f'WARNING taken, with problems: {T1W[0]}: {doubtful}' in capsys.readouterr().err
    assert np.asarray(nb.load(new / T1W[0]).dataobj).max() == 1


def test_images_with_problems_are_left_out_if_asked_for(bids, out, new, doubtful, capsys):
    assert main([str(bids), str(out), str(new), '--leave-out-problems']) == 0
    error = capsys.readouterr().err
    assert f'WARNING left out, with problems: {T1W[0]}: {doubtful}' in error
    assert '2 T1w images are inpainted' in error
    assert not (new / 'sub-01').exists()
    assert 'sub-01' not in (new / 'participants.tsv').read_text()
    assert all((new / name).exists() for name in T1W[1:])


def test_not_all_images_can_be_left_out(bids, out, new, doubtful, capsys):
    options = ('--leave-out-problems', '--participant-label', '01')
    assert main([str(bids), str(out), str(new), *options]) == 2
    assert doubtful in capsys.readouterr().err
    assert not new.exists()


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
    (one,) = [
        p for p in find_processed(out, bids).processed if p.scan.t1w.name == Path(T1W[1]).name
    ]
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
    with pytest.raises(BidsInpaintError, match='--allow-missing'):
        make_drop_in(bids, out, new, allow_missing=True)


def test_image_that_was_replaced_since_is_refused(bids, out, new):
    write_image(bids / T1W[0], 7)
    with pytest.raises(BidsInpaintError, match=r'sub-01_T1w\.nii\.gz .*process it again'):
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

    monkeypatch.setattr('bids_inpaint.bids.drop_in.copy_image', fail)
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
    assert 'new dataset' in capsys.readouterr().err


def keep_the_second(bids, out, new, capsys) -> str:
    """Make the dataset without sub-01; return what the program says."""
    for path in (out / 'sub-01').rglob('*'):
        path.unlink() if path.is_file() else None
    assert main([str(bids), str(out), str(new), '--allow-missing']) == 0
    return capsys.readouterr().err


TABLE = 'participant_id\tage\tsite\nsub-01\t30\tA\nsub-02\t40\tB\n'
LEFT = 'participant_id\tage\tsite\nsub-02\t40\tB\n'


@pytest.mark.parametrize(
    'write',
    [
        lambda text: text,
        lambda text: text.replace('sub-', ''),
        lambda text: text.replace('sub-0', 'sub-'),
        lambda text: text.replace('sub-0', ''),
        lambda text: re.sub(r'sub-0(\d)', r'\1.0', text),
        lambda text: re.sub(r'(sub-\d+)', r'"\1"', text),
        lambda text: re.sub(r'(sub-\d+)', r' \1 ', text),
        lambda text: text.replace('sub-', 'SUB-').replace('participant_id', 'Participant_ID'),
        lambda text: re.sub('(.*?)\t(.*?)\t', r'\2\t\1\t', text),
        lambda text: text.replace('B', 'Zürich\u2028\u0085\x0c'),
        lambda text: text.replace('\n', '\r\n'),
        lambda text: text.replace('\n', '\r'),
        lambda text: text.rstrip('\n'),
        lambda text: text.replace('\t40\tB', ''),
        lambda text: text + 'sub-02\t41\tB\n\n',
    ],
)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'latin-1'])
def test_lines_of_participants_are_found_as_people_write_them(
    bids, out, new, capsys, write, encoding
):
    table = write(TABLE)
    if encoding == 'latin-1':
        table = table.replace('\u2028', '')
    (bids / 'participants.tsv').write_bytes(table.encode(encoding))
    said = keep_the_second(bids, out, new, capsys)
    expected = write(LEFT).replace('\u2028', '' if encoding == 'latin-1' else '\u2028')
    assert (new / 'participants.tsv').read_bytes() == expected.encode(encoding)
    assert 'participants.tsv' not in said


@pytest.mark.parametrize(
    ('table', 'reason'),
    [
        (TABLE.replace('\t', ','), 'column participant_id, separated by tabs; has part'),
        (TABLE.replace('participant_id', 'ID'), 'must have a column participant_id'),
        (TABLE.replace('sub-02', 'MS0017'), 'no line for sub-02, but there are lines for MS0017'),
        (TABLE.replace('B', '"one\ntwo"'), 'as many cells as the first; that of .two. does not'),
        ('', 'it is empty'),
        ('\xff\xfep', 'truncated data'),
        (None, 'No such file'),
    ],
)
def test_table_whose_lines_are_not_known_is_taken_whole(bids, out, new, capsys, table, reason):
    path = bids / 'participants.tsv'
    path.unlink()
    if table is None:
        path.symlink_to('.git/annex/none')
    else:
        path.write_bytes(table.encode('latin-1'))
    said = keep_the_second(bids, out, new, capsys)
    assert re.search(rf'WARNING {path} is kept whole.*{reason}', said)
    assert (new / 'participants.tsv').is_symlink()


def test_table_is_as_it_was_if_nobody_is_left_out(bids, out, new):
    (bids / 'participants.tsv').write_text('ID,age\nMS01,3\nMS99,4\n')
    make_drop_in(bids, out, new)
    assert (new / 'participants.tsv').is_symlink()


@pytest.mark.parametrize('name', ['"{}"', '{} ', './{}', 'sub-01/{}'])
def test_lines_of_images_are_found_as_people_write_them(bids, out, new, name):
    path = bids / 'sub-01/sub-01_scans.tsv'
    path.write_text(
        'acq_time\tfilename\n'
        f'n/a\t{name.format("anat/sub-01_T1w.nii.gz")}\nn/a\t{name.format(CONTRAST[7:])}\n'
    )
    make_drop_in(bids, out, new)
    lines = path.read_text().splitlines(keepends=True)
    assert (new / 'sub-01/sub-01_scans.tsv').read_text() == ''.join(lines[:2])


SIDECAR = 'sub-01/anat/sub-01_T1w.json'
FIELDS = '{"EchoTime": 0.003, "InstitutionName": "Hôpital"}'


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'cp1252'])
def test_sidecar_is_read_as_editors_write_it(bids, out, new, capsys, encoding):
    (bids / SIDECAR).write_bytes(FIELDS.encode(encoding))
    assert main([str(bids), str(out), str(new)]) == 0
    found = json.loads((new / SIDECAR).read_text(encoding='utf-8'))
    assert found.items() >= json.loads(FIELDS).items()
    assert 'Sources' in found
    warned = f'WARNING {bids / SIDECAR} must be UTF-8' in capsys.readouterr().err
    assert warned == (encoding == 'cp1252')


@pytest.mark.parametrize('content', [FIELDS.replace('}', ',}'), '', '[1]', '{"a', None])
def test_sidecar_that_cannot_be_read_is_named_and_kept(bids, out, new, capsys, content):
    path = bids / SIDECAR
    path.unlink()
    path.symlink_to('.git/annex/none') if content is None else path.write_text(content)
    assert main([str(bids), str(out), str(new)]) == 1
    said = capsys.readouterr().err
    assert re.search(f'ERROR {path} must .*kept unchanged', said)
    assert 'Process its scan again' not in said
    assert (new / SIDECAR).readlink() == Path('../../../raw') / SIDECAR
    assert all(values(new / name) == {1} for name in T1W)
    assert json.loads((new / T1W[2].replace('.nii.gz', '.json')).read_text())['Sources']


def test_copy_of_a_sidecar_that_was_not_fetched_is_refused(bids, out, new, capsys):
    (bids / SIDECAR).unlink()
    (bids / SIDECAR).symlink_to('.git/annex/none')
    assert main([str(bids), str(out), str(new), '--copy']) == 2
    assert f'{bids / SIDECAR} is a link whose content was not fetched' in capsys.readouterr().err
    assert not new.exists()


def test_values_that_json_does_not_have_are_told(bids, out, new, capsys):
    text = '{"EchoTime": 0.003, "FlipAngle": NaN, "SliceTiming": [0, Infinity]}'
    (bids / SIDECAR).write_text(text)
    assert main([str(bids), str(out), str(new)]) == 0
    assert 'written as null: FlipAngle, SliceTiming' in capsys.readouterr().err
    found = json.loads((new / SIDECAR).read_text())
    assert (found['EchoTime'], found['FlipAngle'], found['SliceTiming']) == (
        0.003,
        None,
        [0, None],
    )


def test_sidecar_of_a_result_that_cannot_be_read_is_named(bids, out, new, capsys):
    path = out / 'sub-01/anat/sub-01_desc-inpainted_T1w.json'
    path.write_text('')
    assert main([str(bids), str(out), str(new)]) == 1
    assert f'{path} must be readable JSON' in capsys.readouterr().err
    assert json.loads((new / SIDECAR).read_text())['EchoTime'] == 0.003


@pytest.mark.parametrize('kind', ['qc', 'anat2std_xfm'])
def test_result_that_cannot_be_read_is_named_and_left_out(bids, out, new, capsys, kind):
    path = out / sidecar_path(derivative_path(parse_t1w(bids / T1W[0]), kind))
    path.write_text('')
    assert main([str(bids), str(out), str(new)]) == 2
    said = capsys.readouterr().err
    assert f'without: {T1W[0]}' in said
    assert f'{path} must be readable JSON' in said
    assert main([str(bids), str(out), str(new), '--allow-missing']) == 1
    assert f'{path} must be readable JSON' in capsys.readouterr().err
    assert not (new / T1W[0]).exists()
    assert (new / T1W[1]).exists()


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
