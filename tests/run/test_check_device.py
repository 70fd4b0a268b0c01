"""Asking for a device before the first step."""

import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.run import execute


@pytest.fixture
def answer(monkeypatch, tmp_path):
    """Make the process that is asked for a device answer with a text and a status."""

    def make(text, status):
        program = tmp_path / 'python'
        program.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho "{text}"\nexit {status}\n'
        )
        program.chmod(0o755)
        monkeypatch.setattr(execute.sys, 'executable', str(program))

    return make


def test_a_device_that_is_there(answer, tmp_path):
    answer('gpu', 0)
    execute.check_device('gpu')
    assert (tmp_path / 'asked').read_text() == '-m bids_inpaint.network.session gpu\n'


def test_a_device_that_is_not_there_is_told_with_its_reason(answer):
    answer('no GPU is visible', execute._NO_SUCH_DEVICE)
    with pytest.raises(BidsInpaintError, match=r'^no GPU is visible$'):
        execute.check_device('gpu')


def test_a_backend_that_does_not_start_is_told(monkeypatch, tmp_path):
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\necho "no libcudart" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(execute.sys, 'executable', str(program))
    with pytest.raises(BidsInpaintError, match="device 'gpu':\nno libcudart"):
        execute.check_device('gpu')
