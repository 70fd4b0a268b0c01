import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bids_inpaint.bids.names import derivative_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import write_json
from bids_inpaint.cli import main
from bids_inpaint.errors import BidsInpaintError

REPOSITORY = Path(__file__).parents[2]
SOURCE = 'sub-01/anat/sub-01_T1w.nii.gz'
NOBODY = 65534


def contents(folder: Path) -> set[Path]:
    return set(folder.rglob('*'))


@pytest.fixture
def run_participants(monkeypatch):
    """Stand in for the workflow: notes what it is called with, and returns its `failures`."""
    fake = SimpleNamespace(calls=[], failures=[], error=None, unreported=[], reported=[])

    def run(settings, scans):
        fake.calls.append((settings, scans))
        if fake.error:
            raise fake.error
        return fake.failures

    module = ModuleType('bids_inpaint.workflows.execute')
    module.run_participants = run
    monkeypatch.setitem(sys.modules, 'bids_inpaint.workflows.execute', module)
    reports = ModuleType('bids_inpaint.workflows.reports')

    def report(_, which):
        fake.reported.append(which)
        return fake.unreported

    reports.report_run = reports.make_reports = report
    monkeypatch.setitem(sys.modules, 'bids_inpaint.workflows.reports', reports)
    return fake


@pytest.fixture(autouse=True)
def kept_environment(monkeypatch):
    """Put back the variables that the program sets."""
    for name in ('OMP_NUM_THREADS', 'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS', 'NO_ET'):
        monkeypatch.setenv(name, os.environ.get(name, '1'))
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '2')


@pytest.fixture
def command(make_dataset, tmp_path):
    """Maker of command lines on a dataset with one T1w image."""
    root = make_dataset(SOURCE)

    def line(level='participant', *options):
        return [str(root), str(tmp_path / 'out'), level, '-w', str(tmp_path / 'work'), *options]

    return line


def test_scans_reach_the_workflow(command, run_participants, tmp_path, capsys):
    assert main(command()) == 0
    ((settings, scans),) = run_participants.calls
    assert [str(scan.relative_path) for scan in scans] == [SOURCE]
    assert settings.output_dir == tmp_path / 'out'
    error = capsys.readouterr().err
    assert f'1 T1w image in {tmp_path}/raw\n  {SOURCE}\n' in error
    assert 'all of 1 T1w images done' in error


def test_output_is_a_dataset_with_the_configuration_of_the_run(
    command, run_participants, tmp_path
):
    main(command('participant', '--lesion-threshold', '0.3'))
    settings, _ = run_participants.calls[0]
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == {'dataset_description.json', 'README', '.bidsignore', 'logs'}
    text = (tmp_path / 'out/logs' / settings.run_uuid / 'config.toml').read_text()
    assert tomllib.loads(text) == settings.to_dict()


@pytest.mark.usefixtures('run_participants')
def test_input_is_not_written_to(command, tmp_path):
    before = contents(tmp_path / 'raw')
    main(command())
    assert contents(tmp_path / 'raw') == before


def test_failures_end_with_status_1_and_a_table(command, run_participants, tmp_path, capsys):
    scan = parse_t1w(tmp_path / 'raw' / SOURCE)
    crash = tmp_path / 'out/logs/crash.txt'
    run_participants.failures = [
        SimpleNamespace(scan=scan, step='conform', reason='truncated gzip', crash_file=crash),
        SimpleNamespace(scan=scan, step='register', reason='out of memory', crash_file=None),
    ]
    assert main(command()) == 1
    error = capsys.readouterr().err
    assert '2 of 1 T1w images failed' in error
    assert f'sub-01  conform   truncated gzip  {crash}' in error
    assert 'sub-01  register  out of memory\n' in error


def test_a_report_that_fails_is_told_and_ends_with_status_1(command, run_participants, capsys):
    run_participants.unreported = [('sub-01', 'no space left')]
    assert main(command()) == 1
    error = capsys.readouterr().err
    assert 'all of 1 T1w images done' in error
    assert '1 reports could not be made' in error
    assert 'sub-01       no space left' in error


def test_reports_only_processes_nothing(command, run_participants, tmp_path):
    (tmp_path / 'out').mkdir()
    options = ('--reports-only', '--participant-label', '01')
    assert main(command('participant', *options)) == 0
    assert run_participants.calls == []
    assert run_participants.reported == [('01',)]
    assert list((tmp_path / 'work').iterdir()) == []


def test_reports_need_an_output_folder(command, run_participants, capsys):
    assert main(command('participant', '--reports-only')) == 2
    assert 'output folder does not exist' in capsys.readouterr().err
    assert run_participants.reported == []


def test_error_of_the_workflow_that_a_user_can_mend(command, run_participants, capsys):
    run_participants.error = BidsInpaintError('models must be there')
    assert main(command()) == 2
    assert 'CRITICAL models must be there' in capsys.readouterr().err


