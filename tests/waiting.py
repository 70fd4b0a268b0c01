"""Wait for what another process does."""

import time
from collections.abc import Callable

PATIENCE_S = 1800  # the machine may be busy


def wait_until(done: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait until something is true; `what` tells what was seen instead."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(what())
        time.sleep(0.1)
