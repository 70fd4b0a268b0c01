import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from bids_inpaint.bids.atomic import replacing, write_text


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
