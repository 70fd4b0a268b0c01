"""Time and memory of one prediction, in a separate process, so that nothing else is counted.

`python -m bids_inpaint.evaluation.one_prediction METHOD T1W MASK MODEL DEVICE THREADS`; prints
JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_inpaint.evaluation.cases import anat2std_of
from bids_inpaint.evaluation.methods import there_and_back
from bids_inpaint.image.volume import load
from bids_inpaint.network.inference import inpaint
from bids_inpaint.network.session import prepare_backend
from bids_inpaint.network.weights import load_weights

_STATUS = Path('/proc/self/status')
_KB_PER_GB = 1024**2


def measure(
    method: str,
    t1w_file: Path,
    mask_file: Path,
    model: Path,
    device: str,
    num_threads: int,
) -> dict[str, object]:
    """Load network and image, apply a method once, and return time and memory.

    Parameters
    ----------
    method : {'nothing', 'resampling', 'network'}
        `nothing` loads all that a prediction needs.
    t1w_file, mask_file : Path
        On the template grid.
    model : Path
        Folder of weights and card.
    device : {'cpu', 'gpu'}
        Where.
    num_threads : int
        Of the CPU.

    """
    t1w, mask = load(t1w_file).data, load(mask_file).data > 0.5
    started = time.perf_counter()
    taken = prepare_backend(device, num_threads)  # type: ignore[arg-type]
    network, card = load_weights(model)
    network.compile(jit_compile='auto' if taken == 'gpu' else False)
    loaded = time.perf_counter()
    seconds = []
    for _ in range(0 if method == 'nothing' else 2):
        before = time.perf_counter()
        if method == 'network':
            inpaint(network, t1w, mask, window_vox=card.architecture.window_vox)
        else:
            _resample(t1w, t1w_file)
        seconds.append(time.perf_counter() - before)
    return {
        'load_s': loaded - started,
        'first_s': seconds[0] if seconds else 0.0,
        'next_s': seconds[1] if seconds else 0.0,
        'peak_memory_gb': peak_memory_gb(),
    }


def _resample(t1w: NDArray[np.float32], t1w_file: Path) -> None:
    there_and_back(t1w, anat2std_of(t1w_file))


def peak_memory_gb() -> float:
    """Peak of resident memory; not by `getrusage`, which begins with that of the parent."""
    lines = _STATUS.read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith('VmHWM'))) / _KB_PER_GB


def main() -> int:
    """Measure once, as the command line says."""
    method, t1w_file, mask_file, model, device, threads = sys.argv[1:]
    found = measure(method, Path(t1w_file), Path(mask_file), Path(model), device, int(threads))
    sys.stdout.write(json.dumps(found) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
