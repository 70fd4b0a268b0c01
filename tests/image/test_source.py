import gzip
import itertools
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_images import (
    ISOTROPIC,
    ORIENTATIONS,
    SHAPES,
    STORAGES,
    make_affine,
    raw_bytes,
    stored_values,
    write_image,
)

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.source import (
    add_change,
    conform,
    like_source,
    ras_grid,
    read_source,
    scaled,
    to_source_order,
)

ALL_ORIENTATIONS = [
    ''.join(codes)
    for order in itertools.permutations(range(3))
    for codes in itertools.product(*(('LR', 'PA', 'IS')[axis] for axis in order))
]
KEPT_FIELDS = (
    'dim',
    'pixdim',
    'datatype',
    'bitpix',
    'qform_code',
    'sform_code',
    'xyzt_units',
    'descrip',
    'cal_max',
    'quatern_b',
    'srow_x',
    'srow_y',
    'srow_z',
)


def assert_header_kept(result: Path, source: Path) -> None:
    ours, theirs = (nb.load(path) for path in (result, source))
    assert type(ours) is type(theirs)
    assert ours.header.endianness == theirs.header.endianness
    for field in KEPT_FIELDS:
        np.testing.assert_array_equal(ours.header[field], theirs.header[field], err_msg=field)
    assert (ours.dataobj.slope, ours.dataobj.inter) == (theirs.dataobj.slope, theirs.dataobj.inter)
    np.testing.assert_array_equal(ours.affine, theirs.affine)


def random_change(img, seed=0):
    """A change of the size of the image's values, in a third of the voxels; RAS+ order."""
    rng = np.random.default_rng(seed)
    shape = ras_grid(img).shape
    change = (rng.normal(size=shape) * np.ptp(scaled(img)) / 4).astype(np.float32)
    return change, rng.random(shape) < 1 / 3


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_only_masked_voxels_change_and_the_header_is_kept(tmp_path, orientation, storage):
    for name, extension in (('isotropic', '.nii'), ('anisotropic', '.nii.gz')):
        source = write_image(
            tmp_path / f'{name}{extension}',
            orientation=orientation,
            geometry=SHAPES[name],
            storage=storage,
        )
        img = read_source(source)
        change, mask = random_change(img)
        result = tmp_path / f'{name}_out{extension}'
        add_change(img, change, mask).to_filename(result)
        inside = to_source_order(mask, img)
        before, after = raw_bytes(source), raw_bytes(result)
        assert after.dtype == before.dtype
        assert after[~inside].tobytes() == before[~inside].tobytes()
        assert (after[inside] != before[inside]).mean() > 0.4
        assert_header_kept(result, source)


@pytest.mark.parametrize('storage', STORAGES)
def test_no_change_gives_the_stored_voxels_back(tmp_path, storage):
    source = write_image(tmp_path / 'a.nii', orientation='oblique', storage=storage)
    img = read_source(source)
    zero = np.zeros(ras_grid(img).shape, np.float32)
    for mask in (zero == 0, zero == 1):
        add_change(img, zero, mask).to_filename(tmp_path / 'b.nii')
        assert raw_bytes(tmp_path / 'b.nii').tobytes() == raw_bytes(source).tobytes()
        assert_header_kept(tmp_path / 'b.nii', source)


@pytest.mark.parametrize('version', [1, 2])
@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
def test_a_trailing_axis_of_one_and_the_version_are_kept(tmp_path, version, extension):
    source = write_image(
        tmp_path / f'a{extension}', orientation='LPS', trailing=True, version=version
    )
    img = read_source(source)
    assert scaled(img).shape == ISOTROPIC[0]
    change, mask = random_change(img)
    out = add_change(img, change, mask)
    out.to_filename(tmp_path / 'b.nii')
    assert_header_kept(tmp_path / 'b.nii', source)
    assert raw_bytes(tmp_path / 'b.nii').shape == (*ISOTROPIC[0], 1)
    assert like_source(mask.astype(np.uint8), img).shape == (*ISOTROPIC[0], 1)


