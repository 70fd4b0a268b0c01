"""What reads files of the user: valid files, and a function that reads a damaged one.

A reader may raise `BidsInpaintError`, or what the documentation of its function says. Modules that
load slowly are imported by the readers that need them.
"""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
import yaml

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256, write_json

_AFFINE = np.diag([4.0, 4, 4, 1])
_SHAPE = (26, 27, 28)
_SUBJECT = 'sub-01/anat/sub-01'
_BOMB_MEMBER_BYTES = 2**26


class Reader(NamedTuple):
    """A kind of file.

    `name` is its path in a folder, which `prepare` fills with other files and from which it
    returns contents of valid files; `read` gets folder and path; `errors` are documented beside
    `BidsInpaintError`; `pack` is applied after the damage.
    """

    name: str
    prepare: Callable[[Path], list[bytes]]
    read: Callable[[Path, Path], object]
    errors: tuple[type[BaseException], ...] = ()
    pack: Callable[[bytes], bytes] = bytes


def _images(_: Path) -> list[bytes]:
    """NIfTI-1 and NIfTI-2, of several types, in both byte orders, with an extension."""
    rng = np.random.default_rng(0)
    made = []
    for kind in (nb.Nifti1Image, nb.Nifti2Image):
        for dtype in ('<i2', '>i2', '<f4', '>f8', 'u1'):
            header = kind.header_class(endianness='>' if dtype[0] == '>' else '<')
            header.set_data_dtype(dtype)
            img = kind(rng.integers(0, 200, _SHAPE).astype(dtype), _AFFINE, header)
            img.header.extensions.append(nb.nifti1.Nifti1Extension('comment', b'made'))
            img.header.set_slope_inter(*((2, 1) if dtype == 'u1' else (1, 0)))
            made.append(img.to_bytes())
    return made


