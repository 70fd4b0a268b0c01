"""The app with its computation replaced by writing what was computed once.

``python benchmarks/stand_in.py serve TEMPLATE SHRINK SOCKET NOTES`` loads the program and waits;
``python -IS benchmarks/stand_in.py run SOCKET ARGUMENT...`` lets it fork a process that runs
`bids_inpaint ARGUMENT...`. A thousand runs thus do not load Python's libraries a thousand times,
which takes longer than all else that is left, and is the same for each.

TEMPLATE is an output folder in which sub-01 was processed. Of its images and figures the first
1/SHRINK is written. What is not computation is the program's own: discovery, files of the dataset,
configuration, content of the pages, temporary names and renaming. Of each run
NOTES gets a file with its wall and CPU time, and how often it opened a file and listed a folder.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

_LENGTH = 4  # bytes of the number of bytes that follow
_TEMPLATE_NAME = 'sub-01'


def run(address: str, arguments: list[str]) -> int:
    """Ask the server for a run, wait for it, and return its status."""
    request = json.dumps({'arguments': arguments, 'folder': str(Path.cwd())}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        head = len(request).to_bytes(_LENGTH, 'big')
        socket.send_fds(connection, [head], [sys.stdout.fileno(), sys.stderr.fileno()])
        connection.sendall(request)
        answer = connection.recv(1)
    return answer[0] if answer else 1


def serve(template: Path, shrink: int, address: str, notes: Path) -> None:
    """Wait for runs, and fork for each."""
    import gc
    import signal

    prepare(template, shrink)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        sys.stdout.write('ready\n')
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            if os.fork():
                connection.close()
                continue
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = _answer(connection, notes)
            connection.sendall(bytes([status]))
            os._exit(0)


def prepare(template: Path, shrink: int) -> None:
    """Load the program, and replace its computation."""
    os.environ['NO_ET'] = '1'  # else nipype asks a server for its latest version
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from bids_inpaint.bids import discovery  # noqa: F401 - loaded once for all runs
    from bids_inpaint.bids.scan import Scan
    from bids_inpaint.run import execute, pages
    from bids_inpaint.settings import Settings

    def run_participants(settings: Settings, scans: list[Scan]) -> list[Any]:
        for scan in scans:
            write_copy(template, settings.output_dir, 'anat/*', scan.name, shrink)
        return []

    def report_participant(output_dir: Path, subject: str, *_: object) -> Path:
        name = f'sub-{subject}'
        write_copy(template, output_dir, 'figures/*', name, shrink)
        page = output_dir / f'{name}.html'
        write_one(template / f'{_TEMPLATE_NAME}.html', page, name, 1)
        return page

    vars(execute)['run_participants'] = run_participants
    vars(pages)['report_participant'] = report_participant


def write_copy(template: Path, out: Path, pattern: str, name: str, shrink: int) -> None:
    """Write files of the template's participant under the name of another."""
    for path in sorted((template / _TEMPLATE_NAME).glob(pattern)):
        target = out / name / path.parent.name / path.name.replace(_TEMPLATE_NAME, name)
        write_one(path, target, name, shrink)


def write_one(path: Path, target: Path, name: str, shrink: int) -> None:
    """Write one file as the program does, of an image or a figure the first part only."""
    from bids_inpaint.files import replacing

    with replacing(target) as temporary:
        if path.suffix in {'.gz', '.svg'}:
            temporary.write_bytes(path.read_bytes()[: path.stat().st_size // shrink])
        else:
            temporary.write_text(path.read_text().replace(_TEMPLATE_NAME, name))


def _answer(connection: socket.socket, notes: Path) -> int:
    """Run the program as it was asked to, in this process; return its status."""
    head, files, _, _ = socket.recv_fds(connection, _LENGTH, 2)
    request = b''
    while len(request) < int.from_bytes(head, 'big'):
        request += connection.recv(65536)
    asked = json.loads(request)
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
    os.chdir(asked['folder'])
    measured = measure(asked['arguments'])
    (notes / f'{measured["ended"]:.6f}_{os.getpid()}.json').write_text(json.dumps(measured))
    return int(measured['status'])


def measure(arguments: list[str]) -> dict[str, Any]:
    """Run the program in this process; note status, time, and accesses to the file system."""
    import time

    from bids_inpaint.cli import main

    counts = {'open': 0, 'os.scandir': 0, 'os.listdir': 0}

    def count(event: str, _: object) -> None:
        if event in counts:
            counts[event] += 1

    sys.addaudithook(count)
    wall, cpu = time.monotonic(), time.process_time()
    status = main(arguments)
    times = {'wall': time.monotonic() - wall, 'cpu': time.process_time() - cpu}
    ended = {'status': status, 'ended': time.time()}
    listed = counts['os.scandir'] + counts['os.listdir']
    return {**ended, **times, 'opened': counts['open'], 'listed': listed}


def main() -> int:
    """Serve, or ask for a run."""
    if sys.argv[1] == 'run':
        return run(sys.argv[2], sys.argv[3:])
    template, shrink, address, notes = sys.argv[2:]
    serve(Path(template), int(shrink), address, Path(notes))
    return 0


if __name__ == '__main__':
    sys.exit(main())