def test_a_disk_that_fills_is_told_without_a_traceback(command, run_participants, capsys):
    run_participants.error = OSError(28, 'No space left on device', 'out')
    assert main(command()) == 2
    assert 'No space left on device' in capsys.readouterr().err


def test_interruption_says_how_to_go_on(command, run_participants, capsys):
    run_participants.error = KeyboardInterrupt()
    assert main(command()) == 130
    assert 'the same command goes on' in capsys.readouterr().err


def test_dry_run_lists_and_writes_nothing(command, run_participants, tmp_path, capsys):
    before = contents(tmp_path)
    assert main(command('participant', '--dry-run', '--uncompressed', '--no-lesion-map')) == 0
    out = capsys.readouterr().out
    assert f'\n{SOURCE}\n  sub-01/anat/sub-01_desc-inpainted_T1w.nii\n' in out
    assert 'lesion' not in out
    assert run_participants.calls == []
    assert contents(tmp_path) == before


@pytest.fixture
def masked(make_dataset, tmp_path):
    """A second image, and a derivative dataset with a mask for the first."""
    (tmp_path / 'raw/sub-02/anat').mkdir(parents=True)
    (tmp_path / 'raw/sub-02/anat/sub-02_T1w.nii').touch()
    return make_dataset('sub-01/anat/sub-01_label-lesion_mask.nii', folder='lst')


def test_lesion_masks_reach_the_workflow_and_the_description(
    command, masked, run_participants, tmp_path, capsys
):
    options = ('--derivatives', str(masked), '--dilate-mask', '1')
    assert main(command('participant', *options)) == 0
    ((settings, scans),) = run_participants.calls
    mask = masked / 'sub-01/anat/sub-01_label-lesion_mask.nii'
    assert [scan.lesion_mask for scan in scans] == [mask, None]
    assert settings.dilate_mask_vox == 1
    error = capsys.readouterr().err
    assert f'{SOURCE}, lesion mask: {mask}\n' in error
    assert 'sub-02_T1w.nii, lesion mask: none, blindly\n' in error
    description = json.loads((tmp_path / 'out/dataset_description.json').read_text())
    assert description['DatasetLinks']['lst'] == masked.as_uri()


def test_dry_run_lists_the_mask_of_each_image(command, masked, capsys):
    options = ('--derivatives', str(masked), '--dry-run')
    assert main(command('participant', *options)) == 0
    lines = capsys.readouterr().out.splitlines()
    mask = masked / 'sub-01/anat/sub-01_label-lesion_mask.nii'
    assert f'{SOURCE}, lesion mask: {mask}' in lines
    assert 'sub-02/anat/sub-02_T1w.nii, lesion mask: none, blindly' in lines
    assert main(command('participant', *options, '--lesion-mask', 'off')) == 0
    assert SOURCE in capsys.readouterr().out.splitlines()


def test_a_mask_that_is_required_and_missing_ends_with_status_2(
    command, masked, run_participants, capsys
):
    options = ('--derivatives', str(masked), '--lesion-mask', 'required')
    assert main(command('participant', *options)) == 2
    assert '1 of 2 T1w images have no lesion mask: sub-02/anat' in capsys.readouterr().err
    assert run_participants.calls == []


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (['--participant-label', '99'], 'no T1w image of participants 99'),
        (['--session-label', 'x'], 'no T1w image of sessions x'),
    ],
)
def test_empty_selection_ends_with_status_2_and_no_output(
    command, run_participants, tmp_path, capsys, options, reason
):
    assert main(command('participant', *options)) == 2
    assert reason in capsys.readouterr().err
    assert run_participants.calls == []
    assert not (tmp_path / 'out').exists()


def test_filter_reaches_discovery(command, run_participants, tmp_path):
    (tmp_path / 'raw/sub-01/anat/sub-01_acq-a_T1w.nii.gz').touch()
    (tmp_path / 'filters.json').write_text('{"t1w": {"acquisition": null}}')
    main(command('participant', '--bids-filter-file', str(tmp_path / 'filters.json')))
    assert [scan.name for scan in run_participants.calls[0][1]] == ['sub-01']


def test_names_that_clash_end_with_status_2(command, run_participants, tmp_path, capsys):
    (tmp_path / 'raw/sub-01/anat/sub-01_T1w.nii').touch()
    assert main(command()) == 2
    assert 'written under one name' in capsys.readouterr().err
    assert run_participants.calls == []


@pytest.mark.usefixtures('run_participants')
def test_validation_can_be_skipped(command, tmp_path):
    (tmp_path / 'raw/dataset_description.json').unlink()
    assert main(command()) == 2
    assert main(command('participant', '--skip-bids-validation')) == 0


def test_output_in_the_input_ends_with_status_2(make_dataset, capsys):
    root = make_dataset(SOURCE)
    before = contents(root)
    assert main([str(root), str(root / 'derivatives/out'), 'participant']) == 2
    assert 'must be outside the input' in capsys.readouterr().err
    assert contents(root) == before


