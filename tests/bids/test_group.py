import json

import pytest

from bids_inpaint.bids.group import (
    COLUMNS,
    NOT_PROCESSED,
    UNREAD,
    gather_group,
    read_participants,
    write_group_table,
)
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import write_json


@pytest.fixture
def write_qc(tmp_path):
    """Writer of the QC file of a scan, given by its path in the source dataset."""

    def write(source, **numbers):
        scan = parse_t1w(tmp_path / 'raw' / source)
        for path in (product := derivative_path(scan, 'inpainted'), sidecar_path(product)):
            (tmp_path / 'out' / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'out' / path).touch()
        return write_json(tmp_path / 'out' / derivative_path(scan, 'qc'), numbers)

    return write


def write_table(folder):
    return write_group_table(folder / 'out', gather_group(folder / 'out', folder / 'raw'))


def read_rows(table):
    return [line.split('\t') for line in table.read_text().splitlines()]


def test_one_row_per_scan_in_the_order_of_names(tmp_path, write_qc):
    write_qc('sub-10/anat/sub-10_T1w.nii.gz', lesion_count=0)
    write_qc('sub-2/ses-1/anat/sub-2_ses-1_run-2_T1w.nii.gz', lesion_count=7)
    write_qc('sub-2/ses-1/anat/sub-2_ses-1_run-1_T1w.nii.gz', lesion_count=5)
    table = write_table(tmp_path)
    assert table.name == 'group_T1w.tsv'
    assert read_rows(table) == [
        ['participant_id', 'session_id', 'source', 'lesion_count'],
        ['sub-2', 'ses-1', 'sub-2_ses-1_run-1', '5'],
        ['sub-2', 'ses-1', 'sub-2_ses-1_run-2', '7'],
        ['sub-10', 'n/a', 'sub-10', '0'],
    ]


def test_values_that_are_missing_are_said_to_be(tmp_path, write_qc):
    write_qc('sub-1/anat/sub-1_T1w.nii.gz', a=float('nan'), b='two\twords\n')
    write_qc('sub-2/anat/sub-2_T1w.nii.gz', b='', c=1.5)
    rows = read_rows(write_table(tmp_path))
    assert [row[3:] for row in rows] == [
        ['a', 'b', 'c'],
        ['n/a', 'two words', 'n/a'],
        ['n/a', 'n/a', '1.5'],
    ]


def test_text_that_no_table_can_hold_is_made_to_fit(tmp_path, write_qc):
    write_qc('sub-1/anat/sub-1_T1w.nii.gz', **{'odd\tname\n': 'half \ud800 of a letter'})
    names, values = read_rows(write_table(tmp_path))
    assert dict(zip(names, values, strict=True))['odd name'] == 'half \\ud800 of a letter'


def test_every_column_is_described(tmp_path, write_qc):
    write_qc('sub-1/anat/sub-1_T1w.nii.gz', lesion_volume_mm3=12.0, new_number=1)
    write_table(tmp_path)
    described = json.loads((tmp_path / 'out' / 'group_T1w.json').read_text())
    assert list(described) == [
        'participant_id',
        'session_id',
        'source',
        'lesion_volume_mm3',
        'new_number',
    ]
    assert described['lesion_volume_mm3'] == COLUMNS['lesion_volume_mm3']
    assert described['new_number'] == {'Description': 'new number'}


def test_table_is_written_anew(tmp_path, write_qc):
    path = write_qc('sub-1/anat/sub-1_T1w.nii.gz', a=1)
    write_table(tmp_path)
    path.unlink()
    write_qc('sub-2/anat/sub-2_T1w.nii.gz', a=2)
    rows = read_rows(write_table(tmp_path))
    assert [row[0] for row in rows] == ['participant_id', 'sub-2']


def test_nothing_processed_says_what_to_do(tmp_path):
    with pytest.raises(BidsInpaintError, match='run the participant level'):
        gather_group(tmp_path, tmp_path / 'raw')


