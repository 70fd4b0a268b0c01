from pathlib import Path

import pytest
from bids_strategies import entities_of, scans
from hypothesis import given

from bids_inpaint.bids.scan import parse_t1w


@given(scan=scans())
def test_every_entity_of_a_name_is_read_as_written(scan):
    assert list(scan.entities) == entities_of(scan.t1w.name)
    assert scan.t1w.name.startswith(f'{scan.name}_T1w.nii')
    assert Path('/data') / scan.relative_path == scan.t1w


@given(scan=scans())
def test_workflow_name_is_an_identifier(scan):
    assert scan.workflow_name.isidentifier()


def test_padding_of_a_run_is_kept():
    scan = parse_t1w(Path('/data/sub-1/ses-b/anat/sub-1_ses-b_run-01_T1w.nii.gz'))
    assert (scan.subject, scan.session) == ('1', 'b')
    assert dict(scan.entities)['run'] == '01'


def test_session_may_be_absent():
    assert parse_t1w(Path('/data/sub-1/anat/sub-1_T1w.nii')).session is None


@pytest.mark.parametrize(
    'name',
    [
        'T1w.nii.gz',
        'sub-01_T2w.nii.gz',
        'sub-01_T1w.mgz',
        'sub-01_mprage_T1w.nii.gz',
        'sub-01_acq-_T1w.nii.gz',
        'sub-01_acq-a-b_T1w.nii.gz',
        'sub-01_acq-a_acq-b_T1w.nii.gz',
        'acq-a_sub-01_T1w.nii.gz',
    ],
)
def test_name_that_is_not_of_bids_is_refused(name):
    with pytest.raises(ValueError, match='name of a T1w image must be'):
        parse_t1w(Path('/data/sub-01/anat') / name)


@pytest.mark.parametrize(
    'path',
    [
        '/data/sub-02/anat/sub-01_T1w.nii.gz',
        '/data/sub-01/ses-1/anat/sub-01_T1w.nii.gz',
        '/data/sub-01/anat/sub-01_ses-1_T1w.nii.gz',
        '/data/sub-01/func/sub-01_T1w.nii.gz',
    ],
)
def test_image_in_a_folder_that_is_not_its_own_is_refused(path):
    with pytest.raises(ValueError, match='must be in sub-01'):
        parse_t1w(Path(path))
