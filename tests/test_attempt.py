"""What the watch over an output folder sees, and the table of outcomes."""

import time

import attempt as attempts
import pytest
from attempt import Attempt, Outcome, Run, copy_as, keep, kept, table

from bids_inpaint.files import write_text

IMAGE, PAGE, SIDECAR = 'sub-01/anat/sub-01_T1w.nii.gz', 'sub-01.html', 'sub-01/anat/sub-01.json'
FILES = {
    IMAGE: 'image of sub-01',
    SIDECAR: '{"Sources": ["sub-01"], "seconds": 1}',
    PAGE: '<td>12 s</td></html>',
    'README': 'text',
}


def write(folder, files):
    for name, text in files.items():
        write_text(folder / name, text)
    return folder


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A watched output folder, of which `FILES` are expected."""
    monkeypatch.setattr(attempts, '_LOOK_EVERY_S', 0.001)
    made = Attempt(tmp_path, tmp_path, [write(tmp_path / 'expected', FILES)])
    made.out.mkdir()
    made.watch()
    yield made
    made.wrong()


@pytest.mark.parametrize('name', [IMAGE, SIDECAR, PAGE])
def test_half_a_file_is_seen_though_it_is_whole_in_the_end(watched, name):
    write(watched.out, {name: FILES[name][:-5]})
    deadline = time.monotonic() + 60
    while not watched._wrong and time.monotonic() < deadline:
        time.sleep(0.01)
    write(watched.out, FILES)
    assert watched.wrong() == [name]


def test_what_is_expected_or_has_no_final_name_is_not_wrong(watched):
    other = {SIDECAR: FILES[SIDECAR].replace('1}', '2}'), PAGE: 'it failed</html>'}
    hidden = {'sub-01/anat/.0_T1w.nii.gz': 'half', 'logs/1/config.toml': 'of this run'}
    write(watched.out, FILES | other | hidden)
    assert watched.wrong() == []
    assert watched.differs(watched.expected[0]) == [PAGE]


def test_files_that_differ_lack_or_are_too_many_are_named(watched):
    write(watched.out, FILES | {'sub-01/new': '', 'README': 'other'})
    (watched.out / PAGE).unlink()
    assert watched.differs(watched.expected[0]) == [PAGE, 'sub-01/new', 'README']
    assert watched.wrong() == ['README', 'sub-01/new']


def test_the_output_of_one_is_that_of_another_under_its_name(watched, tmp_path):
    folder = copy_as(watched.expected[0], 'sub-01', 'sub-02', tmp_path / 'other')
    names = {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}
    assert names == {name.replace('sub-01', 'sub-02') for name in FILES}
    assert (folder / 'sub-02/anat/sub-02.json').read_text() == FILES[SIDECAR].replace('01', '02')


def test_a_reason_beside_a_traceback_is_none(tmp_path):
    run = Run(None, tmp_path / 'log')
    run.log.write_text('ERROR disk is full: /out')
    assert run.told('disk .* full') == 'disk is full'
    run.log.write_text('Traceback (most recent call last):\nOSError: disk is full')
    assert run.told('disk .* full') == ''


def test_outcomes_of_all_workers_are_kept_one_for_each_test(tmp_path, monkeypatch):
    monkeypatch.setenv('FAULTS_OUTCOMES', str(tmp_path / 'kept'))
    for test, outcome in (
        ('test_b[seed1-0]', Outcome('quota', 1, '', False)),
        ('test_a', Outcome('kill', -9, '', True)),
        ('test_b[seed1-0]', Outcome('quota', 1, 'Disk quota exceeded', True)),
    ):
        monkeypatch.setenv('PYTEST_CURRENT_TEST', f'tests/run/test_faults.py::{test} (call)')
        keep(outcome)
    assert kept() == [
        Outcome('kill', -9, '', True),
        Outcome('quota', 1, 'Disk quota exceeded', True),
    ]


def test_table_has_a_row_for_each_fault():
    made = [Outcome('kill', -9, '', True), Outcome('kill', 0, '', False)]
    text = table([*made, Outcome('quota', 1, 'Disk quota exceeded', True)])
    assert '\n| kill | 2 | 1 | -9, 0 |  |\n| quota | 1 | 1 | 1 | Disk quota exceeded |\n' in text
