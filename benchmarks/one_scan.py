"""Time and memory of the app on a dataset: ``python benchmarks/one_scan.py BIDS OUT [OPTION...]``.

Runs `run.py BIDS OUT participant OPTION...` in a new output folder and prints, for the whole run,
wall time, CPU time, the peak of memory over the process tree (proportional set size: shared pages
are counted once) and of the working directory; and for each step of each scan its seconds and the
peak memory of its process, from the sidecars.
"""

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
_INTERVAL_S = 0.25
_GB = 1024**3


class PeakWatch(threading.Thread):
    """Samples the memory of a process tree, and the size of a folder, until it ends."""

    def __init__(self, process: psutil.Popen, folder: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.folder = process, folder
        self.memory_bytes, self.disk_bytes = 0, 0

    def run(self) -> None:
        """Sample until the process is gone."""
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            self.memory_bytes = max(self.memory_bytes, tree_memory(self.process))
            self.disk_bytes = max(self.disk_bytes, folder_size(self.folder))
            time.sleep(_INTERVAL_S)


def tree_memory(process: psutil.Process) -> int:
    """Proportional set size of a process and all its children, in bytes."""
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_full_info().pss
    except psutil.Error:  # one of them ended meanwhile
        pass
    return total


def folder_size(folder: Path) -> int:
    """Bytes on disk of all files below a folder."""
    total = 0
    for path in folder.rglob('*'):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:  # removed meanwhile
            continue
    return total


def steps_of(sidecar: Path) -> list[str]:
    """Make a line for each step of a scan."""
    steps = json.loads(sidecar.read_text())['Steps']
    return [f'  {s["step"]:16}{s["seconds"]:8.1f} s {s["peak_memory_mb"]:8.0f} MB' for s in steps]


def main() -> int:
    """Run the app once, and print what it cost."""
    bids, out, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='bids_inpaint_benchmark_') as work:
        command = [sys.executable, str(ROOT / 'run.py'), bids, out, 'participant', '-w', work]
        started = time.monotonic()
        process = psutil.Popen([*command, *options])
        watch = PeakWatch(process, Path(work))
        watch.start()
        status = process.wait()
        wall = time.monotonic() - started
        watch.join()
    lines = [
        f'exit status {status}',
        f'wall {wall:.1f} s',
        f'memory {watch.memory_bytes / _GB:.2f} GB (sum of PSS over the process tree)',
        f'working directory {watch.disk_bytes / _GB:.2f} GB',
    ]
    for sidecar in sorted(Path(out).rglob('*_desc-inpaint_qc.json')):
        product = sidecar.with_name(
            sidecar.name.replace('_desc-inpaint_qc', '_desc-inpainted_T1w')
        )
        lines += [product.name, *steps_of(product)]
    sys.stdout.write('\n'.join(lines) + '\n')
    return status


if __name__ == '__main__':
    sys.exit(main())
