import logging
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from bids_inpaint.run import progress
from bids_inpaint.run.progress import ProgressDisplay

SCANS = {'sub_01_wf': 'sub-01', 'sub_02_wf': 'sub-02_run-1'}


def node(scan, step):
    return SimpleNamespace(fullname=f'app_wf.{scan}.preprocess_wf.{step}')


@pytest.fixture
def lines(caplog):
    """What was said, without the time."""
    caplog.set_level(logging.INFO, logger='bids_inpaint')
    return lambda: [record.getMessage() for record in caplog.records]


def test_lines_tell_scan_step_done_and_elapsed(lines, monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress.time, 'monotonic', lambda: clock.now)
    with ProgressDisplay(SCANS, 4) as display:
        display.update(node('sub_01_wf', 'conform'), 'start')
        clock.now += 3725
        display.update(node('sub_01_wf', 'conform'), 'end')
        display.update(node('sub_02_wf', 'register'), 'start')
        display.update(node('sub_02_wf', 'register'), 'exception')
    assert lines() == [
        '[00:00:00, 0 of 4 steps] sub-01: conform',
        '[01:02:05, 1 of 4 steps] sub-01: conform done',
        '[01:02:05, 1 of 4 steps] sub-02_run-1: register',
        '[01:02:05, 2 of 4 steps] sub-02_run-1: register FAILED',
    ]


def test_a_node_that_nipype_ends_twice_counts_once(lines):
    with ProgressDisplay(SCANS, 4) as display:
        display.update(node('sub_01_wf', 'conform'), 'exception')
        display.update(node('sub_01_wf', 'conform'), 'end')
        display.update(node('sub_02_wf', 'conform'), 'end')
    assert [re.search(r', (\d) of 4', line)[1] for line in lines()] == ['1', '2']


def test_a_terminal_gets_a_bar(lines, monkeypatch, tmp_path):
    with (tmp_path / 'screen').open('w+') as screen:
        console = Console(file=screen, force_terminal=True, width=100)
        monkeypatch.setattr(progress, 'Console', lambda **_: console)
        with ProgressDisplay(SCANS, 4) as display:
            display.update(node('sub_01_wf', 'conform'), 'end')
            display.update(node('sub_01_wf', 'register'), 'start')
        screen.seek(0)
        shown = screen.read()
    assert lines() == []
    assert '1/4' in shown
    assert 'sub-01: register' in shown