@pytest.mark.usefixtures('run_participants')
def test_output_of_another_program_ends_with_status_2(command, make_dataset, capsys):
    make_dataset(folder='out', GeneratedBy=[{'Name': 'fMRIPrep'}])
    assert main(command()) == 2
    assert 'fMRIPrep' in capsys.readouterr().err


@pytest.mark.usefixtures('run_participants')
def test_work_folder_that_cannot_be_made_ends_with_status_2(command, tmp_path, capsys):
    (tmp_path / 'work').touch()
    assert main(command()) == 2
    assert 'working folder must be writable' in capsys.readouterr().err


def test_group_gathers_and_notes_its_configuration(command, tmp_path, capsys):
    scan = parse_t1w(tmp_path / 'raw' / SOURCE)
    write_json(tmp_path / 'out' / derivative_path(scan, 'qc'), {'lesion_count': 3})
    assert main(command('group')) == 0
    assert (tmp_path / 'out/group_T1w.tsv').read_text().splitlines()[1].endswith('\t3')
    assert 'group_T1w.tsv' in capsys.readouterr().err
    assert len(list(tmp_path.glob('out/logs/*/config.toml'))) == 1


def test_group_before_participant_ends_with_status_2(command, tmp_path, capsys):
    assert main(command('group')) == 2
    assert 'output folder does not exist' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_dry_run_of_the_group_writes_nothing(command, tmp_path, capsys):
    assert main(command('group', '--dry-run')) == 0
    assert 'would write group_T1w.tsv' in capsys.readouterr().out
    assert not (tmp_path / 'out').exists()


HEAVY = ('ants', 'bids', 'keras', 'nibabel', 'nipype', 'numpy', 'pandas', 'scipy', 'tensorflow')


def test_help_loads_no_heavy_library():
    code = (
        'import sys\n'
        'from bids_inpaint.cli import main\n'
        'try:\n'
        '    main(["--help"])\n'
        'except SystemExit:\n'
        f'    loaded = [name for name in {HEAVY} if name in sys.modules]\n'
        '    sys.exit(" ".join(loaded))\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, check=False)
    assert result.stderr == b'\n'
    assert result.stdout.startswith(b'usage: bids_inpaint')


@pytest.mark.parametrize(
    'program',
    [
        [sys.executable, str(REPOSITORY / 'run.py')],
        [sys.executable, '-m', 'bids_inpaint'],
        [str(Path(sys.executable).with_name('bids_inpaint'))],
    ],
    ids=['run.py', '-m', 'script'],
)
def test_all_entries_are_the_same_program(program):
    if not Path(program[0]).exists():
        pytest.skip('the console script is not installed')
    missing = subprocess.run(
        [*program, '/no/data', '/no/out', 'participant'],
        capture_output=True,
        check=False,
        text=True,
    )
    assert missing.returncode == 2
    assert 'input folder does not exist: /no/data' in missing.stderr


@pytest.fixture
def open_folder():
    """A folder that any user may look into; those of pytest are for one user only."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def run_as_nobody(*line: str) -> subprocess.CompletedProcess[str]:
    """Run the program without the rights of root, to whom permissions mean nothing."""
    code = (
        'import os, sys\n'
        # Before root is dropped: the interpreter may lie where others may not read.
        'import bids_inpaint.bids.discovery\n'
        'from bids_inpaint.cli import main\n'
        f'if os.getuid() == 0:\n'
        f'    os.setgid({NOBODY})\n'
        f'    os.setuid({NOBODY})\n'
        'sys.exit(main(sys.argv[1:]))\n'
    )
    return subprocess.run(
        [sys.executable, '-c', code, *line], capture_output=True, check=False, text=True
    )


def make_open_dataset(folder: Path) -> Path:
    (folder / 'raw/sub-01/anat').mkdir(parents=True)
    (folder / 'raw' / SOURCE).touch()
    fields = {'Name': 'made', 'BIDSVersion': '1.9.0'}
    (folder / 'raw/dataset_description.json').write_text(json.dumps(fields))
    return folder / 'raw'


@pytest.mark.parametrize('output', ['closed', 'closed/new'])
def test_output_that_cannot_be_written_to_ends_with_status_2(open_folder, output):
    root = make_open_dataset(open_folder)
    (open_folder / 'closed').mkdir(mode=0o555)
    result = run_as_nobody(str(root), str(open_folder / output), 'participant')
    assert result.returncode == 2
    assert 'output folder must be writable for user' in result.stderr
    assert str(open_folder / output) in result.stderr
    assert 'Traceback' not in result.stderr


def test_input_that_cannot_be_read_ends_with_status_2(open_folder):
    root = make_open_dataset(open_folder)
    root.chmod(0o000)
    result = run_as_nobody(str(root), str(open_folder / 'out'), 'participant')
    root.chmod(0o755)
    assert result.returncode == 2
    assert 'input folder must be readable' in result.stderr
