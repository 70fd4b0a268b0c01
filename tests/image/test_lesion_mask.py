import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import GRIDS, grid_of

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image import lesion_mask
from bids_inpaint.image.lesion_mask import read_lesion_mask
from bids_inpaint.image.native import conform
from bids_inpaint.image.source import read_source


@pytest.fixture
def t1w(tmp_path):
    """Head on a grid whose axes are not in RAS+ order."""
    return read_source(tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid_of('PSR')))


@pytest.fixture
def write(tmp_path, t1w):
    """Write a mask of a type of its own, on the grid of the image or another; give its path."""

    def make(data, affine=None, *, dtype='u1', name='mask.nii.gz', slope=None):
        img = nb.Nifti1Image(data.astype(dtype), t1w.affine if affine is None else affine)
        if slope:
            img.header.set_slope_inter(slope, 0)
        img.to_filename(tmp_path / name)
        return tmp_path / name

    return make


def blob(shape):
    data = np.zeros(shape)
    data[10:14, 20:23, 30:32] = 1
    return data


@pytest.mark.parametrize('dtype', ['u1', 'i2', 'f4', 'f8'])
def test_mask_is_on_the_grid_of_the_conformed_image(write, t1w, dtype):
    data = blob(t1w.shape)
    found = read_lesion_mask(write(data, dtype=dtype), t1w)
    assert found.data.dtype == bool
    assert found.notes == []
    expected = conform(nb.Nifti1Image(data.astype('u1'), t1w.affine)).data
    np.testing.assert_array_equal(found.data, expected > 0)
    assert found.data.shape == conform(t1w).data.shape


@pytest.mark.parametrize('name', GRIDS)
def test_other_orders_of_the_axes_of_one_grid_are_the_same_mask(tmp_path, name):
    t1w = read_source(tiny_app.write_head(tmp_path / 'T1w.nii', grid_of(name)))
    img = nb.Nifti1Image(blob(t1w.shape).astype('u1'), t1w.affine)
    turned = img.as_reoriented(nb.orientations.axcodes2ornt('SLP'))
    assert turned.shape != img.shape or not np.allclose(turned.affine, img.affine)
    masks = []
    for path, image in ((tmp_path / 'a.nii', img), (tmp_path / 'b.nii', turned)):
        image.to_filename(path)
        masks.append(read_lesion_mask(path, t1w).data)
    np.testing.assert_array_equal(*masks)


def test_a_fourth_axis_of_one_volume_does_not_matter(write, t1w):
    data = blob(t1w.shape)
    with_axis = read_lesion_mask(write(data[..., None]), t1w)
    np.testing.assert_array_equal(with_axis.data, read_lesion_mask(write(data), t1w).data)


def test_affines_may_differ_by_rounding(write, t1w):
    affine = t1w.affine.copy()
    affine[:3, 3] += 0.01
    affine[:3, :3] *= 1.0002
    assert read_lesion_mask(write(blob(t1w.shape), affine), t1w).data.sum() == 24


def shifted(affine):
    moved = affine.copy()
    moved[0, 3] += 1.5
    return moved


@pytest.mark.parametrize(
    ('shape', 'change', 'found'),
    [
        ((40, 68, 57), None, '40 x 68 x 57 voxels of 4.5 x 2.5 x 3 mm, PSR, affine'),
        ((40, 68, 58), shifted, '40 x 68 x 58 voxels of 4.5 x 2.5 x 3 mm, PSR, affine'),
        ((40, 68, 58), lambda a: a * 1.01, 'voxels of 4.545 x 2.525 x 3.03 mm'),
        ((58, 40, 68), None, '58 x 40 x 68 voxels'),
        ((40, 68, 58), lambda _: np.eye(4), 'voxels of 1 x 1 x 1 mm, RAS, affine'),
        ((40, 68, 58, 2), None, '40 x 68 x 58 x 2 voxels'),
    ],
)
def test_another_grid_is_refused_and_both_are_named(write, t1w, shape, change, found):
    affine = change(t1w.affine) if change else t1w.affine
    path = write(np.ones(shape), affine)
    with pytest.raises(BidsInpaintError) as caught:
        read_lesion_mask(path, t1w)
    message = str(caught.value)
    assert message.startswith(
        f'{path}: expected the grid of {t1w.get_filename()}, 40 x 68 x 58 voxels of '
    )
    required, _, rest = message.partition(', found ')
    assert found in rest
    assert 'PSR, affine [[' in required
    origin = f'{affine[0, 3]:.4g}' if found != 'voxels of 1 x 1 x 1 mm, RAS, affine' else '1, 0, 0'
    assert origin in rest


def test_labels_and_probabilities_become_a_mask_with_a_note(write, t1w):
    data = blob(t1w.shape)
    plain = read_lesion_mask(write(data), t1w).data
    labels = data * np.arange(1, 5)[np.arange(t1w.shape[0]) % 4, None, None]
    ramp = np.where(data > 0, 0.6, 0.4)
    for path in (write(labels), write(255 * data), write(ramp, dtype='f4')):
        found = read_lesion_mask(path, t1w)
        np.testing.assert_array_equal(found.data, plain)
        (note,) = found.notes
        assert '0.5' in note


def test_scaled_integers_are_what_they_mean(write, t1w):
    data = 100 * blob(t1w.shape)
    assert not read_lesion_mask(write(data, slope=0.002), t1w).data.any()
    assert read_lesion_mask(write(data, slope=0.01), t1w).data.sum() == 24


def test_what_is_not_a_number_is_no_lesion(write, t1w):
    data = blob(t1w.shape)
    data[:5] = np.nan
    data[0, 0, 0] = np.inf
    found = read_lesion_mask(write(data, dtype='f4'), t1w)
    assert found.data.sum() == 24
    (note,) = found.notes
    assert f'{5 * 68 * 58} voxels are not finite' in note


def test_an_empty_mask_is_one_and_told(write, t1w):
    found = read_lesion_mask(write(np.zeros(t1w.shape)), t1w)
    assert not found.data.any()
    (note,) = found.notes
    assert 'mask is empty' in note


def test_negative_values_are_refused(write, t1w):
    data = blob(t1w.shape)
    data[0, 0, 0] = -2
    with pytest.raises(
        BidsInpaintError, match=r'mask.*: expected values of 0 and more, found the value -2'
    ):
        read_lesion_mask(write(data, dtype='i2'), t1w)


def test_a_mask_of_something_else_is_refused(write, t1w, monkeypatch):
    monkeypatch.setattr(lesion_mask, '_MAX_LESIONS_ML', 0.5)
    path = write(blob(t1w.shape))  # 24 voxels of 33.75 mm3
    with pytest.raises(BidsInpaintError, match=r'at most 0.5 ml, found 1 ml'):
        read_lesion_mask(path, t1w)


@pytest.mark.parametrize(
    ('content', 'reason'), [(b'x' * 400, 'a NIfTI image'), (b'', 'NIfTI image'), (None, 'a file')]
)
def test_a_file_that_is_no_image_is_refused(tmp_path, t1w, content, reason):
    path = tmp_path / 'mask.nii'
    path.symlink_to('annex/none') if content is None else path.write_bytes(content)
    with pytest.raises(BidsInpaintError, match=f'mask.nii: expected .*{reason}'):
        read_lesion_mask(path, t1w)


def test_a_truncated_mask_is_refused(write, t1w):
    path = write(np.random.default_rng(0).integers(0, 2, t1w.shape))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BidsInpaintError, match='expected a whole NIfTI image, found'):
        read_lesion_mask(path, t1w)
