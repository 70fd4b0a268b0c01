import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.logging import RichHandler

from bids_inpaint.cli.process import configure_logging, prepare_environment


@pytest.fixture
def restored_logging():
    """Put the logging of pytest back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger('bids_inpaint').setLevel(logging.NOTSET)


def test_home_that_can_be_written_to_is_kept(settings, tmp_path):
    environ = {'HOME': str(tmp_path)}
    prepare_environment(settings, environ)
    assert environ['HOME'] == str(tmp_path)


@pytest.mark.parametrize('home', [None, '', '/proc/none', '/dev/null'])
def test_home_that_cannot_be_written_to_is_replaced(settings, home):
    environ = {} if home is None else {'HOME': home}
    prepare_environment(settings, environ)
    for name in ('HOME', 'XDG_CACHE_HOME', 'MPLCONFIGDIR'):
        assert environ[name].startswith(str(settings.run_work_dir))
        (settings.run_work_dir / environ[name] / 'probe').touch()


@pytest.mark.parametrize(
    'name', ['XDG_CACHE_HOME', 'MPLCONFIGDIR', 'NIPYPE_CONFIG_DIR', 'KERAS_HOME']
)
def test_libraries_keep_nothing_in_the_home_of_the_user(settings, tmp_path, name):
    environ = {'HOME': str(tmp_path), name: str(tmp_path / 'own')}
    prepare_environment(settings, environ)
    assert environ[name].startswith(str(settings.run_work_dir))
    assert Path(environ[name]).is_dir()


@pytest.mark.parametrize(
    ('environ', 'name'), [({'LOGNAME': 'a', 'USER': 'b'}, 'a'), ({'USER': 'b'}, 'b')]
)
def test_name_of_the_user_is_kept(settings, environ, name):
    prepare_environment(settings, environ)
    assert environ['LOGNAME'] == name


def test_user_without_a_name_gets_one(settings):
    environ = {}
    prepare_environment(settings, environ)
    assert environ['LOGNAME'] == f'uid{os.getuid()}'


def test_fonts_of_the_machine_are_not_used(settings, tmp_path):
    environ = {'HOME': str(tmp_path)}
    prepare_environment(settings, environ)
    code = 'import matplotlib.font_manager as m; print(*(f.fname for f in m.fontManager.ttflist))'
    listed = subprocess.run(
        [sys.executable, '-c', code], env=environ, capture_output=True, text=True, check=True
    ).stdout.split()
    assert listed
    assert all('matplotlib/mpl-data' in name for name in listed)


def test_libraries_are_quiet_and_know_their_threads(settings, tmp_path):
    environ = {'HOME': str(tmp_path)}
    prepare_environment(replace(settings, omp_nthreads=3), environ)
    assert environ['NO_ET'] == '1'
    assert environ['TF_CPP_MIN_LOG_LEVEL'] == '2'
    assert environ['OMP_NUM_THREADS'] == '3'
    assert environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] == '1'  # or results would vary


def test_level_of_tensorflow_that_was_chosen_is_kept(settings, tmp_path):
    environ = {'HOME': str(tmp_path), 'TF_CPP_MIN_LOG_LEVEL': '0'}
    prepare_environment(settings, environ)
    assert environ['TF_CPP_MIN_LOG_LEVEL'] == '0'


@pytest.mark.parametrize(
    ('verbosity', 'ours', 'others'),
    [(0, 'INFO', 'WARNING'), (1, 'DEBUG', 'INFO'), (9, 'DEBUG', 'DEBUG')],
)
@pytest.mark.usefixtures('restored_logging')
def test_levels(verbosity, ours, others):
    configure_logging(verbosity)
    assert logging.getLogger('bids_inpaint.cli').getEffectiveLevel() == getattr(logging, ours)
    assert logging.getLogger('nipype').getEffectiveLevel() == getattr(logging, others)


@pytest.mark.usefixtures('restored_logging')
def test_plain_lines_if_not_a_terminal(capsys):
    configure_logging(0)
    logging.getLogger('bids_inpaint').warning('left out [1]')
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.endswith('WARNING left out [1]\n')


@pytest.mark.usefixtures('restored_logging')
def test_colours_for_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    configure_logging(0)
    assert isinstance(logging.getLogger().handlers[0], RichHandler)
