import json
from pathlib import Path

import pytest
from bids_strategies import entities_of, scans
from bidsschematools.schema import load_schema
from hypothesis import given
from hypothesis import strategies as st
from planned import planned_paths

from bids_inpaint.bids.filters import matches
from bids_inpaint.bids.names import (
    KEY_ORDER,
    KINDS,
    NATIVE_SPACE,
    OUTPUT_SPACES,
    TEMPLATE_SPACE,
    derivative_path,
    ending,
    figure_path,
    of_same_scan,
    page_path,
    sidecar_path,
    split_writable,
)
from bids_inpaint.bids.scan import ENTITIES, parse_t1w

BOTH = (NATIVE_SPACE, TEMPLATE_SPACE)
WRITTEN = [(kind, space) for kind, what in KINDS.items() for space in what.spaces or BOTH]


def scan_of(name):
    parts = [part for part in name.split('_') if part.startswith(('sub-', 'ses-'))]
    return parse_t1w(Path('/data', *parts, 'anat', name))


@given(scan=scans(), written=st.sampled_from(WRITTEN))
def test_name_parses_back_to_the_entities_of_source_and_kind(scan, written):
    kind, space = written
    path = derivative_path(scan, kind, space=space)
    expected = dict(scan.entities)
    if KINDS[kind].spaces and space == TEMPLATE_SPACE:
        for key in ('space', 'res', 'den', 'cohort'):
            expected.pop(key, None)
        expected['space'] = TEMPLATE_SPACE
    expected.update(KINDS[kind].entities)
    found = entities_of(path.name)
    assert dict(found) == expected
    assert len(found) == len(expected)


@given(scan=scans(), written=st.sampled_from(WRITTEN))
def test_name_has_the_order_of_bids_and_the_suffix_last(scan, written):
    kind, space = written
    path = derivative_path(scan, kind, space=space)
    ranks = [KEY_ORDER.index(key) for key, _ in entities_of(path.name)]
    assert ranks == sorted(ranks)
    assert path.name.split('.')[0].split('_')[-1] == KINDS[kind].suffix
    assert path.parent == scan.folder


@given(scan=scans())
def test_no_two_files_of_a_scan_have_one_name(scan):
    paths = planned_paths(scan, output_spaces=BOTH, lesion_map=True)
    assert len(set(paths)) == len(paths) == 15


def test_order_is_that_of_the_schema():
    schema = load_schema()
    names = [schema.objects.entities[entity].name for entity in schema.rules.entities]
    assert list(ENTITIES) == names
    assert [key for key in KEY_ORDER if key not in {'from', 'to', 'mode'}] == names


def test_spaces_are_those_that_the_command_line_offers():
    assert BOTH == OUTPUT_SPACES


def test_every_file_of_a_scan():
    scan = scan_of('sub-01_ses-2_acq-a_run-01_T1w.nii.gz')
    paths = planned_paths(scan, output_spaces=BOTH, lesion_map=True)
    prefix = 'sub-01/ses-2/anat/sub-01_ses-2_acq-a_run-01_'
    space = 'space-MNI152NLin2009aSym_'
    assert sorted(str(path).removeprefix(prefix) for path in paths) == sorted(
        [
            'desc-inpainted_T1w.nii.gz',
            f'{space}desc-inpainted_T1w.nii.gz',
            f'{space}desc-preproc_T1w.nii.gz',
            'label-lesion_mask.nii.gz',
            f'{space}label-lesion_mask.nii.gz',
            'desc-difference_T1w.nii.gz',
            f'{space}desc-difference_T1w.nii.gz',
            'desc-change_mask.nii.gz',
            f'{space}desc-change_mask.nii.gz',
            'desc-brain_mask.nii.gz',
            f'{space}desc-brain_mask.nii.gz',
            f'{space}desc-biasfield_T1w.nii.gz',
            'from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt',
            'from-MNI152NLin2009aSym_to-T1w_mode-image_xfm.txt',
            'desc-inpaint_qc.json',
        ]
    )


