"""What holds of every product: it is its source, but for a change at the right place."""

import importlib
import itertools
import json
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
import tiny_app
from drawn import MIDDLE_MM, Drawn, data_offset
from numpy.typing import NDArray
from planned import planned_paths

from bids_inpaint.bids.names import OUTPUT_SPACES, derivative_path, sidecar_path
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.image import template

KEPT = (
    'sizeof_hdr', 'dim', 'datatype', 'bitpix', 'pixdim', 'scl_slope', 'scl_inter', 'xyzt_units',
    'descrip', 'qform_code', 'sform_code', 'quatern_b', 'quatern_c', 'quatern_d', 'qoffset_x',
    'qoffset_y', 'qoffset_z', 'srow_x', 'srow_y', 'srow_z', 'magic',
)  # fmt: skip
# No change is farther than this from the middle of the lesion: its radius, and two voxels of the
# coarse template.
REACH_MM = 20.0
# Of the made-up head's lesions, the shipped network changes this share at least.
LEAST_OF_LESIONS = 0.25


def check_product(drawn: Drawn, t1w: Path, out: Path, *, probability: bool = False) -> None:
    """Check all that was written of an image.

    Raises
    ------
    AssertionError
        Says what is wrong.

    """
    scan = parse_t1w(t1w)
    check_files(scan, out, probability=probability)
    source = nb.load(t1w)
    product = nb.load(out / derivative_path(scan, 'inpainted'))
    check_same_form(source, product)
    before, after = raw_voxels(drawn, source), np.asarray(product.dataobj.get_unscaled())
    mask = np.asarray(nb.load(out / derivative_path(scan, 'change_mask')).dataobj) > 0
    assert mask.shape == before.shape, f'change mask of {mask.shape}, not {before.shape}'
    assert mask.any(), 'nothing was changed'
    outside = before[~mask].tobytes() == after[~mask].tobytes()
    assert outside, 'voxels outside the change mask are not those of the source'


def check_files(scan: Scan, out: Path, *, probability: bool) -> None:
    """Check that all images are there, finite, on their grids, with readable sidecars."""
    source = nb.load(scan.t1w)
    options = {'lesion_map': True, 'lesion_probability': probability}
    for path in planned_paths(scan, output_spaces=OUTPUT_SPACES, **options):
        assert (out / path).is_file(), f'{path} is missing'
        json.loads((out / sidecar_path(path)).read_text(), parse_constant=_refuse)
        if not path.name.endswith('.nii.gz'):
            continue
        img = nb.load(out / path)
        assert np.isfinite(np.asarray(img.dataobj, np.float32)).all(), f'{path} is not finite'
        if '_space-MNI' in path.name:
            wrong = f'{path} is not on the grid of the template, but {img.shape}, {img.affine}'
            last = np.append(np.array(img.shape) - 1, 1)
            ends = [
                template.AFFINE[:, 3],
                template.AFFINE @ np.append(np.array(template.SHAPE) - 1, 1),
            ]
            assert np.allclose([img.affine[:, 3], img.affine @ last], ends, atol=1e-4), wrong
            assert img.shape == template.SHAPE or 'desc-biasfield' in path.name, wrong
            codes = (int(img.header['qform_code']), int(img.header['sform_code']))
            assert codes == (4, 4), f'{path} has the codes {codes}'
        else:
            assert img.shape == source.shape, f'{path} has the shape {img.shape}'
            assert np.array_equal(img.affine, source.affine), f'{path}: {img.affine}'
            assert type(img) is type(source), f'{path} is {type(img).__name__}'
            assert img.header.endianness == source.header.endianness, f'{path}: byte order'


def _refuse(word: str) -> None:
    """Refuse what JSON does not have."""
    msg = f'a sidecar has {word}'
    raise AssertionError(msg)


def check_same_form(source: nb.Nifti1Image, product: nb.Nifti1Image) -> None:
    """Check that kind of file, byte order and header are kept."""
    assert type(product) is type(source), f'the product is {type(product).__name__}'
    assert product.header.endianness == source.header.endianness, 'the byte order is another'
    for name in KEPT:
        before, after = source.header[name].tobytes(), product.header[name].tobytes()
        both = f'{source.header[name]} became {product.header[name]}'
        assert before == after or np.array_equal(*_scaling(source, product, name)), (
            f'{name}: {both}'
        )
    assert product.header.get_data_dtype() == source.header.get_data_dtype()
    assert product.dataobj.slope == source.dataobj.slope, 'the slope is another'
    assert product.dataobj.inter == source.dataobj.inter, 'the intercept is another'
    ours, theirs = (
        [(one.get_code(), bytes(one.get_content())) for one in img.header.extensions]
        for img in (product, source)
    )
    assert ours == theirs, 'the extensions of the header are others'


