"""Wait for what another process does.

Limits guard against hangs only, as the machine may be slow or busy.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, Any

PATIENCE_S = 1800


def wait_until(done: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait until something is true; `what` tells what was seen instead."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(what())
        time.sleep(0.1)


def run_watched(
    command: list[str], *, silent_s: float = PATIENCE_S, **options: Any
) -> 'subprocess.CompletedProcess[str]':
    """Run a program to its end, however long that takes, unless it is silent for too long.

    A run of the app writes a line at the start and end of each step.
    """
    said: list[str] = []
    written: list[str] = []
    heard = time.monotonic()

    def listen(stream: IO[str], lines: list[str]) -> None:
        nonlocal heard
        for line in stream:
            lines.append(line)
            heard = time.monotonic()

    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes, **options) as process:
        streams = ((process.stdout, written), (process.stderr, said))
        listeners = [threading.Thread(target=listen, args=pair) for pair in streams]
        for listener in listeners:
            listener.start()
        while process.poll() is None:
            if time.monotonic() - heard > silent_s:
                process.kill()
                msg = f'silent for {silent_s:.0f} s: {command}\n{"".join(said[-20:])}'
                raise TimeoutError(msg)
            time.sleep(0.05)
        for listener in listeners:
            listener.join()
    return subprocess.CompletedProcess(
        command, process.returncode, ''.join(written), ''.join(said)
    )
