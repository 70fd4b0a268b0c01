"""The server gives files of its folder to this machine, and takes nothing."""

import http.client
import socket
import threading
import time
from pathlib import Path

import pytest

from bids_inpaint.bids.dataset import write_dataset_files
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import source_uri
from bids_inpaint.cli import serve, view
from bids_inpaint.cli.serve import FolderServer
from bids_inpaint.files import write_json


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'out'
    (root / 'sub-01/figures').mkdir(parents=True)
    (root / 'sub-01.html').write_text('<p>page</p>')
    (root / 'sub-01/figures/a b.svg').write_text('<svg/>')
    (root / '.bidsignore').write_text('hidden')
    (root / 'inside.txt').symlink_to(root / 'sub-01.html')
    (tmp_path / 'secret.txt').write_text('secret')
    (root / 'outside.txt').symlink_to(tmp_path / 'secret.txt')
    (root / 'loop.txt').symlink_to(root / 'loop.txt')
    (root / 'elsewhere').symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / 'out-other').mkdir()
    (tmp_path / 'out-other/secret.txt').write_text('secret')
    return root


@pytest.fixture
def server(folder, tmp_path):
    (tmp_path / 'bundle.js').write_text('viewer')
    with FolderServer(folder, {'_viewer/bundle.js': tmp_path / 'bundle.js'}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    """Send a request, and return status, headers and content."""

    def send(path, method='GET', host=None, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=10)
        host = f'127.0.0.1:{server.server_port}' if host is None else host
        connection.request(method, path, body=body, headers={'Host': host})
        response = connection.getresponse()
        answer = response.status, dict(response.headers), response.read()
        connection.close()
        return answer

    return send


def test_file_is_sent_with_its_type(ask):
    status, headers, content = ask('/sub-01.html')
    assert (status, content) == (200, b'<p>page</p>')
    assert headers['Content-Type'] == 'text/html; charset=utf-8'
    assert "default-src 'self'" in headers['Content-Security-Policy']
    assert ask('/sub-01/figures/a%20b.svg?x=1')[1]['Content-Type'].startswith('image/svg+xml')
    assert ask('/_viewer/bundle.js')[2] == b'viewer'
    assert ask('/inside.txt')[2] == b'<p>page</p>'


def test_range_larger_than_the_file_gives_the_file(server):
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=10)
    wanted = f'bytes=0-{10**30},5-,-{10**30},' + ','.join(f'{n}-' for n in range(5000))
    connection.request('GET', '/sub-01.html', headers={'Range': wanted})
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b'<p>page</p>')
    connection.close()


def test_browser_that_leaves_early_is_no_error(server, folder, ask, capfd):
    (folder / 'large.nii.gz').write_bytes(bytes(20_000_000))
    request = f'GET /large.nii.gz HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n'
    with socket.create_connection(('127.0.0.1', server.server_port), timeout=10) as stream:
        stream.sendall(request.encode())
        assert b' 200 ' in stream.recv(100)
    assert ask('/sub-01.html')[0] == 200
    time.sleep(0.2)
    assert 'Traceback' not in capfd.readouterr().err


