"""Try whether scans that cannot be right are told apart from good ones.

``python benchmarks/failing_scans.py OUT.tsv --heads T1W... --brains T1W... --good DERIVATIVES...``
makes images that must fail out of whole heads and extracted brains, runs the steps before the
network on each, and writes what each step measured, and which problems it found; for good images
it reads that in the output of whole runs. Images that are in the table already are not tried
again. ``--page`` makes a page of it. See docs/reliability.md.
"""

import argparse
import csv
import json
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import replacing
from bids_inpaint.run.failures import error_message

_SEED = 0
GOOD, PASSED = 'good', 'passed'
_COLUMNS = ('kind', 'source', 'outcome', 'said')

# What the steps measure, and its name in QC files.
_IN_QC = {
    'similarity': 'registration_similarity',
    'determinant': 'affine_determinant',
    'coverage': 'brain_coverage',
    'brain_ml': 'brain_volume_std_ml',
    'head_rotation_deg': 'head_rotation_deg',
    'tissue_contrast': 'tissue_contrast',
    'joint_variation': 'joint_variation',
}

Head = tuple[NDArray[np.float32], NDArray[np.float64]]  # RAS+ voxels and affine
Change = Callable[[NDArray[np.float32], NDArray[np.float64], np.random.Generator], Head]


class Job(NamedTuple):
    """An image to try: a kind of HEADS or BRAINS, and what it is made of."""

    kind: str
    source: Path


def main() -> int:
    """Make the images, run the steps and write the table."""
    arguments = _parse()
    jobs = [
        Job(kind, source)
        for kinds, sources in ((HEADS, arguments.heads), (BRAINS, arguments.brains))
        for kind, source in zip(kinds, cycle(sources), strict=False)
    ]
    rows = [row for row in read_table(arguments.out) if row['kind'] != GOOD]
    rows += [row for folder in arguments.good for row in read_qc(folder)]
    tried = {(row['kind'], row['source']) for row in rows}
    jobs = [job for job in jobs if (job.kind, name_of(job.source)) not in tried]
    context = multiprocessing.get_context('spawn')
    with context.Pool(arguments.processes, maxtasksperchild=8) as pool:
        for row in pool.imap(try_scan, jobs):
            rows.append(row)
            print(*(row[name] for name in _COLUMNS), sep='\t', flush=True)  # noqa: T201
            write_table(arguments.out, rows)
    write_table(arguments.out, rows)
    if arguments.page:
        arguments.page.write_text(page(rows))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Try scans that must fail, and good ones.')
    parser.add_argument('out', type=Path)
    for name in ('heads', 'brains', 'good'):
        parser.add_argument(f'--{name}', type=Path, nargs='*', default=[])
    parser.add_argument('--page', type=Path, help='Markdown file with what was found')
    parser.add_argument('--processes', type=int, default=os.cpu_count())
    return parser.parse_args()


