import sys
import time

import pytest
from waiting import run_watched


def test_a_program_may_take_long_while_it_says_something():
    code = 'import time\nfor i in range(20): time.sleep(0.1); print(i, flush=True)'
    ran = run_watched([sys.executable, '-S', '-c', code], silent_s=30)
    assert (ran.returncode, ran.stderr) == (0, '')
    assert ran.stdout.split() == [str(i) for i in range(20)]


def test_a_program_that_hangs_is_killed_and_its_last_words_are_told():
    code = 'import sys, time\nsys.stderr.write("last\\n"); sys.stderr.flush(); time.sleep(600)'
    started = time.monotonic()
    with pytest.raises(TimeoutError, match='last'):
        run_watched([sys.executable, '-S', '-c', code], silent_s=10)
    assert time.monotonic() - started < 300
