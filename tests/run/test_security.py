"""What a run takes in does nothing, and nothing of machine and user goes out."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny_app
from conftest import tiny_command
from image_grids import grid_of
from waiting import run_watched

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
WATCHED = Path(__file__).parents[1] / 'watched'
USER, HOST = 'zebrauser', 'zebrahost'
HOSTILE = '<img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}{0}%s"\'&'
FOLDER = '$(touch ran) `touch ran`;touch ran;<b>'


class Run(NamedTuple):
    """Folder of a run, and what it said and asked of the network."""

    top: Path
    said: str
    asked: str


def watched_environ(top: Path) -> dict[str, str]:
    """Environment in which what Python asks of the network is noted."""
    me = {'USER': USER, 'LOGNAME': USER, 'LNAME': USER, 'HOSTNAME': HOST}
    paths = os.pathsep.join([str(WATCHED), os.environ.get('PYTHONPATH', '')])
    return {**os.environ, **me, 'WATCHED': str(top / 'asked'), 'PYTHONPATH': paths}


def on_named_host(command: list[str]) -> list[str]:
    """Command on a machine of a name of its own, without network, where that is allowed."""
    unshare = shutil.which('unshare')
    if unshare is None:
        return command
    alone = [unshare, '--uts', '--net', 'sh', '-c']
    tried = subprocess.run([*alone, f'hostname {HOST}'], capture_output=True, check=False)
    if tried.returncode:
        return command
    return [*alone, f'hostname {HOST}; exec {shlex.join(command)}']


@pytest.fixture(scope='module')
def run(tmp_path_factory) -> Run:
    """Two participants, one of them without an image, with all text hostile; both levels."""
    top = tmp_path_factory.mktemp('hostile')
    raw, out = top / FOLDER / 'raw', top / FOLDER / 'out'
    t1w = tiny_app.write_head(raw / 'sub-01/anat/sub-01_T1w.nii.gz', grid_of('RAS'))
    sidecar = {'ManufacturersModelName': HOSTILE, 'SeriesDescription': HOSTILE, HOSTILE: HOSTILE}
    t1w.with_name('sub-01_T1w.json').write_text(json.dumps(sidecar))
    damaged = raw / 'sub-02/anat/sub-02_T1w.nii.gz'
    damaged.parent.mkdir(parents=True)
    damaged.write_text(HOSTILE)
    fields = {'Name': HOSTILE, 'BIDSVersion': '1.9.0'}
    (raw / 'dataset_description.json').write_text(json.dumps(fields))
    rows = ['participant_id\tage\tsite', f'sub-01\t30\t{HOSTILE}', f'sub-02\t{HOSTILE}\ta']
    (raw / 'participants.tsv').write_text('\n'.join(rows))
    folders = [str(raw), str(out)]
    others = ['-w', str(top / 'work'), '--models', str(tiny_app.write_models(top / 'models'))]
    environ = watched_environ(top)
    said = ''
    for level, options, status in (('participant', others, 1), ('group', [], 0)):
        command = on_named_host(tiny_command([*folders, level, *options]))
        ran = run_watched(command, cwd=top, env=environ)
        said += ran.stderr
        assert ran.returncode == status, said
    asked = top / 'asked'
    return Run(top, said, asked.read_text() if asked.exists() else '')


def outputs(run: Run) -> list[Path]:
    """All files that a run wrote for its user."""
    found = [path for path in (run.top / FOLDER / 'out').rglob('*') if path.is_file()]
    assert any(path.name.endswith('T1w.nii.gz') for path in found)
    assert any(path.name.startswith('crash') for path in found)
    return found


class Elements(HTMLParser):
    """Elements of a page that no template has: what was text in the input."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == 'b' or any(name.startswith('on') for name, _ in attrs):
            self.foreign.append(f'{tag} {attrs}')


def test_nothing_of_the_input_is_run(run):
    assert not list(run.top.rglob('ran'))


def test_pages_and_pictures_escape_all_text(run):
    pages = [path for path in outputs(run) if path.suffix in {'.html', '.svg'}]
    assert {'sub-01.html', 'sub-02.html', 'group_T1w.html'} <= {path.name for path in pages}
    for page in pages:
        text = page.read_text()
        assert 'alert(2)</script>' not in text, page
        elements = Elements()
        elements.feed(text)
        assert not elements.foreign, page
    group = next(page for page in pages if page.name == 'group_T1w.html').read_text()
    assert '{{7*7}}' in group  # as it was given: no template is filled twice


def test_outputs_name_neither_user_nor_machine(run):
    for path in outputs(run):
        assert USER not in path.name
        assert HOST not in path.name
        content = path.read_bytes()
        assert USER.encode() not in content, path
        assert HOST.encode() not in content, path


def test_folders_are_named_only_where_that_is_the_purpose(run):
    """In DatasetLinks, and in the logs: the configuration, and what failed."""
    for path in outputs(run):
        if 'logs' not in path.parts and path.name != 'dataset_description.json':
            assert run.top.name.encode() not in path.read_bytes(), path


def test_nothing_is_asked_of_the_network(run):
    assert run.asked == ''


@pytest.mark.parametrize(
    'line',
    [
        'import socket; socket.create_connection(("127.0.0.1", 9))',
        'import urllib.request; urllib.request.urlopen("http://localhost:9")',
        'import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))',
    ],
)
def test_what_is_asked_of_the_network_would_be_noted(tmp_path, line):
    environ = watched_environ(tmp_path)
    subprocess.run([sys.executable, '-c', line], env=environ, check=False, capture_output=True)
    assert '9' in (tmp_path / 'asked').read_text()