@pytest.mark.parametrize('content', ['', '{"a": ', '[1]', '{"a": {"b": 1}}', '{"a": [1]}'])
def test_unusable_file_is_named_in_its_row_beside_the_others(tmp_path, write_qc, caplog, content):
    write_qc('sub-1/anat/sub-1_T1w.nii.gz', a=1, problems='none')
    path = write_qc('sub-2/ses-1/anat/sub-2_ses-1_T1w.nii.gz')
    path.write_text(content)
    assert read_rows(write_table(tmp_path))[1:] == [
        ['sub-1', 'n/a', 'sub-1', '1', 'none'],
        ['sub-2', 'ses-1', 'sub-2_ses-1', 'n/a', UNREAD],
    ]
    assert f'{path} must' in caplog.text


def test_scans_that_were_not_processed_are_named(tmp_path, write_qc):
    for name in ('sub-1', 'sub-2', 'sub-2_ce-gad', 'sub-2_run-1'):
        path = tmp_path / f'raw/{name[:5]}/anat/{name}_T1w.nii.gz'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_qc('sub-2/anat/sub-2_T1w.nii.gz', a=2, problems='none')
    assert read_rows(write_table(tmp_path)) == [
        ['participant_id', 'session_id', 'source', 'a', 'problems'],
        ['sub-1', 'n/a', 'sub-1', 'n/a', NOT_PROCESSED],
        ['sub-2', 'n/a', 'sub-2', '2', 'none'],
        ['sub-2', 'n/a', 'sub-2_run-1', 'n/a', NOT_PROCESSED],
    ]


@pytest.mark.parametrize('ending', ['.nii.gz', '.json'])
def test_a_scan_that_is_not_whole_is_not_counted(tmp_path, write_qc, caplog, ending):
    write_qc('sub-1/anat/sub-1_T1w.nii.gz', a=1, problems='none')
    write_qc('sub-2/anat/sub-2_T1w.nii.gz', a=2, problems='none')
    (tmp_path / f'out/sub-1/anat/sub-1_desc-inpainted_T1w{ending}').unlink()
    assert read_rows(write_table(tmp_path))[1:] == [
        ['sub-1', 'n/a', 'sub-1', 'n/a', NOT_PROCESSED],
        ['sub-2', 'n/a', 'sub-2', '2', 'none'],
    ]
    (message,) = caplog.messages
    assert f'sub-1_desc-inpainted_T1w{ending} is missing' in message


def test_participants_are_read_without_what_is_missing(tmp_path):
    text = '\ufeffparticipant_id\tage\tgroup\nsub-1\t30\tn/a\n\nsub-2\t\t<b>x</b>\nsub-3\n'
    (tmp_path / 'participants.tsv').write_text(text)
    assert read_participants(tmp_path) == {
        'sub-1': {'age': '30'},
        'sub-2': {'group': '<b>x</b>'},
        'sub-3': {},
    }


@pytest.mark.parametrize('content', [b'', b'\n', b'\xff\xfe\x00', b'age\n3\n'])
def test_participants_that_cannot_be_read_are_none(tmp_path, content):
    (tmp_path / 'participants.tsv').write_bytes(content)
    assert read_participants(tmp_path) == {}


def test_dataset_without_participants_file(tmp_path):
    assert read_participants(tmp_path) == {}


@pytest.mark.parametrize('name', ['sub-01', '01', '1', '1.0', '"sub-01"', 'sub-01 ', 'SUB-1'])
def test_participants_are_known_as_people_write_them(tmp_path, name):
    table = f'age\tParticipant_ID\r\n30\t{name}\r\n31\tsub-10\r\n32\tX\r\n'
    (tmp_path / 'participants.tsv').write_bytes(table.encode('utf-16'))
    found = read_participants(tmp_path, ['sub-01', 'sub-10'])
    assert found == {'sub-01': {'age': '30'}, 'sub-10': {'age': '31'}, 'X': {'age': '32'}}


def test_participants_that_cannot_be_read_are_told(tmp_path, caplog):
    (tmp_path / 'participants.tsv').write_text('participant_id,age\n')
    assert read_participants(tmp_path, ['sub-01']) == {}
    assert 'participants.tsv is not shown: it must have a column participant_id' in caplog.text
