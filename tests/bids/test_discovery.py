import logging
import shutil
from pathlib import Path

import pytest

from bids_inpaint.bids import discovery
from bids_inpaint.bids.discovery import find_t1w
from bids_inpaint.errors import BidsInpaintError


def found(root, **options):
    return [str(scan.relative_path) for scan in find_t1w(root, **options)]


def test_every_t1w_is_found_on_its_own(make_dataset):
    names = [
        'sub-01/anat/sub-01_T1w.nii.gz',
        'sub-02/ses-1/anat/sub-02_ses-1_run-01_T1w.nii.gz',
        'sub-02/ses-1/anat/sub-02_ses-1_run-02_T1w.nii.gz',
        'sub-02/ses-2/anat/sub-02_ses-2_acq-a_rec-norm_T1w.nii',
    ]
    root = make_dataset(*names)
    scans = find_t1w(root)
    assert [str(scan.relative_path) for scan in scans] == names
    assert [scan.t1w for scan in scans] == [root / name for name in names]
    assert dict(scans[3].entities) == {'sub': '02', 'ses': '2', 'acq': 'a', 'rec': 'norm'}


def test_nothing_else_is_found(make_dataset):
    taken = 'sub-01/anat/sub-01_T1w.nii.gz'
    root = make_dataset(
        taken,
        'sub-01/anat/sub-01_T1w.json',
        'sub-01/anat/sub-01_T2w.nii.gz',
        'sub-01/anat/sub-01_T1w.nii.gz.part',
        'sub-01/func/sub-01_T1w.nii.gz',
        'sub-01/sub-01_T1w.nii.gz',
        'sub-01_T1w.nii.gz',
        'derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz',
        'sourcedata/sub-09/anat/sub-09_T1w.nii.gz',
        'code/sub-08/anat/sub-08_T1w.nii.gz',
        '.git/sub-07/anat/sub-07_T1w.nii.gz',
        'extra/sub-06/anat/sub-06_T1w.nii.gz',
    )
    assert found(root) == [taken]


def test_only_anat_is_indexed(make_dataset):
    root = make_dataset(
        'sub-01/anat/sub-01_T1w.nii.gz',
        'sub-01/anat/sub-01_FLAIR.nii.gz',
        'sub-01/func/sub-01_task-rest_bold.nii.gz',
        'derivatives/a/sub-01/anat/sub-01_T1w.nii.gz',
    )
    layout = discovery._layout(root, None)
    assert [Path(file).name for file in layout.files] == ['sub-01_T1w.nii.gz']


def test_without_an_index_only_those_asked_for_are_looked_into(make_dataset):
    names = [f'sub-{n}/anat/sub-{n}_T1w.nii.gz' for n in (1, 10, 2)]
    root = make_dataset(*names)
    layout = discovery._layout(root, None, subjects=['1', '2'])
    assert sorted(Path(file).name for file in layout.files) == [
        'sub-1_T1w.nii.gz',
        'sub-2_T1w.nii.gz',
    ]
    assert found(root, participant_label=['1']) == names[:1]


def test_an_index_that_is_kept_has_all_whoever_was_asked_for(make_dataset, tmp_path):
    names = [f'sub-{n}/anat/sub-{n}_T1w.nii.gz' for n in (1, 2)]
    root = make_dataset(*names)
    database = tmp_path / 'database'
    assert found(root, participant_label=['1'], database_dir=database) == names[:1]
    shutil.rmtree(root / 'sub-2')
    assert found(root, participant_label=['2'], database_dir=database) == names[1:]
    assert found(root, database_dir=database) == names


@pytest.mark.parametrize('kept', [False, True])
def test_a_participant_that_is_not_there_is_told_with_those_that_are(make_dataset, tmp_path, kept):
    root = make_dataset(*(f'sub-{n}/anat/sub-{n}_T1w.nii.gz' for n in (1, 2)))
    database = tmp_path / 'database' if kept else None
    with pytest.raises(BidsInpaintError, match=r'participants 3 in .*; found: 1, 2'):
        find_t1w(root, participant_label=['3'], database_dir=database)
    assert len(find_t1w(root, participant_label=['1', '3'], database_dir=database)) == 1


@pytest.mark.parametrize('parent', ['pet', 'sub-99', 'ses-x_acq-y', 'derivatives'])
def test_folders_above_the_dataset_do_not_matter(make_dataset, parent):
    name = 'sub-01/anat/sub-01_T1w.nii.gz'
    root = make_dataset(name, folder=f'{parent}/raw')
    filters = {'datatype': 'anat', 'subject': '01', 'session': None, 'acquisition': None}
    assert found(root, filters=filters, participant_label=['01']) == [name]