def name_of(source: Path) -> str:
    """Name an image with its dataset."""
    folder = next(p for p in source.parents if not p.name.startswith(('sub-', 'ses-', 'anat')))
    return f'{folder.name}/{source.name.partition(".")[0].removesuffix("_T1w")}'


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read what was found before, if anything."""
    if not path.exists():
        return []
    with path.open(newline='') as file:
        return list(csv.DictReader(file, delimiter='\t'))


def read_qc(derivatives: Path) -> list[dict[str, Any]]:
    """Read what whole runs have found in good images, from the QC of a derivative dataset."""
    rows = []
    for path in sorted(derivatives.rglob('*_desc-inpaint_qc.json')):
        measured = json.loads(path.read_text())
        said = measured['problems'].removeprefix('none')
        source = f'{derivatives.name}/{path.name.partition("_desc")[0]}'
        row = {'kind': GOOD, 'source': source, 'outcome': 'flagged' if said else PASSED}
        rows.append(row | {'said': said} | {name: measured[qc] for name, qc in _IN_QC.items()})
    return rows


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Make a page of what was found: all that were to fail, and the good ones with a problem."""
    good = [row for row in rows if row['kind'] == GOOD]
    bad = [row for row in rows if row['kind'] != GOOD]
    found = sum(row['outcome'] != PASSED for row in bad)
    doubted = [row for row in good if row['outcome'] != PASSED]
    lines = [
        '<!-- Written by benchmarks/failing_scans.py. -->',
        '# Images made to fail',
        '',
        f'Of {len(bad)} images that were made to fail, {found} are flagged or refused '
        f'({found / max(len(bad), 1):.0%}), by the steps before the network; of {len(good)} good '
        f'ones, run as a whole, {len(doubted)} ({len(doubted) / max(len(good), 1):.0%}).',
        '',
        '| made | from | outcome | what is told |',
        '|---|---|---|---|',
    ]
    cells = ([str(row[name]).replace('|', '/') for name in _COLUMNS] for row in [*bad, *doubted])
    lines += [f'| {" | ".join(cell)} |' for cell in cells]
    return '\n'.join(lines) + '\n'


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what was found, one line for each image."""
    names = dict.fromkeys(name for row in rows for name in row)
    with replacing(path) as temporary, temporary.open('w', newline='') as file:
        table = csv.DictWriter(file, list(names), restval='n/a', delimiter='\t')
        table.writeheader()
        table.writerows(rows)


def try_scan(job: Job) -> dict[str, Any]:
    """Run the steps before the network on an image."""
    row: dict[str, Any] = {'kind': job.kind, 'source': name_of(job.source)}
    with tempfile.TemporaryDirectory() as folder:
        change = (HEADS | BRAINS).get(job.kind)
        path = make_image(job.source, change, Path(folder)) if change else job.source
        try:
            numbers = prepare(path, Path(folder))
        except Exception:
            said = traceback.format_exc()
            if BidsInpaintError.__name__ not in said:
                raise
            reason = error_message(said).replace(f'{path}: ', '')
            return row | {'outcome': 'refused', 'said': reason}
    said = numbers.pop('problems')
    outcome = 'flagged' if said else PASSED
    told = '; '.join(problem.removesuffix('.') for problem in said)
    return row | {'outcome': outcome, 'said': told} | numbers


def make_image(source: Path, change: Change, folder: Path) -> Path:
    """Write an image that must fail, as 16-bit integers like a scanner's."""
    img = nb.as_closest_canonical(nb.load(source))
    t1w = np.asarray(img.dataobj, np.float32)
    data, affine = change(t1w, img.affine, np.random.default_rng(_SEED))
    scaled = np.rint(data * (4000 / max(float(np.abs(data).max()), 1e-6)))
    made = nb.Nifti1Image(scaled.astype(np.int16), affine)
    made.header.set_xyzt_units('mm', 'sec')
    path = folder / 'sub-01/anat/sub-01_T1w.nii.gz'
    path.parent.mkdir(parents=True)
    made.to_filename(path)
    return path


def prepare(path: Path, folder: Path) -> dict[str, Any]:
    """Run the steps of the app before the network; return their facts, and problems."""
    from bids_inpaint import qc
    from bids_inpaint.bids.names import OUTPUT_SPACES
    from bids_inpaint.bids.scan import parse_t1w
    from bids_inpaint.settings import Settings
    from bids_inpaint.workflows.choices import Choices
    from bids_inpaint.workflows.preprocess import init_preprocess_wf

    os.environ['NO_ET'] = '1'
    settings = Settings(
        bids_dir=path.parent,
        output_dir=folder,
        analysis_level='participant',
        work_dir=folder,
        nprocs=1,
        omp_nthreads=1,
        mem_gb=4.0,
        output_spaces=OUTPUT_SPACES,
    )
    choices = Choices(settings, parse_t1w(path), network=None)  # type: ignore[arg-type]
    workflow = init_preprocess_wf(choices)
    workflow.base_dir = str(folder)
    workflow.inputs.inputnode.t1w = str(path)
    workflow.config['execution'] = {'stop_on_first_crash': 'true', 'crashdump_dir': str(folder)}
    ran = workflow.run(plugin='Linear')
    facts = next(node for node in ran.nodes if node.name == 'facts').result.outputs.out
    steps = {fact.step: fact for fact in facts}
    register, normalise = steps['register'], steps['normalise']
    numbers = {
        'similarity': register.similarity,
        'determinant': register.determinant,
        'coverage': register.coverage,
        'brain_ml': steps['brain_mask'].volume_ml,
        'head_rotation_deg': register.rotation_deg,
        'tissue_contrast': normalise.tissue_contrast,
        'joint_variation': normalise.joint_variation,
    }
    problems = [*register.problems, *qc.problems(qc.PREPARED, numbers)]
    return {**numbers, 'problems': problems}


