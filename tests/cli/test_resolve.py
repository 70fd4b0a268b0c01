import json
import logging
import tempfile
from pathlib import Path

import pytest

from bids_inpaint.cli import resolve
from bids_inpaint.cli.parser import parse_arguments
from bids_inpaint.cli.resolve import (
    check_input,
    check_outside,
    check_writable,
    default_work_dir,
    resolve_settings,
)
from bids_inpaint.errors import BidsInpaintError


@pytest.fixture
def resolve_line(make_dataset, tmp_path):
    """Resolver of a command line with more options."""
    root = make_dataset()

    def resolve_options(*options):
        line = [str(root), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work')]
        return resolve_settings(parse_arguments([*line, *options]))

    return resolve_options


def test_a_mark_of_nipype_in_the_path_of_the_working_folder_is_refused(resolve_line, tmp_path):
    with pytest.raises(BidsInpaintError, match=r"must not have '_unfinished'"):
        resolve_line('-w', str(tmp_path / 'my_unfinished_work'))


def test_every_option_reaches_the_settings(resolve_line, tmp_path):
    filters = tmp_path / 'filters.json'
    filters.write_text(json.dumps({'t1w': {'run': 1}}))
    settings = resolve_line(
        *('--participant-label', '01', 'sub-01', '--session-label', 'a'),
        *('--bids-filter-file', str(filters), '--skip-bids-validation'),
        *('--bids-database-dir', str(tmp_path / 'db'), '--keep-work-dir'),
        *('--nprocs', '4', '--omp-nthreads', '2', '--mem', '3', '--device', 'cpu'),
        *('--output-spaces', 'T1w', '--uncompressed', '--no-lesion-map'),
        *('--lesion-mask', 'off', '--derivatives', str(tmp_path), '--dilate-mask', '2'),
        *('--lesion-threshold', '0.2', '--min-lesion-size', '5', '--flip-averaging'),
        *('--models', str(tmp_path), '--fail-on-qc', '--use-plugin', str(filters)),
        *(
            '--skip-existing',
            '--stop-on-first-crash',
            '--dry-run',
            '--write-graph',
            '--random-seed',
            '9',
            '-v',
        ),
        '--reports-only',
    )
    values = settings.to_dict()
    assert values.pop('run_uuid')
    assert values == {
        'bids_dir': str(tmp_path / 'raw'),
        'output_dir': str(tmp_path / 'out'),
        'analysis_level': 'participant',
        'participant_label': ['01'],
        'session_label': ['a'],
        'bids_filters': {'run': 1},
        'skip_bids_validation': True,
        'bids_database_dir': str(tmp_path / 'db'),
        'work_dir': str(tmp_path / 'work'),
        'keep_work_dir': True,
        'nprocs': 4,
        'omp_nthreads': 2,
        'mem_gb': 3.0,
        'device': 'cpu',
        'output_spaces': ['T1w'],
        'uncompressed': True,
        'lesion_mask': 'off',
        'derivatives': [str(tmp_path)],
        'dilate_mask_vox': 2,
        'lesion_map': False,
        'lesion_threshold': 0.2,
        'min_lesion_size_mm3': 5.0,
        'flip_averaging': True,
        'models_dir': str(tmp_path),
        'fail_on_qc': True,
        'plugin_file': str(filters),
        'skip_existing': True,
        'stop_on_first_crash': True,
        'dry_run': True,
        'reports_only': True,
        'write_graph': True,
        'random_seed': 9,
        'verbosity': 1,
    }


def test_machine_gives_the_defaults(resolve_line, monkeypatch):
    monkeypatch.setattr(resolve, 'usable_cpus', lambda: 12)
    monkeypatch.setattr(resolve, 'usable_memory_gb', lambda: 7.5)
    settings = resolve_line()
    assert (settings.nprocs, settings.omp_nthreads, settings.mem_gb) == (12, 8, 7.5)
    assert resolve_line('--nprocs', '3').omp_nthreads == 3


def test_more_threads_than_cpus_are_cut_with_a_word(resolve_line, caplog):
    with caplog.at_level(logging.WARNING):
        settings = resolve_line('--nprocs', '2', '--omp-nthreads', '4')
    assert settings.omp_nthreads == 2
    assert '--omp-nthreads 4 is more than --nprocs: using 2' in caplog.text


def test_filter_file_is_checked(resolve_line, tmp_path):
    (tmp_path / 'filters.json').write_text('{}')
    with pytest.raises(BidsInpaintError, match=r'filters\.json'):
        resolve_line('--bids-filter-file', str(tmp_path / 'filters.json'))


@pytest.mark.parametrize('option', ['--work-dir', '--bids-database-dir'])
def test_folder_inside_the_input_is_refused(resolve_line, tmp_path, option):
    with pytest.raises(BidsInpaintError, match='must be outside the input'):
        resolve_line(option, str(tmp_path / 'raw' / 'work'))


def test_output_is_not_read_for_masks(resolve_line, tmp_path):
    (tmp_path / 'out').mkdir()
    with pytest.raises(BidsInpaintError, match=r'--derivatives .*/out'):
        resolve_line('--derivatives', str(tmp_path), str(tmp_path / 'out'))


def test_missing_input_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, 'container_type', lambda: None)
    with pytest.raises(BidsInpaintError, match=r'input folder does not exist: .*none$'):
        check_input(tmp_path / 'none')


