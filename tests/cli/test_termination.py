import signal
import subprocess
import sys

import pytest

from bids_inpaint.cli.process import TERMINATED, raising_signals
from bids_inpaint.errors import Terminated


def test_sigterm_is_raised_in_the_block_and_no_longer_after_it():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), raising_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_process_that_does_not_listen_is_ended_nevertheless():
    code = (
        'import os, signal, time\n'
        'from bids_inpaint.cli import process\n'
        'process._AT_LATEST_S = 0.2\n'
        'with process.raising_signals():\n'
        '    while True:\n'
        '        try:\n'
        '            os.kill(os.getpid(), signal.SIGTERM)\n'
        '            time.sleep(60)\n'
        '        except BaseException:\n'
        '            pass\n'
    )
    ended = subprocess.run([sys.executable, '-c', code], check=False, timeout=20)
    assert ended.returncode == TERMINATED == 143
