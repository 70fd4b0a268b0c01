import itertools
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from source_images import (
    ISOTROPIC,
    ORIENTATIONS,
    SHAPES,
    STORAGES,
    make_affine,
    raw_bytes,
    write_image,
)

from bids_inpaint.image.native import (
    add_change,
    conform,
    like_source,
    ras_grid,
    scaled,
    to_source_order,
)
from bids_inpaint.image.source import read_source

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