@pytest.mark.parametrize(('container', 'option'), [('docker', '-v'), ('singularity', '-B')])
def test_missing_input_in_a_container_names_the_mount_option(monkeypatch, container, option):
    monkeypatch.setattr(resolve, 'container_type', lambda: container)
    with pytest.raises(BidsInpaintError, match=f'{option} <.*>:/no/data'):
        check_input(Path('/no/data'))


def test_input_that_is_a_file_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(
        BidsInpaintError, match=r'must be a folder with a BIDS dataset: .*is a file'
    ):
        check_input(tmp_path / 'file')


@pytest.mark.parametrize(
    ('output', 'where'),
    [
        ('raw', 'the input itself'),
        ('raw/out', 'inside the input'),
        ('raw/derivatives/bids_inpaint', 'inside the input'),
        ('link/out', 'inside the input'),
        ('other/../raw', 'the input itself'),
    ],
)
def test_output_in_the_input_is_refused(make_dataset, tmp_path, output, where):
    root = make_dataset()
    (tmp_path / 'link').symlink_to('raw')
    with pytest.raises(BidsInpaintError, match=f'never written to.*is {where}'):
        check_outside(root, tmp_path / output, what='output folder')


@pytest.mark.parametrize('output', ['out', 'raw_out', '.'])
def test_output_elsewhere_is_taken(make_dataset, tmp_path, output):
    check_outside(make_dataset(), tmp_path / output, what='output folder')


def test_work_is_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_work_dir(Path('/data')) == tmp_path / 'work'


def test_work_is_elsewhere_if_the_current_folder_is_in_the_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_work_dir(tmp_path).parent == Path(tempfile.gettempdir())


def test_work_is_elsewhere_if_the_current_folder_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resolve.os, 'access', lambda *_: False)
    assert default_work_dir(Path('/data')).parent == Path(tempfile.gettempdir())


def test_writable_folder_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / 'a' / 'b', what='output folder')
    assert list((tmp_path / 'a' / 'b').iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(BidsInpaintError, match=r'output folder must be writable .*file/out'):
        check_writable(tmp_path / 'file' / 'out', what='output folder')


def test_a_working_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    folder = default_work_dir(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    user = resolve.os.getuid() + 1
    monkeypatch.setattr(resolve.os, 'getuid', lambda: user)
    (tmp_path / f'bids_inpaint_work_{user}').mkdir()
    with pytest.raises(BidsInpaintError, match='must be your own'):
        default_work_dir(tmp_path)
