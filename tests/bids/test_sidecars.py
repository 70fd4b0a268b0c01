from pathlib import Path, PurePosixPath

import pytest

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import (
    dataset_links,
    derivative_uri,
    image_sidecar,
    lesion_mask_uri,
    source_uri,
)

SCAN = parse_t1w(Path('/data/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz'))


def test_uris():
    assert source_uri(SCAN) == 'bids:raw:sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz'
    assert derivative_uri(PurePosixPath('sub-01/anat/a.nii')) == 'bids::sub-01/anat/a.nii'


def test_every_dataset_that_is_read_has_a_name_of_its_own():
    folders = [Path(p) for p in ('/a/lst2', '/a/lst', '/b/lst', '/c/raw', '/d/..l_s t', '/')]
    links = dataset_links(Path('/data'), folders)
    assert list(links) == ['raw', 'lst2', 'lst', 'lst3', 'raw2', 'lst4', 'derivatives']
    assert list(links.values()) == [Path('/data'), *folders]


def test_mask_is_named_by_the_innermost_dataset():
    links = dataset_links(Path('/data'), [Path('/data/derivatives/lst')])
    name = 'sub-01/anat/sub-01_label-lesion_mask.nii'
    assert lesion_mask_uri(Path('/data', name), links) == f'bids:raw:{name}'
    assert lesion_mask_uri(Path('/data/derivatives/lst', name), links) == f'bids:lst:{name}'


def test_native_image_refers_to_its_source():
    sidecar = image_sidecar(
        SCAN,
        'inpainted',
        space='T1w',
        sources=(source_uri(SCAN),),
        skull_stripped=False,
        parameters={'Seconds': 3.5},
    )
    assert sidecar == {
        'Description': 'T1w image with its lesions filled',
        'Sources': [source_uri(SCAN)],
        'SpatialReference': source_uri(SCAN),
        'SkullStripped': False,
        'Seconds': 3.5,
    }


def test_template_image_refers_to_the_template():
    sidecar = image_sidecar(
        SCAN,
        'preproc',
        space='MNI152NLin2009aSym',
        sources=[],
        skull_stripped=True,
        parameters={},
    )
    assert sidecar['SpatialReference'].startswith('https://doi.org/')
    assert sidecar['SkullStripped'] is True


def test_other_space_is_named():
    with pytest.raises(ValueError, match=r"space .*'MNI'"):
        image_sidecar(SCAN, 'preproc', space='MNI', sources=[], skull_stripped=True, parameters={})