def _scaling(source: Any, product: Any, name: str) -> tuple[Any, Any]:
    """Two values that are equal if fields of scaling mean the same; 0, 1 and NaN are no slope."""
    if name not in {'scl_slope', 'scl_inter'}:
        return 0, 1
    return tuple((img.dataobj.slope, img.dataobj.inter) for img in (source, product))


def raw_voxels(drawn: Drawn, source: nb.Nifti1Image) -> NDArray[Any]:
    """Voxels of the source as stored, read without nibabel."""
    with nb.openers.Opener(source.get_filename()) as stream:
        content = stream.read()
    dtype = np.dtype(drawn.order + drawn.dtype)
    count = int(np.prod(drawn.whole_shape))
    flat = np.frombuffer(content, dtype, count, data_offset(drawn))
    return flat.reshape((*drawn.whole_shape, *[1] * drawn.trailing), order='F')


def check_place(drawn: Drawn, t1w: Path, out: Path) -> None:
    """Check that the lesion is filled at its place in the world, and nothing else changed.

    Where that is, is known from what was drawn, not from the header.
    """
    scan = parse_t1w(t1w)
    shape = drawn.whole_shape
    paths = [t1w, *(out / derivative_path(scan, kind) for kind in ('inpainted', 'change_mask'))]
    before, after, mask = (np.asarray(nb.load(path).dataobj).reshape(shape) for path in paths)
    std = tiny_app.anat2std_xfm() @ drawn.affine
    changed = np.argwhere(mask > 0)
    distance = np.linalg.norm(nb.affines.apply_affine(std, changed) - tiny_app.LESION_MM, axis=1)
    assert distance.max() < REACH_MM, f'a change {distance.max():.0f} mm beside the lesion'
    near = changed[distance < 7]  # where all is lesion
    voxel_mm3 = abs(np.linalg.det(std[:3, :3]))
    volume = len(near) * voxel_mm3
    expected = 4 / 3 * np.pi * 7**3
    assert abs(volume / expected - 1) < 0.35, f'{volume:.0f} of {expected:.0f} mm3 were changed'
    place = tuple(near.T)
    points = nb.affines.apply_affine(std, near)
    healthy = tiny_app.WHITE * tiny_app.GAIN * tiny_app.bias_field(points)
    air = drawn.air * drawn.slope + drawn.inter
    brightness = [
        (img[place].astype(np.float64) - air) / drawn.scaled_gain for img in (before, after)
    ]
    sick, left = (float((healthy - bright).mean()) for bright in brightness)
    assert sick > 0.3 * tiny_app.GAIN, 'the source has no lesion there: the test is wrong'
    assert abs(left) < 0.25 * sick, f'{100 * left / sick:.0f} % of the contrast is left'


def check_real_place(drawn: Drawn, t1w: Path, out: Path) -> None:
    """Check that a network changed the lesions of the made-up head, and not mirror images."""
    real_head = importlib.import_module('real_head')
    mask = nb.load(out / derivative_path(parse_t1w(t1w), 'change_mask'))
    changed = np.argwhere(np.asarray(mask.dataobj).reshape(drawn.whole_shape) > 0)
    points = nb.affines.apply_affine(drawn.affine, changed)
    hits = {
        signs: int((real_head.lesion_share((points - MIDDLE_MM) * signs + MIDDLE_MM) > 0.5).sum())
        for signs in itertools.product((1, -1), repeat=3)
    }
    at_place = hits.pop((1, 1, 1))
    volume = at_place * abs(np.linalg.det(drawn.affine[:3, :3]))
    assert volume > LEAST_OF_LESIONS * real_head.lesion_volume_mm3(), f'{volume:.0f} mm3 of lesion'
    assert at_place > 2 * max(hits.values()), f'{at_place} voxels of lesion, mirrored {hits}'