@pytest.mark.parametrize('storage', STORAGES)
def test_the_change_is_added_in_the_units_of_the_image(tmp_path, storage):
    img = read_source(write_image(tmp_path / 'a.nii', orientation='PSR', storage=storage))
    change, mask = random_change(img)
    add_change(img, change, mask).to_filename(tmp_path / 'b.nii')
    given_t1w, result = conform(img), conform(nb.load(tmp_path / 'b.nii'))
    slope = abs(img.dataobj.slope)
    low, high = sorted(
        limit * img.dataobj.slope + img.dataobj.inter for limit in limits_of(img.get_data_dtype())
    )
    expected = np.clip(given_t1w.data.astype(float) + np.where(mask, change, 0), low, high)
    tolerance = 0.51 * slope if img.get_data_dtype().kind in 'iu' else 1e-6 * np.abs(expected)
    assert (np.abs(result.data - expected) <= tolerance + 1e-4).all()


def limits_of(dtype):
    info = np.iinfo(dtype) if dtype.kind in 'iu' else np.finfo(np.float32)
    return float(info.min), float(info.max)


@pytest.mark.parametrize('storage', ['int16', 'scaled uint8', 'falling int16'])
def test_integers_stop_at_the_limits_of_their_type(tmp_path, storage):
    img = read_source(write_image(tmp_path / 'a.nii', storage=storage))
    everywhere = np.ones(ras_grid(img).shape, bool)
    limits = np.iinfo(img.get_data_dtype())
    for sign in (1, -1):
        change = np.full(everywhere.shape, sign * 1e7, np.float32)
        stored = np.asarray(add_change(img, change, everywhere).dataobj)
        rising = sign * img.dataobj.slope > 0
        assert (stored == (limits.max if rising else limits.min)).all()


@pytest.mark.parametrize(('storage', 'rtol', 'atol'), [('float32', 1e-3, 0), ('int16', 0, 1)])
@pytest.mark.parametrize('gain', [0.25, 7.0])
def test_gain_of_the_input_is_that_of_the_output(tmp_path, storage, rtol, atol, gain):
    img = nb.load(write_image(tmp_path / 'a.nii', storage=storage))
    dtype = img.get_data_dtype()
    values = np.asarray(img.dataobj) // 80 * 4  # no integer is lost by either gain
    change, mask = random_change(nb.Nifti1Image(values, img.affine))
    louder = nb.Nifti1Image((values * gain).astype(dtype), img.affine, img.header)
    result = np.asarray(add_change(louder, np.float32(gain) * change, mask).dataobj, dtype=float)
    expected = gain * (values.astype(float) + np.where(mask, change, 0))
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize('orientation', ALL_ORIENTATIONS)
def test_conform_and_back_is_exact_for_every_orientation(orientation):
    shape = (5, 6, 7)
    data = np.arange(210, dtype=np.float32).reshape(shape)
    affine = make_affine(orientation, shape, (1.0, 2.0, 3.0))
    img = nb.Nifti1Image(data, affine)
    assert ''.join(nb.aff2axcodes(affine)) == orientation
    turned = conform(img)
    assert nb.aff2axcodes(turned.affine) == ('R', 'A', 'S')
    np.testing.assert_array_equal(to_source_order(turned.data, img), data)
    grid = ras_grid(img)
    assert grid.shape == turned.data.shape
    np.testing.assert_array_equal(grid.affine, turned.affine)
    for voxel in ((0, 0, 0), (4, 0, 6), (1, 5, 2)):
        place = nb.affines.apply_affine(affine, voxel)
        there = np.rint(nb.affines.apply_affine(np.linalg.inv(turned.affine), place)).astype(int)
        assert turned.data[tuple(there)] == data[voxel]