def test_file_that_is_not_for_us_is_refused(ask, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError

    monkeypatch.setattr(Path, 'open', refuse)
    assert ask('/sub-01.html')[0] == 403


def test_head_has_no_content(ask):
    status, headers, content = ask('/sub-01.html', method='HEAD')
    assert (status, headers['Content-Length'], content) == (200, '11', b'')


def test_root_leads_to_the_first_page(ask, folder):
    assert ask('/')[1]['Location'] == '/sub-01.html'
    (folder / 'sub-00\r\nX-Evil: 1 .html').touch()
    headers = ask('/')[1]
    assert headers['Location'] == '/sub-00%0D%0AX-Evil%3A%201%20.html'
    assert 'X-Evil' not in headers
    (folder / 'group_T1w.html').touch()
    assert ask('/')[1]['Location'] == '/group_T1w.html'


@pytest.mark.parametrize(
    'path',
    [
        '/../secret.txt',
        '/%2e%2e/secret.txt',
        '/sub-01/../../secret.txt',
        '/..%2fsecret.txt',
        '/../out-other/secret.txt',
        '//etc/passwd',
        '/%2fetc/passwd',
        '/%252e%252e/secret.txt',
        '/..%5csecret.txt',
        '/outside.txt',
        '/elsewhere/secret.txt',
        '/loop.txt',
        '/' + 'a' * 5000,
        '/sub-01.html/',
        '/sub-01.html/../../secret.txt',
        '/%ff%fe',
        '/.bidsignore',
        '/sub-01/',
        '/sub-01.html%00',
        '/none.html',
        '/_viewer/../../secret.txt',
    ],
)
def test_what_is_not_a_file_within_is_not_found(ask, path):
    status, _, content = ask(path)
    assert (status, content) == (404, b'')


@pytest.mark.parametrize(
    'host', ['evil.example', 'evil.example:{port}', '127.0.0.1', '', '[::1]:{port}']
)
def test_other_hosts_names_are_refused(ask, server, host):
    assert ask('/sub-01.html', host=host.format(port=server.server_port))[0] == 403


def test_localhost_is_this_server(ask, server):
    assert ask('/sub-01.html', host=f'LocalHost:{server.server_port}')[0] == 200


def test_request_without_or_with_two_hosts_is_refused(server):
    for hosts in ('', f'Host: 127.0.0.1:{server.server_port}\r\nHost: evil.example\r\n'):
        with socket.create_connection(('127.0.0.1', server.server_port), timeout=10) as stream:
            stream.sendall(f'GET /sub-01.html HTTP/1.1\r\n{hosts}\r\n'.encode())
            assert b' 403 ' in stream.recv(100)


@pytest.mark.parametrize('method', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
def test_writing_is_refused(ask, folder, method):
    before = (folder / 'sub-01.html').read_text()
    status, headers, _ = ask('/sub-01.html', method=method, body=b'new')
    assert (status, headers['Allow']) == (405, 'GET, HEAD')
    assert (folder / 'sub-01.html').read_text() == before


@pytest.mark.parametrize('method', ['MKCOL', 'TRACE', 'CONNECT'])
def test_methods_nobody_needs_are_not_known(ask, method):
    assert ask('/sub-01.html', method=method)[0] == 501


def test_only_loopback_is_listened_to(server):
    assert server.server_address[0] == '127.0.0.1'
    assert serve._ADDRESS == '127.0.0.1'


def test_folder_of_others_is_refused(tmp_path, capsys):
    assert view.main([str(tmp_path)]) == 2
    assert 'has no dataset_description.json' in capsys.readouterr().err


def test_program_prints_the_address_and_opens_a_browser(tmp_path, monkeypatch, capsys):
    (tmp_path / 'dataset_description.json').write_text(
        '{"GeneratedBy": [{"Name": "bids_inpaint"}]}'
    )
    opened = []
    monkeypatch.setattr(view.webbrowser, 'open', opened.append)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FolderServer, 'serve_forever', interrupt)
    assert view.main([str(tmp_path)]) == 0
    address = capsys.readouterr().out.strip()
    assert opened == [address]
    assert address.startswith('http://127.0.0.1:')
    assert view.main([str(tmp_path), '--no-browser']) == 0
    assert len(opened) == 1


def test_source_images_are_those_that_were_processed(make_dataset, tmp_path):
    raw = make_dataset('sub-01/anat/sub-01_T1w.nii.gz', 'sub-02/anat/sub-02_T1w.nii.gz')
    out = tmp_path / 'out'
    write_dataset_files(out, bids_dir=raw)
    scan = parse_t1w(raw / 'sub-01/anat/sub-01_T1w.nii.gz')
    xfm = derivative_path(scan, 'anat2std_xfm')
    write_json(out / sidecar_path(xfm), {'Sources': [source_uri(scan)]})
    write_json(out / derivative_path(scan, 'qc'), {})
    found = {'_source/sub-01/anat/sub-01_T1w.nii.gz': scan.t1w}
    assert view.source_images(out) == found
    scan.t1w.unlink()
    assert view.source_images(out) == {}


@pytest.mark.parametrize('links', [None, [], {'raw': 3}, {'raw': 'https://example.org/ds'}])
def test_source_that_is_not_a_folder_gives_no_images(tmp_path, links):
    write_json(tmp_path / 'dataset_description.json', {'DatasetLinks': links})
    assert view.source_images(tmp_path) == {}


@pytest.mark.parametrize('port', ['x', '-1', '65536'])
def test_port_must_be_one(port, tmp_path):
    with pytest.raises(SystemExit):
        view.main([str(tmp_path), f'--port={port}'])
