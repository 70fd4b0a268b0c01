"""The app on images of about 30 voxels a side, in seconds.

The template has voxels of 4 mm and an analytic head in place of the ICBM maps; registration,
denoising, bias field and network are replaced by what is known to be true of that head. All else
is the program itself. As a program, `python tiny_app.py <arguments of the app>` runs it so:

TINY_SLEEP   seconds that denoising takes
TINY_WAIT    file that denoising waits for
TINY_KILL    number of voxels of the image on which denoising is killed, as for want of memory
TINY_GREED   memory that denoising takes, in MB
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nb
import numpy as np
from numpy.typing import NDArray

from bids_inpaint.files import sha256
from bids_inpaint.image.register.affine import Registration
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.template import AFFINE as FINE_AFFINE
from bids_inpaint.image.template import Template
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.image.volume import Volume
from bids_inpaint.network.card import WEIGHTS_FILE, Card, read_card, write_card
from bids_inpaint.network.config import UNetConfig

SHAPE = (46, 55, 46)
AFFINE = np.diag([4.0, 4, 4, 1])
AFFINE[:3, 3] = FINE_AFFINE[:3, 3]
MIDDLE_MM = np.array([0.0, -17, 12])
LESION_MM = np.array([24.0, -30, 20])
VENTRICLE_MM = np.array([-8.0, -17, 12])
GREY, WHITE, LESION, FLUID = 0.8, 1.2, 0.7, 0.3
GAIN = 300.0


def anat2std_xfm() -> NDArray[np.float64]:
    """What every image of these tests needs to come to the template: T1w mm to template mm."""
    xfm = np.eye(4)
    angles = np.deg2rad([6, -4, 9])
    xfm[:3, :3] = nb.eulerangles.euler2mat(*angles) * np.array([1.08, 0.95, 1.04])
    xfm[:3, 3] = -3, 4, 2
    return xfm


def places(grid: Grid) -> NDArray[np.float64]:
    """Position of each voxel, mm; (X, Y, Z, 3)."""
    return nb.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))


def radius(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the middle of the head: 1 is the edge of the brain; template mm."""
    return np.linalg.norm((points - MIDDLE_MM) / (58, 72, 55), axis=-1)