def test_all_48_orientations_are_tested():
    assert len(set(ALL_ORIENTATIONS)) == 48


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_a_mask_has_the_grid_of_the_source_and_not_its_scaling(tmp_path, orientation):
    source = write_image(
        tmp_path / 'a.nii', orientation=orientation, geometry=SHAPES['anisotropic'],
        storage='scaled uint8',
    )  # fmt: skip
    img = read_source(source)
    mask = conform(img).data > 300
    like_source(mask.astype(np.uint8), img).to_filename(tmp_path / 'mask.nii')
    written = nb.load(tmp_path / 'mask.nii')
    np.testing.assert_array_equal(np.asarray(written.dataobj), scaled(img) > 300)
    np.testing.assert_array_equal(written.affine, img.affine)
    assert written.get_data_dtype() == np.uint8
    for field in ('qform_code', 'sform_code', 'xyzt_units', 'pixdim'):
        np.testing.assert_array_equal(written.header[field], img.header[field])
    # The window in which viewers would show the source hides a mask of ones.
    assert written.header['cal_max'] == 0


def write_nifti(path, data, affine=None, **fields):
    affine = make_affine('LAS', *ISOTROPIC) if affine is None else affine
    img = nb.Nifti1Image(data, affine)
    img.set_sform(affine, 1)
    img.set_qform(affine, 1)
    for name, value in fields.items():
        img.header[name] = value
    img.to_filename(path)


def good_values():
    return stored_values('f4', ISOTROPIC[0])


def damage_truncated(path):
    write_nifti(path, good_values())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_corrupt(path):
    write_nifti(path, good_values())
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


def damage_uncompressed(path):
    """A truncated .nii, under the name that tells nibabel so."""
    write_nifti(path, good_values())
    path.write_bytes(path.read_bytes()[:5000])


def damage_size(path):
    write_nifti(path, good_values())
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into('<3h', content, 42, 32767, 32767, 32767)
    path.write_bytes(gzip.compress(content))


def with_values(value):
    def make(path):
        data = good_values().astype(np.float64)
        data[3, 4, 5] = value
        write_nifti(path, data)

    return make


def with_affine(change, sform_code=1):
    def make(path):
        affine = make_affine('LAS', *ISOTROPIC)
        change(affine)
        img = nb.Nifti1Image(good_values(), None)
        img.header['sform_code'] = sform_code
        for name, row in zip('xyz', affine, strict=False):
            img.header[f'srow_{name}'] = row
        img.to_filename(path)

    return make


def sheared(affine):
    affine[:3, 0] += 0.1 * affine[:3, 1]


def flattened(affine):
    affine[:3, 0] = 0


def unknown(affine):
    affine[0, 0] = np.nan