def test_derivative_dataset_is_found_and_keeps_its_entities(make_dataset):
    name = 'sub-01/anat/sub-01_space-MNI152NLin6Asym_res-1_desc-brain_T1w.nii.gz'
    root = make_dataset(name, DatasetType='derivative', GeneratedBy=[{'Name': 'made'}])
    (scan,) = find_t1w(root)
    assert dict(scan.entities) == {
        'sub': '01',
        'space': 'MNI152NLin6Asym',
        'res': '1',
        'desc': 'brain',
    }


def test_linked_file_without_content_is_left_to_the_checks_of_images(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T1w.json')
    (root / 'sub-01/anat/sub-01_T1w.nii.gz').symlink_to('../../.git/annex/none')
    assert found(root) == ['sub-01/anat/sub-01_T1w.nii.gz']


def test_filter_bites(make_dataset):
    root = make_dataset(
        'sub-01/anat/sub-01_acq-a_T1w.nii.gz',
        'sub-01/anat/sub-01_acq-b_T1w.nii.gz',
        'sub-01/anat/sub-01_T1w.nii.gz',
    )
    assert found(root, filters={'acquisition': 'b'}) == ['sub-01/anat/sub-01_acq-b_T1w.nii.gz']
    assert found(root, filters={'acquisition': None}) == ['sub-01/anat/sub-01_T1w.nii.gz']


def test_filter_that_leaves_nothing_is_named_with_what_was_searched(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_acq-a_T1w.nii.gz')
    with pytest.raises(BidsInpaintError, match=r"'acquisition': 'z'.*sub-01_acq-a_T1w"):
        find_t1w(root, filters={'acquisition': 'z'})


def test_unknown_entity_in_a_filter_is_named(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    with pytest.raises(BidsInpaintError, match="'contrast'"):
        find_t1w(root, filters={'contrast': 'T1'})


def test_contrast_enhanced_is_left_out_with_a_word(make_dataset, caplog):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz', 'sub-01/anat/sub-01_ce-gd_T1w.nii.gz')
    with caplog.at_level(logging.WARNING):
        assert found(root) == ['sub-01/anat/sub-01_T1w.nii.gz']
    assert 'left out 1 contrast-enhanced T1w: sub-01/anat/sub-01_ce-gd_T1w' in caplog.text


@pytest.mark.parametrize('wanted', ['gd', '*', 'Query.ANY'])
def test_contrast_enhanced_is_taken_if_asked_for(make_dataset, wanted):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz', 'sub-01/anat/sub-01_ce-gd_T1w.nii.gz')
    assert found(root, filters={'ceagent': wanted}) == ['sub-01/anat/sub-01_ce-gd_T1w.nii.gz']


def test_only_contrast_enhanced_is_an_error_that_says_so(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_ce-gd_T1w.nii.gz')
    with pytest.raises(BidsInpaintError, match=r'all 1 .*contrast-enhanced.*--bids-filter-file'):
        find_t1w(root)


UNUSUAL = {
    'part': 'sub-01/anat/sub-01_part-phase_T1w.nii.gz',
    'inversion': 'sub-01/anat/sub-01_inv-1_T1w.nii.gz',
    'description': 'sub-01/anat/sub-01_desc-preproc_T1w.nii.gz',
}


@pytest.mark.parametrize('key', UNUSUAL)
def test_parts_inversions_and_processed_copies_are_left_out_unless_asked_for(
    make_dataset, caplog, key
):
    magnitude = 'sub-01/anat/sub-01_part-mag_T1w.nii.gz'
    root = make_dataset(magnitude, *UNUSUAL.values())
    assert found(root) == [magnitude]
    assert f'{UNUSUAL[key]}; to include them, filter by "{key}"' in caplog.text
    wanted = {key: UNUSUAL[key].rpartition('_')[0].rpartition('-')[2]}
    assert found(root, filters=wanted) == [UNUSUAL[key]]


def test_only_parts_is_an_error_that_says_so(make_dataset):
    root = make_dataset(*UNUSUAL.values())
    with pytest.raises(BidsInpaintError, match=r'all 3 .*phase.*"part": "\*"'):
        find_t1w(root)


def test_labels_restrict(make_dataset):
    root = make_dataset(
        'sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz',
        'sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz',
        'sub-02/anat/sub-02_T1w.nii.gz',
    )
    assert found(root, participant_label=['02']) == ['sub-02/anat/sub-02_T1w.nii.gz']
    assert found(root, session_label=['b']) == ['sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz']


def test_unknown_participants_are_named_with_those_found(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz', 'sub-03/anat/sub-03_T2w.nii.gz')
    pattern = r'participants 02, 03 in .*folder.*: 03\); found: 01$'
    with pytest.raises(BidsInpaintError, match=pattern):
        find_t1w(root, participant_label=['02', '03'])


def test_long_lists_are_cut(make_dataset):
    root = make_dataset(*[f'sub-{i:02}/anat/sub-{i:02}_T1w.nii.gz' for i in range(25)])
    with pytest.raises(BidsInpaintError, match=r'18, 19 and 5 more$'):
        find_t1w(root, participant_label=['99'])


def test_unknown_session_is_named_with_those_found(make_dataset):
    root = make_dataset('sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz')
    with pytest.raises(BidsInpaintError, match=r'sessions b in .*: a$'):
        find_t1w(root, session_label=['b'])


def test_session_of_a_dataset_without_sessions_is_named(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    with pytest.raises(BidsInpaintError, match='images without session only'):
        find_t1w(root, session_label=['a'])


def test_dataset_without_t1w_says_what_was_searched(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T2w.nii.gz')
    with pytest.raises(BidsInpaintError, match=r'no T1w image in .*sub-\*/\[ses-\*/\]anat'):
        find_t1w(root)


def test_misnamed_image_is_left_out_with_a_word(make_dataset, caplog):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz', 'sub-02/anat/sub-03_T1w.nii.gz')
    with caplog.at_level(logging.WARNING):
        assert found(root) == ['sub-01/anat/sub-01_T1w.nii.gz']
    assert 'sub-03_T1w.nii.gz' in caplog.text
    assert 'sub-03/anat' in caplog.text


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (None, 'missing'),
        ('{"Name": "made"}', 'BIDSVersion'),
        ('{"Name": ', 'JSON object'),
        ('["Name"]', 'JSON object'),
        ('{"Name": "m", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}', 'GeneratedBy'),
    ],
)
def test_description_is_checked(make_dataset, content, reason):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    description = root / 'dataset_description.json'
    description.unlink() if content is None else description.write_text(content)
    with pytest.raises(BidsInpaintError, match=reason):
        find_t1w(root)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'cp1252'])
def test_description_is_read_as_editors_write_it(make_dataset, encoding):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    text = '{"Name": "Étude",\r\n "BIDSVersion": "1.8.0"}'
    (root / 'dataset_description.json').write_bytes(text.encode(encoding))
    assert found(root) == ['sub-01/anat/sub-01_T1w.nii.gz']


@pytest.mark.parametrize('content', ['["a"]', '{"DatasetType": "derivative", "GeneratedBy": [1]}'])
def test_description_that_pybids_cannot_use_is_named(make_dataset, content):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    (root / 'dataset_description.json').write_text(content)
    with pytest.raises(BidsInpaintError, match=r'dataset_description\.json must have fields'):
        found(root, validate=False)


@pytest.mark.parametrize('content', [None, '{"Name": "made"}', '{"Name": '])
def test_description_is_not_checked_if_so_wanted(make_dataset, content):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    description = root / 'dataset_description.json'
    description.unlink() if content is None else description.write_text(content)
    assert found(root, validate=False) == ['sub-01/anat/sub-01_T1w.nii.gz']


def test_index_is_kept_and_used_again(make_dataset, tmp_path):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    database = tmp_path / 'database'
    first = found(root, database_dir=database)
    assert [path.name for path in database.iterdir()] == ['layout_index.sqlite']
    shutil.rmtree(root / 'sub-01')
    assert found(root, database_dir=database) == first


def test_index_of_another_dataset_is_named(make_dataset, tmp_path):
    name = 'sub-01/anat/sub-01_T1w.nii.gz'
    one, other = make_dataset(name), make_dataset(name, folder='other')
    find_t1w(one, database_dir=tmp_path / 'database')
    with pytest.raises(BidsInpaintError, match=r'must be that of .*other, is that of .*raw'):
        find_t1w(other, database_dir=tmp_path / 'database')


def test_index_that_is_no_index_is_named(make_dataset, tmp_path):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    (tmp_path / 'layout_index.sqlite').write_text('something else')
    with pytest.raises(BidsInpaintError, match=r'layout_index\.sqlite, must be readable or made'):
        find_t1w(root, database_dir=tmp_path)


def test_folder_of_the_index_that_cannot_be_made_is_named(make_dataset, tmp_path):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    (tmp_path / 'file').touch()
    with pytest.raises(BidsInpaintError, match='--bids-database-dir'):
        find_t1w(root, database_dir=tmp_path / 'file')


def test_half_an_index_is_never_seen(make_dataset, tmp_path, monkeypatch):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    indexer = discovery.BIDSLayoutIndexer.__call__

    def killed(self, layout):
        indexer(self, layout)
        raise KeyboardInterrupt

    monkeypatch.setattr(discovery.BIDSLayoutIndexer, '__call__', killed)
    with pytest.raises(KeyboardInterrupt):
        find_t1w(root, database_dir=tmp_path / 'database')
    assert list((tmp_path / 'database').iterdir()) == []


def test_input_is_not_written_to(make_dataset):
    root = make_dataset('sub-01/anat/sub-01_T1w.nii.gz')
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    find_t1w(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before
