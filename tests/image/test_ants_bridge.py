from itertools import product

import ants
import numpy as np
import pytest
from head_phantoms import ORIENTATIONS, known_xfm, native_grid

from bids_inpaint.image.ants_bridge import from_ants, read_xfm, to_ants, write_xfm


@pytest.fixture(params=ORIENTATIONS)
def affine(request):
    return native_grid(request.param, known_xfm(), zooms_mm=(1, 2, 3)).affine


def test_volume_comes_back_from_ants(affine):
    data = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
    back = from_ants(to_ants(data, affine))
    assert np.array_equal(back.data, data)
    assert back.data.dtype == np.float32
    np.testing.assert_allclose(back.affine, affine, atol=1e-4)


def test_voxels_lie_where_itk_says_in_lps(affine):
    image = to_ants(np.zeros((4, 5, 6), np.float32), affine)
    ras = affine @ [3, 1, 2, 1]
    lps = ants.transform_index_to_physical_point(image, [3, 1, 2])
    np.testing.assert_allclose(lps, ras[:3] * [-1, -1, 1], atol=1e-4)


def test_itk_file_round_trip(tmp_path):
    xfm = known_xfm()
    for name, back in product(('xfm.mat', 'xfm.txt'), (True, False)):
        path = write_xfm(xfm, tmp_path / name, back=back)
        np.testing.assert_allclose(read_xfm(path, back=back), xfm, atol=1e-5)
        np.testing.assert_allclose(read_xfm(path, back=not back) @ xfm, np.eye(4), atol=1e-5)


def test_itk_file_maps_points_as_ants_does(tmp_path):
    """ITK takes an image somewhere by the map of points from there."""
    xfm = known_xfm()
    transform = ants.read_transform(str(write_xfm(xfm, tmp_path / 'xfm.mat', back=True)))
    ras = np.array([10.0, -20, 30, 1])
    lps = transform.apply_to_point(list(ras[:3] * [-1, -1, 1]))
    np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], (xfm @ ras)[:3], atol=1e-4)


def test_centre_of_rotation_in_a_file_is_taken_into_account(tmp_path):
    matrix = known_xfm()[:3, :3]
    transform = ants.create_ants_transform(
        transform_type='AffineTransform',
        dimension=3,
        precision='double',
        matrix=matrix,
        translation=(5, 6, 7),
        center=(40, -30, 20),
    )
    path = tmp_path / 'centred.mat'
    ants.write_transform(transform, str(path))
    expected = np.array(transform.apply_to_point([1.0, 2, 3])) * [-1, -1, 1]
    found = (read_xfm(path, back=True) @ [-1, -2, 3, 1])[:3]
    np.testing.assert_allclose(found, expected, atol=1e-4)
