import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from nibabel.openers import ImageOpener

from bids_inpaint.files import (
    copy_image,
    decode,
    read_object,
    read_object_or_nothing,
    replacing,
    sha256,
    write_json,
    write_text,
)


def test_folder_is_made_and_file_is_there_at_the_end_only(tmp_path):
    path = tmp_path / 'new' / 'image.nii.gz'
    with replacing(path) as temporary:
        temporary.write_text('new')
        assert not path.exists()
    assert path.read_text() == 'new'
    assert list(path.parent.iterdir()) == [path]


def test_temporary_name_is_hidden_and_keeps_the_extensions(tmp_path):
    with replacing(tmp_path / 'image.nii.gz') as temporary:
        temporary.touch()
        assert temporary.name.startswith('.')
        assert temporary.name.endswith('.nii.gz')
        assert temporary.parent == tmp_path


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / 'text', 'old')
    with pytest.raises(RuntimeError, match='half way'), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text('ne')
        raise RuntimeError('half way')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / 'plain').touch()
    path = write_text(tmp_path / 'text', 'new')
    modes = [stat.S_IMODE(file.stat().st_mode) for file in (path, tmp_path / 'plain')]
    assert modes[0] == modes[1]


def test_writers_at_once_never_show_half_a_file(tmp_path):
    path = write_text(tmp_path / 'text', 'a' * 100_000)

    def write_and_read(letter):
        write_text(path, letter * 100_000)
        return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, 'abcdefgh' * 20))
    assert {(len(text), len(set(text))) for text in seen} == {(100_000, 1)}
    assert list(tmp_path.iterdir()) == [path]


def test_json_holds_what_python_has(tmp_path):
    content = {
        'path': Path('/data'),
        'number': np.float32(0.5),
        'count': np.int64(3),
        'flag': np.bool_(True),
        'undefined': float('nan'),
        'list': (1, np.float64('inf')),
        'table': {'a': {'b': None}},
        'name': 'Manjón',
    }
    path = write_json(tmp_path / 'new' / 'a.json', content)
    assert json.loads(path.read_text(encoding='utf-8')) == {
        'path': '/data',
        'number': 0.5,
        'count': 3,
        'flag': True,
        'undefined': None,
        'list': [1, None],
        'table': {'a': {'b': None}},
        'name': 'Manjón',
    }
    assert path.read_text(encoding='utf-8').endswith('}\n')


def test_equal_images_are_equal_files(tmp_path):
    image = tmp_path / 'a.nii'
    image.write_bytes(bytes(range(256)) * 999)
    copy_image(image, tmp_path / 'a.nii.gz')
    copy_image(image, tmp_path / 'b.nii.gz')
    content = (tmp_path / 'a.nii.gz').read_bytes()
    assert content == (tmp_path / 'b.nii.gz').read_bytes()
    assert content[4:8] == bytes(4)  # the time, which gzip notes in whole seconds
    copy_image(tmp_path / 'a.nii.gz', tmp_path / 'c.nii')
    assert (tmp_path / 'c.nii').read_bytes() == image.read_bytes()
    with ImageOpener(str(tmp_path / 'd.nii.gz'), 'wb') as stream:
        stream.write(image.read_bytes())
    assert (tmp_path / 'd.nii.gz').read_bytes() == content, 'as nibabel writes it'


@pytest.mark.parametrize('content', ['', '[1]', '{', None])
def test_what_is_no_object_is_refused_by_name_or_nothing(tmp_path, content):
    path = tmp_path / 'a.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r'a\.json must (be readable JSON: |hold a JSON object)'):
        read_object(path)
    assert read_object_or_nothing(path) == {}
    write_json(path, {'a': 1})
    assert read_object(path) == read_object_or_nothing(path) == {'a': 1}


ENCODINGS = ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'cp1252']


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_object_is_read_as_editors_write_it(tmp_path, encoding, caplog):
    path = tmp_path / 'a.json'
    path.write_bytes('{"Institution": "Hôpital"}\r\n'.encode(encoding))
    assert read_object(path) == {'Institution': 'Hôpital'}
    assert ('save it as UTF-8' in caplog.text) == (encoding == 'cp1252')


@pytest.mark.parametrize('content', [b'\x81\xff', b'\xff\xfea\0b', '\ufeffa'.encode()])
def test_bytes_come_back_from_the_text_or_it_is_refused(content):
    try:
        text, encoding = decode(content)
    except ValueError:
        assert content == b'\xff\xfea\0b'
    else:
        assert text.encode(encoding) == content


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('{"a": 1,}', r"double quotes.*; the file begins with '\{\"a\": 1,\}'"),
        (' \n', 'the file is empty'),
        ('[' * 100_000, 'begins with'),
        ('/annex/objects/MD5E-s3', 'begins with ./annex/objects/MD5E-s3'),
        ('{"a": 1%s}' % ('0' * 308), 'a number of 309 digits, of at most 308'),
        ('{"a": "\\ud800"}', None),
        ('{"a": -1%s}' % ('0' * 307), None),
    ],
)
def test_what_is_wrong_with_json_is_told(tmp_path, content, reason):
    path = tmp_path / 'a.json'
    path.write_text(content)
    if reason is None:
        write_json(tmp_path / 'b.json', read_object(path))
        assert read_object(tmp_path / 'b.json') == read_object(path)
    else:
        with pytest.raises(ValueError, match=reason):
            read_object(path)


def test_json_that_was_not_fetched_is_told(tmp_path):
    (tmp_path / 'a.json').symlink_to('.git/annex/none')
    with pytest.raises(ValueError, match='link whose content was not fetched'):
        read_object(tmp_path / 'a.json')


def test_hash_is_of_the_content_alone(tmp_path):
    first, second = (write_text(tmp_path / name, 'abc') for name in 'ab')
    assert sha256(first) == sha256(second)
    assert sha256(first).startswith('ba7816bf8f01cfea')
    assert sha256(write_text(second, 'abd')) != sha256(first)


@pytest.mark.parametrize('durable', [True, False])
def test_what_took_hours_is_on_the_disk_before_the_old_file_goes(tmp_path, monkeypatch, durable):
    path = write_text(tmp_path / 'weights', 'old')
    seen = []
    monkeypatch.setattr(os, 'fsync', lambda _: seen.append(path.read_text()))
    with replacing(path, durable=durable) as temporary:
        temporary.write_text('new')
    assert seen == (['old'] if durable else [])
    assert path.read_text() == 'new'
