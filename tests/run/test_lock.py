import os
import shutil
import time

import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.run import lock
from bids_inpaint.run.lock import locked


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, '_PATIENCE_S', 0.3)
    with (
        locked(tmp_path / 'work'),
        pytest.raises(BidsInpaintError, match='one run at a time'),
        locked(tmp_path / 'work'),
    ):
        pass
    with locked(tmp_path / 'work') as lost:
        assert not lost()


def test_a_run_that_was_killed_holds_nothing(tmp_path):
    if (child := os.fork()) == 0:
        with locked(tmp_path):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    started = time.monotonic()
    with locked(tmp_path):
        assert time.monotonic() - started < 5


def test_a_fork_that_goes_on_holds_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, '_PATIENCE_S', 0.3)
    with locked(tmp_path):
        if (child := os.fork()) == 0:
            time.sleep(600)
            os._exit(0)
    try:
        with pytest.raises(BidsInpaintError), locked(tmp_path):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_folder_that_was_removed_is_noticed_and_free_for_the_next(tmp_path):
    folder = tmp_path / 'work'
    with locked(folder) as lost:
        shutil.rmtree(folder)
        assert lost()
        with locked(folder) as lost_too:
            assert lost()
            assert not lost_too()


def test_a_file_system_without_locks_is_used(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr(lock.fcntl, 'flock', fail)
    with locked(tmp_path) as lost:
        assert not lost()
