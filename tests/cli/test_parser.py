import argparse
import os
from pathlib import Path

import pytest

from bids_inpaint import __version__
from bids_inpaint.cli.parser import build_parser, parse_arguments

LINE = ['/data', '/out', 'participant']
OPTIONS = [
    option
    for action in build_parser()._actions
    for option in action.option_strings
    if option.startswith('--') and option not in {'--help', '--version'}
]


def test_defaults():
    assert vars(parse_arguments(LINE)) == {
        'bids_dir': Path('/data'),
        'output_dir': Path('/out'),
        'analysis_level': 'participant',
        'participant_label': [],
        'session_label': [],
        'bids_filter_file': None,
        'skip_bids_validation': False,
        'bids_database_dir': None,
        'work_dir': None,
        'keep_work_dir': False,
        'nprocs': None,
        'omp_nthreads': None,
        'mem': None,
        'device': 'auto',
        'output_spaces': ['T1w', 'MNI152NLin2009aSym'],
        'uncompressed': False,
        'lesion_mask': 'auto',
        'derivatives': [],
        'dilate_mask': 0,
        'lesion_map': True,
        'lesion_map_from': None,
        'lesion_probability': None,
        'lesion_threshold': None,
        'min_lesion_size': 10,
        'flip_averaging': False,
        'models': None,
        'fail_on_qc': False,
        'use_plugin': None,
        'skip_existing': False,
        'stop_on_first_crash': False,
        'dry_run': False,
        'reports_only': False,
        'write_graph': False,
        'random_seed': 0,
        'verbosity': 0,
    }


@pytest.mark.parametrize('place', range(4))
def test_paths_must_be_text(tmp_path, capsys, place):
    folder = tmp_path / os.fsdecode(b'caf\xe9')
    folder.mkdir()
    words = ['/data', '/out', 'participant', '--models', str(tmp_path), '-w', '/work']
    words[[0, 1, 4, 6][place]] = str(folder)
    with pytest.raises(SystemExit):
        parse_arguments(words)
    assert r'must be a path in UTF-8' in capsys.readouterr().err


@pytest.fixture
def value_for(tmp_path):
    """Give a value that an option takes, as text."""
    (tmp_path / 'a_file').touch()

    def give(action: argparse.Action) -> list[str]:
        if action.nargs == 0:
            return []
        if action.choices:
            return [next(iter(action.choices))]
        values = {
            'FILE': str(tmp_path / 'a_file'),
            'DIR': str(tmp_path),
            'LABEL': '01',
            'N': '3',
            'GB': '2.5',
            'X': '0.25',
            'MM3': '0',
            'VOXELS': '2',
        }
        return [values[str(action.metavar)]]

    return give


@pytest.mark.parametrize('option', OPTIONS)
def test_hyphens_and_underscores_are_the_same(option, value_for):
    action = next(a for a in build_parser()._actions if option in a.option_strings)
    underscored = '--' + option[2:].replace('-', '_')
    values = value_for(action)
    with_hyphens = parse_arguments([*LINE, option, *values])
    assert parse_arguments([*LINE, underscored, *values]) == with_hyphens
    defaults = {'--lesion-map', '--lesion-mask', '--device'}
    assert with_hyphens != parse_arguments(LINE) or option in defaults


def test_value_after_an_equals_sign_keeps_its_underscores(tmp_path):
    (tmp_path / 'my_plugin').touch()
    arguments = parse_arguments([*LINE, f'--use_plugin={tmp_path}/my_plugin'])
    assert arguments.use_plugin == tmp_path / 'my_plugin'


def test_labels_with_and_without_prefix():
    line = [*LINE, '--participant-label', 'sub-01', '02', '--session-label', 'ses-a', 'b']
    arguments = parse_arguments(line)
    assert arguments.participant_label == ['01', '02']
    assert arguments.session_label == ['a', 'b']


def test_paths_are_absolute_and_links_followed(tmp_path, monkeypatch):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'link').symlink_to('real')
    monkeypatch.chdir(tmp_path)
    arguments = parse_arguments(['link', 'out', 'participant', '-w', '../work'])
    assert arguments.bids_dir == tmp_path / 'real'
    assert arguments.output_dir == tmp_path / 'out'
    assert arguments.work_dir == tmp_path.parent / 'work'


def test_short_options():
    arguments = parse_arguments([*LINE, '-w', '/work', '-vv'])
    assert (arguments.work_dir, arguments.verbosity) == (Path('/work'), 2)


def test_lesion_map_can_be_left_out():
    assert parse_arguments([*LINE, '--no-lesion-map']).lesion_map is False


@pytest.mark.parametrize(
    ('option', 'value', 'reason'),
    [
        ('--participant-label', 'sub_01', "'sub_01'"),
        ('--session-label', 'sub-01', "'sub-01'"),
        ('--nprocs', '0', '1 or more'),
        ('--nprocs', '1.5', '1 or more'),
        ('--omp-nthreads', '-1', '1 or more'),
        ('--random-seed', 'x', '0 or more'),
        ('--mem', '0', 'above 0'),
        ('--mem', '4GB', 'above 0'),
        ('--mem', 'inf', 'above 0'),
        ('--lesion-threshold', 'nan', 'above 0'),
        ('--min-lesion-size', '-1', '0 or more'),
        ('--device', 'cuda', 'invalid choice'),
        ('--lesion-mask', 'on', 'invalid choice'),
        ('--dilate-mask', '0.5', '0 or more'),
        ('--derivatives', '/none', '/none'),
        ('--output-spaces', 'MNI', 'invalid choice'),
        ('--bids-filter-file', '/none.json', '/none.json'),
        ('--use-plugin', '/none.yml', '/none.yml'),
        ('--models', '/none', '/none'),
        ('--participant', '01', 'unrecognized arguments'),
    ],
)
def test_wrong_value_ends_with_status_2_and_the_reason(capsys, option, value, reason):
    with pytest.raises(SystemExit) as caught:
        parse_arguments([*LINE, f'{option}={value}'])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert option in error
    assert reason in error


@pytest.mark.parametrize('line', [[], ['/data', '/out'], ['/data', '/out', 'session']])
def test_positional_arguments_are_needed(line):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(line)
    assert caught.value.code == 2


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(['--version'])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f'bids_inpaint {__version__}\n'


def test_every_option_has_help():
    assert all(action.help for action in build_parser()._actions)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (('--lesion-threshold', '0.1', '--lesion-probability', '0.5'), '--lesion-probability'),
        (
            ('--lesion-map-from', 'probability', '--lesion-threshold', '0.1'),
            '--lesion-probability',
        ),
        (
            ('--lesion-map-from', 'difference', '--lesion-probability', '0.5'),
            '--lesion-threshold',
        ),
        (('--lesion-probability', '1'), 'between 0 and 1'),
        (('--lesion-probability', '0'), 'above 0'),
        (('--lesion-map-from', 'both'), 'invalid choice'),
    ],
)
def test_a_threshold_is_of_what_lesions_are_mapped_from(options, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(['raw', 'out', 'participant', *options])
    assert ended.value.code == 2
    message = ' '.join(capsys.readouterr().err.split()).rpartition('error: ')[2]
    assert said in message


def test_a_lesion_map_may_be_chosen():
    chosen = ('--lesion_map_from=probability', '--lesion-probability', '0.7')
    arguments = parse_arguments(['raw', 'out', 'participant', *chosen])
    assert (arguments.lesion_map_from, arguments.lesion_probability) == ('probability', 0.7)
    assert parse_arguments(['raw', 'out', 'participant', '--lesion-threshold', '2'])
