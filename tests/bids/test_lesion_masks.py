import logging

import pytest

from bids_inpaint.bids.discovery import find_t1w
from bids_inpaint.bids.lesion_masks import mask_candidates, with_lesion_masks
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError

T1W = 'sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz'
MASK = 'sub-01/ses-a/anat/sub-01_ses-a_run-1_label-lesion_mask.nii.gz'
ROI = 'sub-01/ses-a/anat/sub-01_ses-a_run-1_label-lesion_roi.nii'
OTHER = 'sub-02/anat/sub-02_T1w.nii.gz'


@pytest.fixture
def masks_of():
    """Masks of the scans of a raw dataset, relative to the test's folder."""

    def find(root, mode='auto', derivatives=()):
        scans = with_lesion_masks(find_t1w(root), mode=mode, derivatives=derivatives)
        return [s.lesion_mask and str(s.lesion_mask.relative_to(root.parent)) for s in scans]

    return find


def test_images_without_mask_stay_as_they_are(make_dataset):
    scans = find_t1w(make_dataset(T1W, OTHER))
    assert with_lesion_masks(scans, mode='auto') == scans


def test_mask_of_a_derivative_dataset_belongs_to_the_image_of_its_name(make_dataset, masks_of):
    root = make_dataset(T1W, OTHER)
    lst = make_dataset(MASK, 'sub-01/ses-a/anat/sub-01_ses-a_label-lesion_mask.nii', folder='lst')
    assert masks_of(root, derivatives=[lst]) == [f'lst/{MASK}', None]


@pytest.mark.parametrize('name', [ROI, f'{ROI}.gz', ROI.replace('_label', '_T1w_label')])
def test_roi_beside_the_image_is_found(make_dataset, masks_of, name):
    assert masks_of(make_dataset(T1W, OTHER, name)) == [f'raw/{name}', None]


def test_off_looks_for_none(make_dataset, masks_of):
    lst = make_dataset(MASK, folder='lst')
    assert masks_of(make_dataset(T1W, ROI), 'off', [lst]) == [None]


def test_first_derivative_dataset_goes_before_the_others_and_the_roi(
    make_dataset, masks_of, caplog
):
    root = make_dataset(T1W, ROI)
    first, second = make_dataset(MASK, folder='first'), make_dataset(MASK, folder='second')
    with caplog.at_level(logging.WARNING):
        assert masks_of(root, derivatives=[second, first]) == [f'second/{MASK}']
    used, ignored = f'{second / MASK}', f'{first / MASK}, {root / ROI}'
    assert caplog.text.index(used) < caplog.text.index(ignored)


def test_entities_of_a_derivative_image_keep_the_order_of_bids(make_dataset):
    scan = parse_t1w(make_dataset() / 'sub-01/anat/sub-01_desc-a_T1w.nii')
    names = [path.name for path in mask_candidates(scan, [scan.t1w.parent])]
    assert names[0] == 'sub-01_label-lesion_desc-a_mask.nii.gz'
    assert names[2] == 'sub-01_desc-a_label-lesion_roi.nii.gz'


def test_mask_that_was_not_fetched_is_not_passed_over(make_dataset, masks_of):
    root = make_dataset(T1W)
    (root / ROI).symlink_to('../../.git/annex/none')
    assert masks_of(root) == [f'raw/{ROI}']


def test_required_names_the_images_without_and_what_was_looked_for(make_dataset):
    root = make_dataset(T1W, ROI, OTHER)
    lst = make_dataset(MASK, folder='lst')
    with pytest.raises(BidsInpaintError) as caught:
        with_lesion_masks(find_t1w(root), mode='required', derivatives=[lst])
    message = str(caught.value)
    assert f'1 of 2 T1w images have no lesion mask: {OTHER};' in message
    assert f'{lst}/sub-02/anat/sub-02_label-lesion_mask.nii.gz' in message
    assert f'{root}/sub-02/anat/sub-02_label-lesion_roi.nii.gz' in message


def test_required_is_content_with_a_mask_for_every_image(make_dataset, masks_of):
    assert masks_of(make_dataset(T1W, ROI), 'required') == [f'raw/{ROI}']


def test_derivatives_without_a_mask_of_an_image_are_told(make_dataset, caplog):
    names = [f'sub-{i}/anat/sub-{i}_T1w.nii' for i in range(1, 8)]
    scans = find_t1w(make_dataset(*names))
    with caplog.at_level(logging.WARNING):
        with_lesion_masks(scans, mode='auto', derivatives=[make_dataset(folder='lst')])
    assert '7 of 7 T1w images have no lesion mask' in caplog.text
    assert 'sub-5_T1w.nii and 2 more;' in caplog.text
    caplog.clear()
    with_lesion_masks(scans, mode='auto')
    assert caplog.text == ''


@pytest.mark.parametrize(
    ('image', 'mask', 'wanted'),
    [
        ('acq-a_T1w.nii.gz', 'label-lesion_roi.nii.gz', 'acq-a_label-lesion_roi.nii.gz'),
        ('T1w.nii', 'acq-a_label-lesion_roi.nii', 'label-lesion_roi.nii.gz'),
        ('run-1_T1w.nii.gz', 'run-01_T1w_label-lesion_roi.nii', 'run-1_label-lesion_roi.nii.gz'),
        ('T1w.nii.gz', 'label-lesion_mask.nii.gz', 'label-lesion_roi.nii.gz'),
        ('T1w.nii.gz', 'label-lesion_desc-x_roi.nii.gz', 'label-lesion_roi.nii.gz'),
        ('T1w.nii.gz', 'label-Lesion_roi.nii.gz', 'label-lesion_roi.nii.gz'),
    ],
)
def test_mask_that_no_image_claims_is_told_with_both_names(
    make_dataset, masks_of, caplog, image, mask, wanted
):
    root = make_dataset(f'sub-01/anat/sub-01_{image}', f'sub-01/anat/sub-01_{mask}')
    assert masks_of(root) == [None]
    assert f'lesion mask {root}/sub-01/anat/sub-01_{mask} belongs to no image' in caplog.text
    assert f': for sub-01_{image} it must be sub-01_{wanted}\n' in caplog.text
    caplog.clear()
    assert masks_of(root, 'off') == [None]
    assert caplog.text == ''


def test_mask_of_an_image_that_was_not_selected_is_claimed(make_dataset, caplog):
    root = make_dataset(T1W, ROI, 'sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w.nii.gz')
    with_lesion_masks(find_t1w(root, filters={'run': 2}), mode='auto')
    assert caplog.text == ''


def test_mask_in_derivatives_that_no_image_claims_is_told(make_dataset, masks_of, caplog):
    name = 'sub-01/ses-a/anat/sub-01_ses-a_label-lesion_mask.nii'
    root, lst = make_dataset(T1W), make_dataset(name, folder='lst')
    assert masks_of(root, derivatives=[lst]) == [None]
    assert f'{lst / name} belongs to no image' in caplog.text
    assert 'it must be sub-01_ses-a_run-1_label-lesion_mask.nii.gz' in caplog.text
    caplog.clear()
    (lst / MASK).touch()
    assert masks_of(root, derivatives=[lst]) == [f'lst/{MASK}']
    assert caplog.text == ''