# Changes of the header alone: as a wrong conversion leaves them.


def with_matrix(matrix: Sequence[Sequence[float]]) -> Change:
    """Axes of the header mapped by a matrix about the middle of the image."""

    def change(t1w: NDArray[np.float32], affine: NDArray[np.float64], _: Any) -> Head:
        middle = nb.affines.apply_affine(affine, (np.array(t1w.shape) - 1) / 2)
        wrong = np.eye(4)
        wrong[:3, :3] = matrix
        wrong[:3, 3] = middle - wrong[:3, :3] @ middle
        return t1w, wrong @ affine

    return change


def turned(x: float, y: float, z: float) -> Change:
    """Header turned by angles in degrees."""
    return with_matrix(nb.eulerangles.euler2mat(*np.deg2rad([z, y, x])).tolist())


# Changes of the voxels. Extents are shares of the extent of the head.


def head_box(t1w: NDArray[np.float32]) -> tuple[slice, ...]:
    """Box around what is not air."""
    smooth = ndimage.gaussian_filter(t1w, 2)
    inside = smooth > 0.15 * np.percentile(smooth, 99)
    return tuple(ndimage.find_objects(inside.astype(int))[0])


def only(axis: int, low: float, high: float) -> Change:
    """Keep a part of the head along an axis, as a field of view that is too small."""

    def change(t1w: NDArray[np.float32], affine: NDArray[np.float64], _: Any) -> Head:
        box = head_box(t1w)[axis]
        extent = box.stop - box.start
        start = 0 if low <= 0 else box.start + round(low * extent)
        stop = t1w.shape[axis] if high >= 1 else box.start + round(high * extent)
        keep = [slice(None)] * 3
        keep[axis] = slice(start, stop)
        moved = affine.copy()
        moved[:3, 3] += affine[:3, axis] * start
        return t1w[tuple(keep)], moved

    return change


def values(function: Callable[..., NDArray[Any]]) -> Change:
    """Change of values, of an image in units of its 99th percentile."""

    def change(
        t1w: NDArray[np.float32], affine: NDArray[np.float64], rng: np.random.Generator
    ) -> Head:
        scaled = t1w / np.percentile(t1w[t1w > 0], 99)
        return np.asarray(function(scaled, rng), np.float32), affine

    return change


