import nibabel as nb
import numpy as np
import pytest

from bids_inpaint.bids.names import TEMPLATE_SPACE
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.template import AFFINE, SHAPE
from bids_inpaint.training.expert_masks import bring_masks

_SHIFT = np.array([[1.0, 0, 0, 12], [0, 1, 0, -8], [0, 0, 1, 5], [0, 0, 0, 1]])


@pytest.fixture
def source(tmp_path):
    """A box of 10 x 12 x 14 mm, 1.0 mm voxels, LAS, its centre at (20.25, 10.25, 30.25) mm."""
    folder = tmp_path / 'ms' / 'sub-a' / 'ses-1' / 'anat'
    folder.mkdir(parents=True)
    mask = np.zeros((40, 42, 44), np.uint8)
    mask[15:25, 15:27, 15:29] = 1
    affine = np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = np.array([20.25, 10.25, 30.25]) - affine[:3, :3] @ [19.5, 20.5, 21.5]
    name = 'sub-a_ses-1_space-MNI152NLin6Asym_res-1_label-lesion_mask.nii.gz'
    nb.Nifti1Image(mask, affine).to_filename(folder / name)
    return tmp_path / 'ms'


def _centre(path):
    img = nb.load(path)
    assert img.shape == SHAPE
    np.testing.assert_array_equal(img.affine, AFFINE)
    voxels = np.argwhere(np.asarray(img.dataobj))
    assert len(voxels) == pytest.approx(10 * 12 * 14, rel=0.01)
    return nb.affines.apply_affine(AFFINE, voxels).mean(axis=0)


def test_a_mask_without_t1w_is_resampled_where_it_is(source, tmp_path):
    (path,) = bring_masks(source, tmp_path / 'none', tmp_path / 'out')
    assert path.relative_to(tmp_path / 'out').as_posix() == (
        f'sub-a/ses-1/anat/sub-a_ses-1_space-{TEMPLATE_SPACE}_label-lesion_mask.nii.gz'
    )
    np.testing.assert_allclose(_centre(path), [20.25, 10.25, 30.25], atol=0.51)


def test_a_mask_goes_the_way_of_its_t1w(source, tmp_path):
    folder = tmp_path / 'derivatives' / 'sub-a' / 'ses-1' / 'anat'
    folder.mkdir(parents=True)
    scan = 'sub-a_ses-1_space-MNI152NLin6Asym_res-1'
    write_xfm(_SHIFT, folder / f'{scan}_from-T1w_to-{TEMPLATE_SPACE}_mode-image_xfm.txt')
    (path,) = bring_masks(source, tmp_path / 'derivatives', tmp_path / 'out')
    np.testing.assert_allclose(_centre(path), [32.25, 2.25, 35.25], atol=0.51)


def test_what_the_app_has_found_is_not_mixed_with_what_experts_drew(source, tmp_path):
    with pytest.raises(FileExistsError, match='choose another folder'):
        bring_masks(source, tmp_path / 'out', tmp_path / 'out')


def test_no_masks_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='label-lesion_mask'):
        bring_masks(tmp_path, tmp_path / 'a', tmp_path / 'b')