def test_plan_has_what_was_asked_for_only():
    scan = scan_of('sub-01_T1w.nii')
    plan = planned_paths(scan, output_spaces=['T1w'], lesion_map=False, extension='.nii')
    names = {path.name for path in plan}
    assert not any('space-' in name or 'lesion' in name or '.gz' in name for name in names)
    assert 'sub-01_desc-inpainted_T1w.nii' in names
    assert 'sub-01_desc-inpaint_qc.json' in names
    assert len(names) == 7


def test_key_that_bids_does_not_know_stands_before_desc():
    scan = scan_of('sub-01_site-a_T1w.nii.gz')
    path = derivative_path(scan, 'inpainted', space=TEMPLATE_SPACE)
    assert path.name == f'sub-01_space-{TEMPLATE_SPACE}_site-a_desc-inpainted_T1w.nii.gz'


def test_names_beside_the_images():
    scan = scan_of('sub-01_ses-2_run-1_T1w.nii.gz')
    image = derivative_path(scan, 'inpainted')
    assert sidecar_path(image).name == 'sub-01_ses-2_run-1_desc-inpainted_T1w.json'
    figure = figure_path(scan, 'inpainted')
    assert str(figure) == 'sub-01/figures/sub-01_ses-2_run-1_desc-inpainted_T1w.svg'
    assert str(page_path(scan.subject)) == 'sub-01.html'


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match=r"one of .*'inpaint'"):
        derivative_path(scan_of('sub-01_T1w.nii'), 'inpaint')


def test_kind_that_is_not_written_in_a_space_is_named():
    with pytest.raises(ValueError, match="preproc is written in MNI152NLin2009aSym, not in 'T1w'"):
        derivative_path(scan_of('sub-01_T1w.nii'), 'preproc')


@pytest.mark.parametrize(
    ('names', 'spaces'),
    [
        (['sub-01_T1w.nii', 'sub-01_T1w.nii.gz'], ['T1w']),
        (['sub-01_desc-a_T1w.nii.gz', 'sub-01_desc-b_T1w.nii.gz'], ['T1w']),
        (['sub-01_T1w.nii.gz', 'sub-01_space-A_T1w.nii.gz'], BOTH),
        (['sub-01_space-A_res-1_T1w.nii.gz', 'sub-01_space-A_res-2_T1w.nii.gz'], BOTH),
    ],
)
def test_scans_that_would_overwrite_one_another_are_named(names, spaces):
    other = scan_of('sub-02_T1w.nii')
    clashing = [scan_of(name) for name in names]
    scans_, (error,) = split_writable([*clashing, other], output_spaces=spaces)
    assert scans_ == [other]
    assert '2 images would be written' in error
    assert all(name in error for name in names)
    advised = json.loads(error.partition('for instance ')[2])['t1w']
    assert len([scan for scan in clashing if matches(scan, advised)]) == 1


def test_scan_whose_derivatives_have_names_too_long_is_named():
    scans_ = [scan_of(f'sub-01_acq-{"a" * length}_T1w.nii.gz') for length in (120, 200)]
    kept, (error,) = split_writable(scans_, output_spaces=BOTH)
    assert kept == scans_[:1]
    assert f'{scans_[1].relative_path}: names of derivatives may have 240 characters' in error


def test_several_spaces_of_one_image_are_distinct_in_native_space():
    scans_ = [scan_of('sub-01_T1w.nii.gz'), scan_of('sub-01_space-A_T1w.nii.gz')]
    assert split_writable(scans_, output_spaces=['T1w']) == (scans_, [])


@pytest.mark.parametrize(('kind', 'space'), WRITTEN)
def test_a_name_ends_as_its_kind_says_and_leads_to_the_others(kind, space):
    scan = scan_of('sub-01_ses-2_run-1_T1w.nii')
    path = Path(derivative_path(scan, kind, space=space))
    assert path.name == f'{scan.name}{ending(kind, space=space)}'
    other = of_same_scan(path, kind, 'brain_mask', space=space)
    assert other == Path(derivative_path(scan, 'brain_mask', space=space))