def _compressed(folder: Path) -> list[bytes]:
    """Compressed images, and bombs: 4 GB behind the voxels, or that are the voxels."""
    small = [gzip.compress(content) for content in _images(folder)]
    bomb = gzip.compress(bytes(_BOMB_MEMBER_BYTES)) * (2**32 // _BOMB_MEMBER_BYTES)
    header = nb.Nifti1Header()
    header.set_data_dtype('u1')
    header.set_data_shape((1024, 1024, 1024))
    header.set_sform(np.diag([0.2, 0.2, 0.2, 1]), 1)
    header['vox_offset'] = 352
    large = gzip.compress(header.binaryblock + bytes(4))
    return [*small, small[0] + bomb, large + bomb]


def _read_image(_: Path, path: Path) -> None:
    from bids_inpaint.image.native import conform
    from bids_inpaint.image.source import read_source

    conform(read_source(path))


def _mask_of(folder: Path) -> list[bytes]:
    """Masks on the grid of an image that is written beside them."""
    voxels = np.zeros(_SHAPE, 'u1')
    voxels[10:14, 10:14, 10:14] = 1
    nb.Nifti1Image(voxels * 100, _AFFINE).to_filename(folder / 't1w.nii')
    return [nb.Nifti1Image(voxels.astype(t), _AFFINE).to_bytes() for t in ('u1', 'i2', 'f4')]


def _read_mask(folder: Path, path: Path) -> None:
    from bids_inpaint.image.lesion_mask import read_lesion_mask

    read_lesion_mask(path, nb.load(folder / 't1w.nii'))


def _json(*contents: object) -> Callable[[Path], list[bytes]]:
    """Valid JSON files."""
    return lambda _: [json.dumps(content).encode() for content in contents]


def _dataset(folder: Path) -> list[bytes]:
    """A dataset, and descriptions for it."""
    path = folder / f'{_SUBJECT}_T1w.nii.gz'
    path.parent.mkdir(parents=True)
    path.touch()
    full = {
        'Name': 'made',
        'BIDSVersion': '1.9.0',
        'DatasetType': 'derivative',
        'GeneratedBy': [{'Name': 'x', 'Version': '1', 'Container': {'Type': 'docker'}}],
        'DatasetLinks': {'raw': 'file:///raw'},
        'SourceDatasets': [{'URL': 'https://x', 'DOI': 'doi:1'}],
    }
    return _json({'Name': 'made', 'BIDSVersion': '1.9.0'}, full)(folder)


def _read_dataset(folder: Path, _: Path) -> None:
    from bids_inpaint.bids.dataset import (
        check_output_is_ours,
        is_raw,
        read_description,
        write_dataset_files,
    )
    from bids_inpaint.bids.discovery import find_t1w

    is_raw(folder)
    write_dataset_files(folder / 'out', bids_dir=folder)
    find_t1w(folder)
    if read_description(folder).get('GeneratedBy'):
        check_output_is_ours(folder)


def _finished(folder: Path) -> list[bytes]:
    """Derivatives of a scan, whose files with numbers are damaged."""
    scan = parse_t1w(folder / f'{_SUBJECT}_T1w.nii.gz')
    anat = scan.t1w.parent
    anat.mkdir(parents=True)
    sidecar = {'Sources': ['bids:raw:' + str(scan.relative_path)], 'Steps': [{'step': 'conform'}]}
    for kind in ('desc-inpainted_T1w', 'from-T1w_to-MNI152NLin2009aSym_mode-image_xfm'):
        write_json(anat / f'sub-01_{kind}.json', sidecar)
    (anat / 'sub-01_desc-inpainted_T1w.nii.gz').touch()
    (anat / 'sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt').touch()
    numbers = {'lesion_count': 1, 'problems': 'none', 'version': '0', 'seconds': 1.5}
    write_json(anat / 'sub-01_desc-inpaint_qc.json', numbers)
    return _json(numbers, sidecar)(folder)


def _read_finished(folder: Path, _: Path) -> None:
    from bids_inpaint.bids.derivatives import find_problems, find_processed
    from bids_inpaint.bids.group import gather_group, write_group_table
    from bids_inpaint.run.plan import is_done

    scan = parse_t1w(folder / f'{_SUBJECT}_T1w.nii.gz')
    for one in find_processed(folder, folder).processed:
        one.files(), one.problems, one.written
    find_problems(folder, [scan])
    write_group_table(folder, gather_group(folder, folder))
    path = Path(f'{_SUBJECT}_desc-inpainted_T1w.nii.gz')
    is_done(scan, folder, [path], parameters={}, accept_problems=False)


def _sidecar(folder: Path) -> list[bytes]:
    """A dataset and its result, for `bids_inpaint_dataset`."""
    _finished(folder / 'out')
    t1w = folder / f'raw/{_SUBJECT}_T1w.nii.gz'
    t1w.parent.mkdir(parents=True)
    t1w.touch()
    step = {'step': 'conform', 'source_sha256': sha256(t1w)}
    made = {'Sources': [f'bids:raw:{_SUBJECT}_T1w.nii.gz'], 'Steps': [step]}
    for name in ('T1w', 'xfm'):
        for path in (folder / 'out').rglob(f'*_{name}.json'):
            write_json(path, made)
    described = {'Name': 'm', 'BIDSVersion': '1.9.0', 'GeneratedBy': [{'Name': 'bids_inpaint'}]}
    for place in ('raw', 'out'):
        write_json(folder / place / 'dataset_description.json', described)
    fields = {'EchoTime': 0.003, 'Manufacturer': 'Hôpital', 'List': [1, None, True]}
    return _json(fields, {**fields, 'Sources': ['bids::a']})(folder)


def _read_sidecar(folder: Path, _: Path) -> None:
    import shutil

    from bids_inpaint.bids.drop_in import make_drop_in

    new = folder / 'new'
    made = make_drop_in(folder / 'raw', folder / 'out', new, with_problems='take')
    shutil.rmtree(new)
    if made.replaced != 1:
        msg = f'{made} must have one image'
        raise AssertionError(msg)


_TABLES = [
    b'participant_id\tage\tsex\nsub-01\t34\tF\nsub-2\t7\tM\n',
    b'\xef\xbb\xbfage\tparticipant_id\r\n34\t"01"\r\nn/a\tsub-02 \r\n',
    'participant_id\tname\nsub-01\tHôpital\u2028x\n'.encode('utf-16'),
]


def _read_table(folder: Path, path: Path) -> None:
    from bids_inpaint.bids.group import read_participants
    from bids_inpaint.bids.tables import People, lines_of
    from bids_inpaint.bids.tables import read_table as read

    names = ['sub-01', 'sub-02']
    read_participants(folder, names)
    table = read(path)
    table.with_lines(lines_of(table, {'sub-01'}, People(names)))


_FILTERS = (
    {'t1w': {'acquisition': 'mprage', 'run': [1, 2], 'reconstruction': None}, 'bold': {}},
    {'t1w': {'run': '01', 'echo': ['1'], 'session': 'Query.NONE', 'subject': '01'}},
)


def _read_filters(folder: Path, path: Path) -> None:
    from bids_inpaint.bids.filters import asks_for, matches, read_filters

    filters = read_filters(path)
    name = 'sub-01_acq-mprage_run-01_echo-1_T1w.nii.gz'
    matches(parse_t1w(folder / 'sub-01/anat' / name), filters)
    asks_for(filters, 'ce')


_PLUGINS = (
    {'plugin': 'SLURM', 'plugin_args': {'sbatch_args': '--mem 4G', 'max_jobs': 3}},
    {'plugin': 'Linear'},
)


def _yaml(_: Path) -> list[bytes]:
    """Plugin files, and one that is short and would be long (`a billion laughs`)."""
    lines = ['a: &a [x, x, x, x, x, x, x, x, x]']
    for above, name in zip('abcdefghi', 'bcdefghij', strict=True):
        lines.append(f'{name}: &{name} [{", ".join([f"*{above}"] * 9)}]')
    bomb = '\n'.join([*lines, 'plugin: *j', 'plugin_args: {x: *j}']).encode()
    return [*(yaml.safe_dump(content).encode() for content in _PLUGINS), bomb]


def _read_plugin(_: Path, path: Path) -> None:
    from bids_inpaint.run.execute import read_plugin_file

    plugin, arguments = read_plugin_file(path)
    if not isinstance(plugin, str) or not isinstance(arguments, dict):
        msg = f'{plugin!r:.100} and {type(arguments)} were read'
        raise TypeError(msg)


def _card(sha: str) -> dict[str, Any]:
    """A card of a network of a few weights."""
    return {
        'name': 'made',
        'architecture': {'filters': 2, 'levels': 2, 'reconstruction_filters': 2},
        'sha256': sha,
        'change_core_threshold': 0.2,
        'change_edge_threshold': 0.1,
        'lesion_threshold': 0.2,
        'probability_curve': [[0, 0], [0.5, 0.4], [1, 1]],
        'training': {'patients': ['a']},
    }


def _cards(folder: Path) -> list[bytes]:
    """A network in name only, and its card."""
    (folder / 'weights.npz').write_bytes(b'weights')
    return _json(_card(sha256(folder / 'weights.npz')))(folder)


def _read_card(folder: Path, _: Path) -> None:
    from bids_inpaint.network.card import read_card

    card = read_card(folder)
    found = [card.thresholds.edge, card.thresholds.core, card.thresholds.lesion, *card.patients]
    sizes = [card.architecture.filters, card.architecture.multiple, card.architecture.window_vox]
    if not all(isinstance(value, int | float) for value in found[:3]):
        msg = f'{found} were read'
        raise TypeError(msg)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        msg = f'{sizes} were read'
        raise TypeError(msg)


def _weights(folder: Path) -> list[bytes]:
    """Weights of a small network; each is read with a card that fits it."""
    from bids_inpaint.network.config import UNetConfig
    from bids_inpaint.network.unet import build_unet
    from bids_inpaint.network.weights import save_weights

    config = UNetConfig(**_card('')['architecture'])
    save_weights(build_unet(config), folder / 'made', {'name': 'made', 'architecture': config})
    content = (folder / 'made/weights.npz').read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        stored = dict(arrays)
    made = [content]
    pickled = {**stored, next(iter(stored)): np.array([print], dtype=object)}
    for changed in (stored, pickled, {name: array[..., None] for name, array in stored.items()}):
        stream = io.BytesIO()
        np.savez(stream, **changed)
        made.append(stream.getvalue())
    return made


def _read_weights(folder: Path, path: Path) -> None:
    from bids_inpaint.network.weights import load_weights

    write_json(folder / 'card.json', _card(sha256(path)))
    load_weights(folder)


READERS = {
    'image': Reader('sub-01_T1w.nii', _images, _read_image),
    'image in gzip': Reader('sub-01_T1w.nii.gz', _images, _read_image, pack=gzip.compress),
    'gzip': Reader('sub-01_T1w.nii.gz', _compressed, _read_image),
    'lesion mask': Reader('mask.nii', _mask_of, _read_mask),
    'dataset_description': Reader('dataset_description.json', _dataset, _read_dataset),
    'sidecar of a source': Reader(f'raw/{_SUBJECT}_T1w.json', _sidecar, _read_sidecar),
    'QC file': Reader(f'{_SUBJECT}_desc-inpaint_qc.json', _finished, _read_finished),
    'sidecar of a transform': Reader(
        f'{_SUBJECT}_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.json',
        _finished,
        _read_finished,
    ),
    'participants.tsv': Reader(
        'participants.tsv', lambda _: _TABLES, _read_table, errors=(ValueError,)
    ),
    'filter file': Reader('filters.json', _json(*_FILTERS), _read_filters),
    'plugin file': Reader('plugin.yml', _yaml, _read_plugin),
    'card': Reader('card.json', _cards, _read_card),
    'weights': Reader('weights.npz', _weights, _read_weights),
}
ALLOWED = BidsInpaintError
