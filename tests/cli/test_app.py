import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from planned import planned_paths

from bids_inpaint.bids.group import UNREAD
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.cli import main
from bids_inpaint.errors import BidsInpaintError, Terminated
from bids_inpaint.files import write_json

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

    module = ModuleType('bids_inpaint.run.execute')
    module.run_participants = run
    monkeypatch.setitem(sys.modules, 'bids_inpaint.run.execute', module)
    plan = ModuleType('bids_inpaint.run.plan')
    plan.plan = _plan
    monkeypatch.setitem(sys.modules, 'bids_inpaint.run.plan', plan)
    reports = ModuleType('bids_inpaint.run.pages')

    def report(_, which):
        fake.reported.append(which)
        return fake.unreported

    reports.report_run = reports.make_reports = report
    monkeypatch.setitem(sys.modules, 'bids_inpaint.run.pages', reports)
    return fake


def _plan(settings, scans):
    """What a network without probability would have written of each scan."""
    extension = '.nii' if settings.uncompressed else '.nii.gz'
    choices = {'output_spaces': settings.output_spaces, 'lesion_map': settings.lesion_map}
    left = {scan: planned_paths(scan, **choices, extension=extension) for scan in scans}
    return SimpleNamespace(left=left)


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
    assert '1 T1w images done' in error


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
    assert '1 T1w images done' in error
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


@pytest.mark.usefixtures('run_participants')
def test_problems_are_told_and_counted(command, tmp_path, capsys):
    write_json(
        tmp_path / 'out' / derivative_path(parse_t1w(tmp_path / 'raw' / SOURCE), 'qc'),
        {'problems': 'Similarity to the template is 0.53, below 0.60.'},
    )
    assert main(command()) == 0
    error = capsys.readouterr().err
    assert 'WARNING sub-01: Similarity to the template is 0.53, below 0.60.' in error
    assert 'WARNING 1 of 1 T1w images have problems' in error


