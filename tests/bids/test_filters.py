import json
from pathlib import Path

import pytest

from bids_inpaint.bids.filters import asks_for, check_filters, matches, read_filters
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError

SCAN = parse_t1w(Path('/data/sub-01/ses-b/anat/sub-01_ses-b_acq-mprage_run-01_T1w.nii.gz'))


@pytest.mark.parametrize(
    ('entity', 'wanted', 'taken'),
    [
        ('acquisition', 'mprage', True),
        ('acq', 'mprage', True),
        ('acquisition', 'MPRAGE', False),
        ('acquisition', 'mp', False),
        ('acquisition', ['space', 'mprage'], True),
        ('acquisition', ['space', 'flash'], False),
        ('acquisition', [], False),
        ('acquisition', None, False),
        ('acquisition', 'Query.NONE', False),
        ('acquisition', '<Query.NONE: 1>', False),
        ('acquisition', '*', True),
        ('acquisition', 'Query.ANY', True),
        ('acquisition', '<Query.REQUIRED: 2>', True),
        ('reconstruction', None, True),
        ('reconstruction', 'Query.NONE', True),
        ('reconstruction', '*', False),
        ('reconstruction', 'Query.ANY', False),
        ('reconstruction', 'Query.OPTIONAL', True),
        ('reconstruction', [None, 'norm'], True),
        ('reconstruction', 'norm', False),
        ('run', 1, True),
        ('run', '1', True),
        ('run', '01', True),
        ('run', [2, 3], False),
        ('run', '001', True),
        ('run', '²', False),
        ('run', '1' * 5000, False),
        ('subject', 'sub-01', True),
        ('subject', '1', False),
        ('session', 'b', True),
        ('datatype', 'anat', True),
        ('datatype', 'func', False),
        ('suffix', 'T1w', True),
        ('suffix', 'T2w', False),
        ('extension', '.nii.gz', True),
        ('extension', 'nii.gz', True),
        ('extension', '.nii', False),
    ],
)
def test_one_filter(entity, wanted, taken):
    filters = {entity: wanted}
    check_filters(filters)
    assert matches(SCAN, filters) is taken


def test_all_filters_must_match():
    assert matches(SCAN, {'acquisition': 'mprage', 'run': 1})
    assert not matches(SCAN, {'acquisition': 'mprage', 'run': 2})
    assert matches(SCAN, {})


def test_filter_is_found_by_either_name_of_its_entity():
    assert asks_for({'ceagent': None}, 'ce')
    assert asks_for({'ce': '*'}, 'ce')
    assert not asks_for({'run': 1}, 'ce')


def test_unknown_entity_is_named():
    with pytest.raises(BidsInpaintError, match=r"'acquisitoin'.* acquisition"):
        check_filters({'acquisitoin': 'mprage'})


@pytest.mark.parametrize('value', [True, 1.5, {'a': 1}, [['a']], 'Query.SOME', ['a', {'b': 1}]])
def test_value_without_a_meaning_is_named(value):
    with pytest.raises(BidsInpaintError, match=r"filter for 'run' must be .*, is "):
        check_filters({'run': value})


def test_group_for_t1w_is_read_and_others_are_not(tmp_path):
    path = tmp_path / 'filters.json'
    path.write_text(json.dumps({'t1w': {'run': None}, 'bold': {'no such': 1}}))
    assert read_filters(path) == {'run': None}


@pytest.mark.parametrize('content', ['{"T1w": {"run": 1}}', '[1]', '{"t1w": ["run"]}'])
def test_file_of_another_form_is_named(tmp_path, content):
    path = tmp_path / 'filters.json'
    path.write_text(content)
    with pytest.raises(BidsInpaintError, match=r'filters\.json .*\{"t1w"'):
        read_filters(path)


def test_file_that_is_not_json_is_named(tmp_path):
    path = tmp_path / 'filters.json'
    path.write_text('{t1w: ')
    with pytest.raises(BidsInpaintError, match=r'filters\.json must be a readable JSON'):
        read_filters(path)


def test_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(BidsInpaintError, match=r'none\.json must be a readable JSON'):
        read_filters(tmp_path / 'none.json')


def test_wrong_entity_in_a_file_is_named(tmp_path):
    path = tmp_path / 'filters.json'
    path.write_text('{"t1w": {"contrast": "T1"}}')
    with pytest.raises(BidsInpaintError, match="'contrast'"):
        read_filters(path)


def test_file_is_read_as_editors_write_it(tmp_path):
    path = tmp_path / 'filters.json'
    path.write_bytes('{"t1w": {"run": 1}}'.encode('utf-8-sig'))
    assert read_filters(path) == {'run': 1}