def lesion_share(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of lesion at each place, with a soft edge of 4 mm; template mm."""
    return np.clip((11 - np.linalg.norm(points - LESION_MM, axis=-1)) / 4, 0, 1)


def ventricle_share(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of fluid at each place of the brain, as that of a lesion."""
    return np.clip((13 - np.linalg.norm(points - VENTRICLE_MM, axis=-1)) / 4, 0, 1)


def head(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Brightness of a head with a lesion and a ventricle at places of the template."""
    r = radius(points)
    white = np.clip((0.75 - r) / 0.1, 0, 1)
    brain = GREY + (WHITE - GREY) * white
    brain += lesion_share(points) * (LESION - brain)
    brain += ventricle_share(points) * (FLUID - brain)
    return np.where(r < 1, brain, np.where(r < 1.2, FLUID, 0.0)).astype(np.float32)


def bias_field(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Field of these tests: brighter to the right."""
    return (1 + 0.15 * points[..., 0] / 60).astype(np.float32)


@cache
def coarse_template() -> Template:
    """Stand in for the ICBM maps."""
    points = places(Grid(SHAPE, AFFINE))
    r = radius(points)
    return Template(
        t1w=np.where(r < 1, head(points), 0).astype(np.float32),
        grey_matter=((r < 0.98) & (r > 0.78)).astype(np.float32),
        white_matter=((r < 0.62) & (ventricle_share(points) == 0)).astype(np.float32),
        brain_mask=r < 1,
    )


def whole_grid() -> tuple[slice, ...]:
    """Stand in for the box around the template's brain."""
    return tuple(slice(0, size) for size in SHAPE)


def register(t1w: Volume, *, random_seed: int) -> Registration:  # noqa: ARG001 - as the true one
    """Stand in for the registration."""
    xfm = anat2std_xfm()
    return Registration(
        anat2std_xfm=xfm,
        similarity=0.9,
        strategy='known',
        determinant=float(np.linalg.det(xfm)),
        skull_stripped=False,
        coverage=1.0,
    )


def denoise(t1w: Volume, mask: NDArray[np.bool_]) -> Volume:  # noqa: ARG001 - as the true one
    """Stand in for denoising: slow, or killed, or waiting, where that is asked for."""
    greed = bytearray(int(os.environ.get('TINY_GREED', '0')) * 1_000_000)
    greed[::4096] = b'x' * len(greed[::4096])
    time.sleep(float(os.environ.get('TINY_SLEEP', '0')))
    while not Path(os.environ.get('TINY_WAIT', '/')).exists():
        time.sleep(0.1)
    if os.environ.get('TINY_KILL') == str(t1w.data.size):
        os.kill(os.getpid(), signal.SIGKILL)
    return t1w


def brain_mask(t1w_std: NDArray[np.float32], **_: bool) -> NDArray[np.bool_]:
    """Stand in for the brain mask."""
    return coarse_template().brain_mask & np.isfinite(t1w_std)


def estimate_bias_field(t1w: Volume, brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Stand in for N4."""
    field = bias_field(places(Grid(t1w.data.shape, t1w.affine)))
    return np.asarray(field / field[brain].mean(), np.float32)


def fill(
    t1w: NDArray[np.float32], brain: NDArray[np.bool_], **options: Any
) -> tuple[Prediction, dict[str, Any]]:
    """Stand in for the network: knows where the lesion is, and how bright white matter is.

    Given a mask to fill, it makes all of that white matter. It tells the probability of lesion if
    its card says so.
    """
    points = places(Grid(SHAPE, AFFINE))
    white = np.median(t1w[radius(points) < 0.5])
    if options['fill_mask'] is None:
        share = np.where(brain, lesion_share(points), 0)
        healthy = t1w + share * np.maximum(white - t1w, 0)
    else:
        healthy = np.where(brain & options['fill_mask'], white, t1w)
    model = 'fill' if options['fill_mask'] is None else 'fill_mask'
    facts = {'model': model, 'sha256': 'none', 'device': 'cpu', 'backend': 'numpy'}
    facts['flip_averaging'] = options['flip_averaging']
    probability = None
    if options['fill_mask'] is None and read_card(options['model']).architecture.lesion_output:
        probability = np.where(brain, lesion_share(points), 0).astype(np.float32)
        facts['probability_curve'] = read_card(options['model']).probability_curve
    return Prediction(np.asarray(healthy, np.float32), probability), facts


def stub_session() -> ModuleType:
    """Make the module that the network is reached by, without a backend."""
    session = ModuleType('bids_inpaint.network.session')
    session.inpaint_on_device = fill
    return session


def replacements() -> list[tuple[str, str, Any]]:
    """Module, name and value of all that is replaced but the network."""
    preprocess = 'bids_inpaint.interfaces.preprocess'
    return [
        ('bids_inpaint.image.template', 'SHAPE', SHAPE),
        ('bids_inpaint.image.template', 'AFFINE', AFFINE),
        (preprocess, 'brain_box', whole_grid),
        (preprocess, 'load_template', coarse_template),
        (preprocess, 'register_to_template', register),
        (preprocess, 'denoise', denoise),
        (preprocess, 'brain_mask_on_template', brain_mask),
        (preprocess, 'estimate_bias_field', estimate_bias_field),
        ('bids_inpaint.interfaces.inpaint', 'load_template', coarse_template),
        ('bids_inpaint.reports.scan', 'load_template', coarse_template),
    ]


def write_models(folder: Path, name: str = 'blind', *, tells_probability: bool = False) -> Path:
    """Write a network in name only: a card and its weights."""
    network = folder / name
    network.mkdir(parents=True)
    (network / WEIGHTS_FILE).write_bytes(b'weights')
    card = Card(
        name='stub',
        architecture=UNetConfig(
            filters=1, levels=2, reconstruction_filters=1, lesion_output=tells_probability
        ),
        sha256=sha256(network / WEIGHTS_FILE),
        change_core_threshold=0.2,
        change_edge_threshold=0.1,
        lesion_threshold=0.4 if tells_probability else 0.15,
    )
    write_card(card, network)
    return folder


def write_head(
    path: Path,
    grid: Grid,
    *,
    dtype: str = 'i2',
    slope: float | None = None,
    noise: float = 4.0,
    draw: Callable[[NDArray[np.float64]], NDArray[np.float32]] = head,
) -> Path:
    """Write the head as the scanner sees it, on a grid of the T1w's own."""
    points = nb.affines.apply_affine(anat2std_xfm(), places(grid))
    values = GAIN * draw(points) * bias_field(points)
    values += np.random.default_rng(0).normal(0, noise, grid.shape) * (values > 0)
    stored = values / (slope or 1)
    stored = np.rint(np.clip(stored, 0, None)) if np.dtype(dtype).kind in 'iu' else stored
    img = nb.Nifti1Image(stored.astype(dtype), grid.affine)
    img.set_sform(grid.affine, 1)
    img.set_qform(grid.affine, 1)
    if slope:
        img.header.set_slope_inter(slope, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    img.to_filename(path)
    return path


def replace_all() -> None:
    """Replace, in this process, all that takes long."""
    import importlib

    sys.modules['bids_inpaint.network.session'] = stub_session()
    for module, name, value in replacements():
        setattr(importlib.import_module(module), name, value)


def main() -> int:
    """Run the app with everything replaced."""
    from bids_inpaint.cli import main as app

    replace_all()
    return app()


if __name__ == '__main__':
    sys.exit(main())