@pytest.mark.parametrize(('error', 'status'), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_interruption_says_how_to_go_on(
    command, run_participants, capsys, monkeypatch, error, status
):
    ended = []
    monkeypatch.setattr('bids_inpaint.cli.app.end_at_once', ended.append)
    run_participants.error = error()
    assert main(command()) == status
    assert ended == [status]
    assert 'same command' in capsys.readouterr().err


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
    assert 'sub-02_T1w.nii, lesion mask: none' in error
    description = json.loads((tmp_path / 'out/dataset_description.json').read_text())
    assert description['DatasetLinks']['lst'] == masked.as_uri()


@pytest.mark.usefixtures('run_participants')
def test_dry_run_lists_the_mask_of_each_image(command, masked, capsys):
    options = ('--derivatives', str(masked), '--dry-run')
    assert main(command('participant', *options)) == 0
    lines = capsys.readouterr().out.splitlines()
    mask = masked / 'sub-01/anat/sub-01_label-lesion_mask.nii'
    assert f'{SOURCE}, lesion mask: {mask}' in lines
    assert any('sub-02/anat/sub-02_T1w.nii, lesion mask: none' in line for line in lines)
    assert main(command('participant', *options, '--lesion-mask', 'off')) == 0
    assert SOURCE in capsys.readouterr().out.splitlines()


def test_a_mask_that_is_required_and_missing_ends_with_status_2(
    command, masked, run_participants, capsys
):
    options = ('--derivatives', str(masked), '--lesion-mask', 'required')
    assert main(command('participant', *options)) == 2
    assert '1 of 2 T1w images have no lesion mask: sub-02/anat' in capsys.readouterr().err
    assert run_participants.calls == []


@pytest.mark.usefixtures('run_participants')
def test_a_mask_that_no_image_claims_is_told(command, tmp_path, capsys):
    (tmp_path / 'raw/sub-01/anat/sub-01_acq-a_label-lesion_roi.nii.gz').touch()
    assert main(command('participant', '--dry-run')) == 0
    error = capsys.readouterr().err
    assert 'sub-01_acq-a_label-lesion_roi.nii.gz belongs to no image' in error
    assert 'for sub-01_T1w.nii.gz it must be sub-01_label-lesion_roi.nii.gz\n' in error


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


def test_images_whose_names_clash_fail_alone(make_dataset, run_participants, tmp_path, capsys):
    names = [f'sub-{n}/anat/sub-{n}_T1w.nii{end}' for n, end in ((1, ''), (1, '.gz'), (2, ''))]
    root = make_dataset(*names)
    line = [str(root), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work')]
    assert main(line) == 1
    ((_, scans),) = run_participants.calls
    assert [scan.subject for scan in scans] == ['2']
    error = capsys.readouterr().err
    (told,) = [line for line in error.splitlines() if ' ERROR ' in line]
    assert 'sub-1_T1w.nii, sub-1/anat/sub-1_T1w.nii.gz. Remove' in told
    # The advice works.
    options, _, filters = told.partition('choose one with ')[2].partition(' and a ')
    (tmp_path / 'filters.json').write_text(filters.partition('for instance ')[2])
    options = [*options.split(), '--bids-filter-file', str(tmp_path / 'filters.json')]
    assert main([*line, *options]) == 0
    assert [scan.t1w.name for scan in run_participants.calls[1][1]] == ['sub-1_T1w.nii.gz']


def test_odd_names_and_links_are_taken_or_told(make_dataset, run_participants, tmp_path, capsys):
    linked = 'sub-01/anat/sub-01_T1w.nii.gz'
    long = f'sub-02/anat/sub-02_acq-{"x" * 220}_T1w.nii.gz'
    odd = 'sub-03/anat/sub-03_acq-mp rage_T1w.nii.gz', 'sub-é4/anat/sub-é4_T1w.nii.gz'
    cases = 'sub-A/anat/sub-A_T1w.nii.gz', 'sub-a/anat/sub-a_T1w.nii.gz'
    root = make_dataset(long, *odd, *cases, '.git/annex/objects/a.nii.gz', folder='Étude 1/raw')
    (root / linked).parent.mkdir(parents=True)
    (root / linked).symlink_to('../../.git/annex/objects/a.nii.gz')
    folders = [str(tmp_path / 'Étude 1' / name) for name in ('out put', 'wörk')]
    assert main([str(root), folders[0], 'participant', '-w', folders[1]]) == 1
    ((_, scans),) = run_participants.calls
    assert [str(scan.relative_path) for scan in scans] == [linked, *cases]
    assert scans[0].t1w == root / linked
    error = capsys.readouterr().err
    assert re.search(f'ERROR {long}: names of derivatives .* shorten its labels', error)
    assert all(f'left out {root / name}: ' in error for name in odd)


def test_only_images_whose_names_clash_end_with_status_2(
    command, run_participants, tmp_path, capsys
):
    (tmp_path / 'raw/sub-01/anat/sub-01_T1w.nii').touch()
    assert main(command()) == 2
    assert 'written under one name' in capsys.readouterr().err
    assert run_participants.calls == []


PEOPLE = (
    'sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz',
    'sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz',
    'sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz',
    'sub-03/ses-1/anat/sub-03_ses-1_T2w.nii.gz',
    'sub-06/ses-1/anat/sub-06_ses-1_T1W.nii.gz',
    'sub-08/ses-1/anat/sub-08_ses-1_UNIT1.nii.gz',
    'sub-14/ses-1/anat/sub-14_ses-1_ce-gd_T1w.nii.gz',
    'Sub-15/ses-1/anat/Sub-15_ses-1_T1w.nii.gz',
)


@pytest.mark.parametrize(
    ('options', 'done', 'named'),
    [
        (
            '--participant-label 01 02 --session-label 2',
            1,
            r'.* 1 of 2 .*: 02 \(has sub-02_ses-1_T1w',
        ),
        ('--participant-label 01 03', 2, r'.* 1 of 2 .*: 03 \(has no image with such a name\)'),
        ('--participant-label 01 06', 2, r'.* 1 of 2 .*: 06 \(has sub-06_ses-1_T1W'),
        ('--participant-label 08 01', 2, r'.* 1 of 2 .*: 08 \(has sub-08_ses-1_UNIT1'),
        ('--participant-label 02 14', 1, r'.* 1 of 2 .*: 14 \(has sub-14_ses-1_ce-gd_T1w'),
        ('--participant-label 01 99 03', 2, r'.* 2 of 3 .*: 99 \(no such folder\), 03 '),
        ('--session-label 2 x', 1, r'no T1w image to process for sessions x'),
    ],
)
def test_who_was_asked_for_and_has_nothing_is_named_after_the_others(
    make_dataset, run_participants, tmp_path, capsys, options, done, named
):
    root = make_dataset(*PEOPLE)
    line = [str(root), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work')]
    assert main([*line, *options.split()]) == 1
    assert len(run_participants.calls[0][1]) == done
    error = capsys.readouterr().err
    assert re.search(f' ERROR {named}', error)
    assert error.rindex(' ERROR ') > error.index('T1w images done')
    assert main([*line, *options.split(), '--dry-run']) == 1
    said = capsys.readouterr()
    assert said.out.count('_qc.json\n') == done
    assert re.search(f' ERROR {named}', said.err)


def test_a_run_over_all_tells_in_one_line_who_has_nothing(
    make_dataset, run_participants, tmp_path, capsys
):
    root = make_dataset(*PEOPLE)
    assert (
        main([str(root), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work')]) == 0
    )
    assert len(run_participants.calls[0][1]) == 3
    (told,) = [line for line in capsys.readouterr().err.splitlines() if 'have no T1w' in line]
    assert re.search(
        r'WARNING 5 of 7 participants have no T1w image to process: Sub-15 \(must be named '
        r'sub-<label>\), 03 \(.*06 \(has sub-06_ses-1_T1W\.nii\.gz\), 08 .*14 ',
        told,
    )


def test_a_session_that_one_of_those_asked_for_lacks_is_told(
    make_dataset, run_participants, tmp_path, capsys
):
    root = make_dataset(*PEOPLE)
    line = [str(root), str(tmp_path / 'out'), 'participant', '-w', str(tmp_path / 'work')]
    options = '--participant-label 01 02 --session-label 1 2'
    assert main([*line, *options.split()]) == 0
    assert len(run_participants.calls[0][1]) == 3
    assert 'WARNING no T1w image to process for sub-02 in ses-2\n' in capsys.readouterr().err


@pytest.mark.usefixtures('run_participants')
def test_validation_can_be_skipped(command, tmp_path):
    (tmp_path / 'raw/dataset_description.json').unlink()
    assert main(command()) == 2
    assert main(command('participant', '--skip-bids-validation')) == 0


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'cp1252'])
@pytest.mark.usefixtures('run_participants')
def test_description_and_filter_file_of_any_editor_are_read(command, tmp_path, encoding):
    text = json.dumps({'Name': 'Étude', 'BIDSVersion': '1.8.0'}, ensure_ascii=False)
    (tmp_path / 'raw/dataset_description.json').write_bytes(text.encode(encoding))
    (tmp_path / 'filters.json').write_bytes('{"t1w": {"run": null}}'.encode(encoding))
    assert main(command('participant', '--bids-filter-file', str(tmp_path / 'filters.json'))) == 0
    made = json.loads((tmp_path / 'out/dataset_description.json').read_text(encoding='utf-8'))
    assert 'Étude' in made['Name']


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


def write_scan(folder: Path, name: str) -> Path:
    """Write files of a scan, and return that of its QC."""
    scan = parse_t1w(folder / f'raw/{name}/anat/{name}_T1w.nii.gz')
    product = folder / 'out' / derivative_path(scan, 'inpainted')
    write_json(sidecar_path(product), {})
    product.touch()
    quality = folder / 'out' / derivative_path(scan, 'qc')
    write_json(quality, {'lesion_count': 3})
    return quality


def test_group_gathers_and_notes_its_configuration(command, tmp_path, capsys):
    write_scan(tmp_path, 'sub-01')
    assert main(command('group')) == 0
    assert (tmp_path / 'out/group_T1w.tsv').read_text().splitlines()[1].endswith('\t3')
    assert 'group_T1w.tsv' in capsys.readouterr().err
    assert len(list(tmp_path.glob('out/logs/*/config.toml'))) == 1


def test_group_with_a_qc_file_that_cannot_be_read_does_the_others(command, tmp_path, capsys):
    write_scan(tmp_path, 'sub-01')
    write_scan(tmp_path, 'sub-02').write_text('')
    assert main(command('group')) == 1
    rows = (tmp_path / 'out/group_T1w.tsv').read_text().splitlines()[1:]
    assert rows == ['sub-01\tn/a\tsub-01\t3\tn/a', f'sub-02\tn/a\tsub-02\tn/a\t{UNREAD}']
    page = (tmp_path / 'out/group_T1w.html').read_text()
    assert f'sub-02: {UNREAD}' in page
    assert str(tmp_path) not in page
    assert 'ERROR the QC file of sub-02 cannot be read' in capsys.readouterr().err


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
