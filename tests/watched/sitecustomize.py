"""Notes in the file WATCHED what a Python asks of the network; found through PYTHONPATH."""

import os
import sys
from typing import Any

_EVENTS = {'socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto'}


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Write one line; processes of one machine talk through files (AF_UNIX), which is fine."""
    if event in _EVENTS and 'AF_UNIX' not in repr(arguments[0]):
        with open(os.environ['WATCHED'], 'a') as file:  # noqa: PTH123 - pathlib may not be loaded
            file.write(f'{event} {arguments[1:]}\n')


sys.addaudithook(_note)