RGB = np.dtype([('R', 'u1'), ('G', 'u1'), ('B', 'u1')])
BAD = {
    'truncated gzip': (damage_truncated, 'whole NIfTI image', 'damaged'),
    'corrupt gzip': (damage_corrupt, 'whole NIfTI image', 'damaged'),
    'size': (damage_size, 'fits into memory', 'a larger one'),
    'too large': (with_values(1e300), 'finite values', '1 voxels with NaN or infinity'),
    'text': (lambda path: path.write_text('not an image\n' * 50), 'NIfTI image', 'gzip'),
    'picture': (
        lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(500)), 'NIfTI image', 'gzip',
    ),
    'zero bytes': (lambda path: path.touch(), 'NIfTI image', 'Empty file'),
    'four dimensions': (
        lambda path: write_nifti(path, np.ones((30, 27, 26, 2), 'f4')),
        'three dimensions', '(30, 27, 26, 2)',
    ),
    'two dimensions': (
        lambda path: write_nifti(path, np.ones((30, 27), 'f4')), 'three dimensions', '(30, 27)',
    ),
    'one slice': (
        lambda path: write_nifti(path, np.ones((30, 27, 1), 'f4')), 'three dimensions', '27, 1)',
    ),
    'not a number': (with_values(np.nan), 'finite values', '1 voxels with NaN'),
    'infinite': (with_values(-np.inf), 'finite values', '1 voxels with NaN or infinity'),
    'constant': (
        lambda path: write_nifti(path, np.full(ISOTROPIC[0], 7, 'f4')),
        'values that differ', 'the value 7',
    ),
    'empty': (
        lambda path: write_nifti(path, np.zeros(ISOTROPIC[0], 'i2')),
        'values that differ', 'the value 0',
    ),
    'no affine': (
        with_affine(lambda _: None, sform_code=0), 'with a code above 0', 'neither',
    ),
    'flat affine': (with_affine(flattened), 'can be inverted', '0.'),
    'affine not a number': (with_affine(unknown), 'can be inverted', 'nan'),
    'sheared': (with_affine(sheared), 'right angles', '0.0995'),
    'thick voxels': (
        lambda path: write_nifti(
            path, np.random.default_rng(0).random((30, 27, 26), 'f4'), np.diag([4, 4, 5.5, 1])
        ),
        'voxels of at most 5 mm', '4 x 4 x 5.5 mm',
    ),
    'small field of view': (
        lambda path: write_nifti(
            path, np.random.default_rng(0).random((24, 27, 26), 'f4'), np.diag([4, 4, 4, 1])
        ),
        'at least 100 mm', '96 x 108 x 104 mm',
    ),
    'complex': (
        lambda path: write_nifti(path, np.ones(ISOTROPIC[0], 'c8')), 'real numbers', 'complex64',
    ),
    'colours': (
        lambda path: write_nifti(path, np.zeros(ISOTROPIC[0], RGB)), 'real numbers', 'R',
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_a_bad_image_is_refused_by_name_requirement_and_finding(tmp_path, case):
    make, required, found = BAD[case]
    path = tmp_path / 'sub-01_T1w.nii.gz'
    make(path)
    with pytest.raises(BidsInpaintError) as error:
        read_source(path)
    message = str(error.value)
    assert message.startswith(f'{path}: ')
    before, after = message.split(' is required, found ')
    assert required in before
    assert found in after


def test_a_truncated_uncompressed_image_is_refused(tmp_path):
    damage_uncompressed(tmp_path / 'a.nii')
    with pytest.raises(BidsInpaintError, match=r'a\.nii: a whole NIfTI image is required'):
        read_source(tmp_path / 'a.nii')


def test_another_format_is_refused(tmp_path):
    nb.MGHImage(good_values(), np.eye(4)).to_filename(tmp_path / 'a.mgz')
    with pytest.raises(BidsInpaintError, match='found the format MGHImage'):
        read_source(tmp_path / 'a.mgz')


def test_a_file_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / 'a.nii'
    with pytest.raises(BidsInpaintError, match=f'^{re.escape(str(path))}: a file is required'):
        read_source(path)
    path.symlink_to('.git/annex/objects/a.nii')
    with pytest.raises(BidsInpaintError, match=r'found a link to nothing \(of DataLad'):
        read_source(path)


def test_an_unreadable_file_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / 'a.nii.gz'
        write_nifti(path, good_values())
        path.chmod(0o000)
        code = (
            'import os, sys\n'
            'from pathlib import Path\n'
            'from bids_inpaint.image.source import read_source\n'
            'if os.getuid() == 0:\n'
            '    os.setuid(65534)\n'
            'read_source(Path(sys.argv[1]))\n'
        )
        result = subprocess.run(
            [sys.executable, '-c', code, path], capture_output=True, text=True, check=False
        )
    last = result.stderr.splitlines()[-1]
    assert last.startswith('bids_inpaint.errors.BidsInpaintError')
    assert f'{path}: a readable file is required, found one that cannot be read' in last


# A signalling not-a-number in the affine, as nibabel reads it.
@pytest.mark.filterwarnings('ignore:invalid value encountered in cast:RuntimeWarning')
@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 351), value=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused_but_nothing_else(place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.nii'
        write_nifti(path, np.arange(26 * 26 * 26, dtype='i2').reshape(26, 26, 26))
        content = bytearray(path.read_bytes())
        content[place] = value
        path.write_bytes(content)
        try:
            img = read_source(path)
        except BidsInpaintError as error:
            assert str(error).startswith(f'{path}: ')  # noqa: PT017
        else:
            assert np.isfinite(conform(img).data).all()