def remapped(points: Sequence[tuple[float, float]]) -> Change:
    """Brain of another contrast: brightness at CSF, grey and white matter (0, 1 and 2)."""

    def function(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
        inside = t1w > 0
        csf, grey, white = np.percentile(t1w[inside], [5, 35, 80])
        tissue = np.interp(t1w, [0, csf, grey, white], [-0.5, 0, 1, 2])
        at, brightness = np.array(points).T
        return np.where(inside, np.interp(tissue, at, brightness), 0)

    return values(function)


def ghosts(t1w: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Motion: most lines of k-space moved by up to 15 mm at random."""
    spectrum = np.fft.fft(t1w, axis=1)
    lines = np.fft.fftfreq(t1w.shape[1])
    moved = np.cumsum(rng.normal(0, 3, lines.size))
    moved[np.argsort(np.abs(lines))[:6]] = 0
    spectrum *= np.exp(-2j * np.pi * lines * moved)[None, :, None]
    return np.asarray(np.abs(np.fft.ifft(spectrum, axis=1)))


def waves(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    """Spike in k-space: waves over the whole image."""
    place = np.indices(t1w.shape)
    wave = np.sin(0.6 * place[0] + 0.8 * place[1] + 0.4 * place[2])
    return np.asarray(np.abs(t1w + 0.5 * wave))


def sphere(shape: Sequence[int], centre: Sequence[float], radius: float) -> NDArray[np.bool_]:
    """Voxels within a radius; centre and radius are shares of the shape."""
    size = np.array(shape)
    place = np.moveaxis(np.indices(shape), 0, -1) / size - np.array(centre)
    return np.asarray(np.linalg.norm(place, axis=-1) < radius)


def metal(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    """Hole of metal in the middle of the head, with a bright rim."""
    box = head_box(t1w)
    centre = [(b.start + b.stop) / 2 / n for b, n in zip(box, t1w.shape, strict=True)]
    hole = np.where(sphere(t1w.shape, centre, 0.25), 2.0, t1w)
    return np.where(sphere(t1w.shape, centre, 0.22), 0, hole)


def far_coil(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    """One coil at the back: brightness falls by e for each tenth of the field of view."""
    place = np.linspace(0, 10, t1w.shape[1], dtype=np.float32)
    return np.asarray(t1w * np.exp(-place)[None, :, None])


def rolled(axis: int, share: float) -> Change:
    """Wrap the head around: the field of view begins in its middle."""
    return values(lambda t1w, _: np.roll(t1w, round(share * t1w.shape[axis]), axis))


def slices_of(function: Callable[[NDArray[np.float32], Any], None]) -> Change:
    """Change of axial slices in place."""

    def change(t1w: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        copy = t1w.copy()
        function(copy, rng)
        return copy

    return values(change)


def _drop(t1w: NDArray[np.float32], _: Any) -> None:
    t1w[:, :, ::2] = 0


def _gains(t1w: NDArray[np.float32], _: Any) -> None:
    t1w[:, :, ::2] *= 0.4


def _shuffle(t1w: NDArray[np.float32], rng: np.random.Generator) -> None:
    order = rng.permutation(t1w.shape[2])
    t1w[:] = t1w[:, :, order]


def ball(t1w: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Uniform ball, as for quality assurance, with a little noise."""
    inside = sphere(t1w.shape, (0.5, 0.5, 0.5), 0.3)
    return np.asarray(np.abs(inside + rng.normal(0, 0.02, t1w.shape)))


def bottle(t1w: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Cylinder with rods of several brightnesses."""
    x, y, z = (v / n for v, n in zip(np.indices(t1w.shape), t1w.shape, strict=True))
    body = (np.hypot(x - 0.5, y - 0.5) < 0.32) & (np.abs(z - 0.5) < 0.35)
    image = 0.6 * body
    for number, angle in enumerate(np.arange(8) * np.pi / 4):
        rod = np.hypot(x - 0.5 - 0.2 * np.cos(angle), y - 0.5 - 0.2 * np.sin(angle)) < 0.05
        image = np.where(rod & body, 0.2 + 0.1 * number, image)
    return np.asarray(np.abs(image + rng.normal(0, 0.02, t1w.shape)))


def noise(t1w: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Noise alone."""
    return np.asarray(np.abs(rng.normal(0, 1, t1w.shape)))


def skull_only(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    """Head without its brain, as the wrong half of a brain extraction."""
    head = ndimage.binary_fill_holes(ndimage.gaussian_filter(t1w, 2) > 0.1)
    depth = ndimage.distance_transform_edt(head)
    return np.where(depth > 0.12 * min(t1w.shape), 0, t1w)


def shrunk(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    """Head of less than half the size, as of an animal."""
    small = ndimage.zoom(t1w, 0.45, order=1)
    margins = [(n - s) // 2 for n, s in zip(t1w.shape, small.shape, strict=True)]
    out = np.zeros_like(t1w)
    out[tuple(slice(m, m + s) for m, s in zip(margins, small.shape, strict=True))] = small
    return out


def _blur(t1w: NDArray[np.float32], _: Any) -> NDArray[Any]:
    return np.asarray(ndimage.gaussian_filter(t1w, 6))


HEADS: dict[str, Change] = {
    'axes x and y swapped': with_matrix([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    'axes y and z swapped': with_matrix([[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    'axes x and z swapped': with_matrix([[0, 0, 1], [0, 1, 0], [1, 0, 0]]),
    'upside down': with_matrix([[1, 0, 0], [0, 1, 0], [0, 0, -1]]),
    'back to front': with_matrix([[1, 0, 0], [0, -1, 0], [0, 0, 1]]),
    'left and right mirrored': with_matrix([[-1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    'turned by 90 degrees about x': turned(90, 0, 0),
    'turned by 90 degrees about z': turned(0, 0, 90),
    'turned by 70 degrees about y': turned(0, 70, 0),
    'voxels twice as large': with_matrix([[2, 0, 0], [0, 2, 0], [0, 0, 2]]),
    'voxels half as large': with_matrix([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]),
    'slices twice as thick': with_matrix([[1, 0, 0], [0, 1, 0], [0, 0, 2]]),
    'slices half as thick': with_matrix([[1, 0, 0], [0, 1, 0], [0, 0, 0.5]]),
    'sheared': with_matrix([[1, 0, 0], [0, 1, 0.7], [0, 0, 1]]),
    'vertex cut off': only(2, 0, 0.75),
    'cerebellum cut off': only(2, 0.6, 1),
    'front half': only(1, 0.5, 1),
    'left half': only(0, 0, 0.5),
    'neck': only(2, 0, 0.4),
    'slab of three centimetres': only(2, 0.6, 0.73),
    'wrapped along y': rolled(1, 0.5),
    'wrapped along z': rolled(2, 0.35),
    'skull without brain': values(skull_only),
    'size of an animal': values(shrunk),
    'strong noise': values(lambda t, rng: np.abs(t + rng.normal(0, 1.0, t.shape))),
    'motion': values(ghosts),
    'waves': values(waves),
    'blurred by 6 voxels': values(_blur),
    'every second slice empty': slices_of(_drop),
    'every second slice dark': slices_of(_gains),
    'slices shuffled': slices_of(_shuffle),
    'coil at the back only': values(far_coil),
    'metal': values(metal),
    'four levels of brightness': values(lambda t, _: np.rint(2 * np.clip(t, 0, 1.5))),
    'saturated': values(lambda t, _: np.clip(t, 0, 0.25)),
    'edges': values(lambda t, _: ndimage.gaussian_gradient_magnitude(t, 1)),
    'noise alone': values(noise),
    'uniform ball': values(ball),
    'uniform ball below zero': values(lambda t, rng: -ball(t, rng)),
    'bottle with rods': values(bottle),
    'inverted': values(lambda t, _: np.where(t > 0.1, 1.6 - np.clip(t, 0, 1.5), 0)),
}
BRAINS: dict[str, Change] = {
    'T2w': remapped([(-0.5, 2.2), (0, 2), (1, 1), (2, 0.6), (3, 0.5)]),
    'FLAIR': remapped([(-0.5, 0), (0, 0.2), (1, 1), (2, 0.85), (3, 0.8)]),
    'proton density': remapped([(-0.5, 1.2), (0, 1.15), (1, 1), (2, 0.8), (3, 0.75)]),
    'CT': remapped([(-0.5, 0.95), (0, 0.97), (1, 1), (2, 0.99), (3, 1.0)]),
    'phase': values(lambda t, rng: np.where(t > 0, rng.uniform(0, 1, t.shape), 0)),
    'brain mask': values(lambda t, _: (t > 0) * 1.0),
    'white matter alone': values(lambda t, _: np.where(t > 0.75, t, 0)),
}


if __name__ == '__main__':
    raise SystemExit(main())
