import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_inpaint import __version__
from bids_inpaint.bids import provenance
from bids_inpaint.bids.dataset import (
    BIDSIGNORE,
    check_output_is_ours,
    read_description,
    write_dataset_files,
)
from bids_inpaint.bids.group import gather_group, write_group_table
from bids_inpaint.bids.names import KINDS, derivative_path, figure_path, page_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.bids.sidecars import derivative_uri, image_sidecar, source_uri
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import write_json

SOURCES = [
    'sub-01/anat/sub-01_T1w.nii.gz',
    'sub-02/ses-1/anat/sub-02_ses-1_acq-a_run-01_T1w.nii.gz',
]


def test_description_says_what_made_it_from_what(make_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, 'container_facts', lambda: {'Type': 'docker', 'Tag': 'a:1'})
    root = make_dataset(DatasetDOI='doi:10.0/0')
    write_dataset_files(tmp_path / 'out', bids_dir=root)
    description = read_description(tmp_path / 'out')
    assert description['DatasetType'] == 'derivative'
    assert description['GeneratedBy'] == [
        {
            'Name': 'bids_inpaint',
            'Version': __version__,
            'Container': {'Type': 'docker', 'Tag': 'a:1'},
        }
    ]
    assert description['SourceDatasets'] == [{'URL': root.as_uri(), 'DOI': 'doi:10.0/0'}]
    assert description['DatasetLinks'] == {'raw': root.as_uri()}
    assert 'made' in description['Name']
    assert 'Manjón' in description['HowToAcknowledge']


def test_description_outside_a_container_of_a_source_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, 'container_facts', dict)
    write_dataset_files(tmp_path / 'out', bids_dir=tmp_path / 'source')
    description = read_description(tmp_path / 'out')
    assert 'Container' not in description['GeneratedBy'][0]
    assert description['SourceDatasets'] == [{'URL': (tmp_path / 'source').as_uri()}]
    assert 'source' in description['Name']


def test_lines_of_bidsignore(make_dataset, tmp_path):
    write_dataset_files(tmp_path / 'out', bids_dir=make_dataset())
    assert (tmp_path / 'out/.bidsignore').read_text().splitlines() == [
        'sub-*/**/anat/sub-*_mode-image_xfm.txt',
        'sub-*/**/anat/sub-*_mode-image_xfm.json',
        'sub-*/**/anat/sub-*_desc-inpaint_qc.json',
        '/sub-*.html',
        '/sub-*/figures',
        '/group_T1w.tsv',
        '/group_T1w.json',
        '/group_T1w.html',
    ]


def test_datasets_with_masks_are_linked_and_stay_so(make_dataset, tmp_path):
    root, lst, other = (make_dataset(folder=name) for name in ('raw', 'lst', 'other'))
    write_dataset_files(tmp_path / 'out', bids_dir=root, derivatives=[lst])
    write_dataset_files(tmp_path / 'out', bids_dir=root, derivatives=[other])
    description = read_description(tmp_path / 'out')
    folders = {'raw': root, 'lst': lst, 'other': other}
    assert description['DatasetLinks'] == {n: p.as_uri() for n, p in folders.items()}
    assert [s['URL'] for s in description['SourceDatasets']] == [
        p.as_uri() for p in folders.values()
    ]


def test_readme_that_was_written_on_is_left_alone(make_dataset, tmp_path):
    root = make_dataset()
    write_dataset_files(tmp_path / 'out', bids_dir=root)
    assert __version__ in (tmp_path / 'out/README').read_text()
    (tmp_path / 'out/README').write_text('mine')
    write_dataset_files(tmp_path / 'out', bids_dir=root)
    assert (tmp_path / 'out/README').read_text() == 'mine'


@pytest.mark.parametrize('content', [None, '[]', '{', '\xff'])
def test_description_that_cannot_be_read_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / 'dataset_description.json').write_bytes(content.encode('latin-1'))
    assert read_description(tmp_path) == {}


def test_new_output_and_our_own_are_taken(make_dataset, tmp_path):
    check_output_is_ours(tmp_path / 'out')
    write_dataset_files(tmp_path / 'out', bids_dir=make_dataset())
    check_output_is_ours(tmp_path / 'out')


@pytest.mark.parametrize(
    'fields', [{}, {'GeneratedBy': [{'Name': 'fMRIPrep'}]}, {'GeneratedBy': ['text']}]
)
def test_dataset_of_another_program_is_not_written_over(make_dataset, fields):
    root = make_dataset(**fields)
    with pytest.raises(BidsInpaintError, match=r'made by bids_inpaint: .*raw .*GeneratedBy'):
        check_output_is_ours(root)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    img = nb.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4))
    img.header.set_xyzt_units('mm')
    img.to_filename(path)


def write_all_derivatives(out: Path, source: Path) -> None:
    """Every file of one scan, as small as can be."""
    scan = parse_t1w(source)
    for kind, what in KINDS.items():
        for space in what.spaces:
            path = derivative_path(scan, kind, space=space)
            write_image(out / path)
            sidecar = image_sidecar(
                scan,
                kind,
                space=space,
                sources=[source_uri(scan), derivative_uri(derivative_path(scan, 'brain_mask'))],
                skull_stripped=False,
                parameters={'Type': 'Brain'} if what.suffix == 'mask' else {},
            )
            write_json(out / sidecar_path(path), sidecar)
        if what.suffix == 'xfm':
            path = derivative_path(scan, kind)
            (out / path).write_text('#Insight Transform File V1.0\n')
            write_json(out / sidecar_path(path), {'Sources': [source_uri(scan)]})
    write_json(out / derivative_path(scan, 'qc'), {'lesion_count': 1})
    (out / page_path(scan.subject)).write_text('<html></html>')
    (out / figure_path(scan, 'inpainted')).parent.mkdir()
    (out / figure_path(scan, 'inpainted')).write_text('<svg></svg>')


@pytest.fixture
def output(make_dataset, tmp_path):
    """A derivative dataset with every file that the program may write."""
    root = make_dataset(*SOURCES)
    out = tmp_path / 'out'
    write_dataset_files(out, bids_dir=root)
    for source in SOURCES:
        write_all_derivatives(out, root / source)
    write_group_table(out, gather_group(out, root))
    (out / 'group_T1w.html').write_text('<html></html>')
    (out / 'logs/run').mkdir(parents=True)
    (out / 'logs/run/config.toml').write_text('nprocs = 1\n')
    return out


def validator_errors(folder: Path) -> set[str]:
    executable = Path(sys.executable).with_name('bids-validator-deno')
    if not executable.exists():
        pytest.skip('bids-validator-deno is not installed')
    result = subprocess.run(
        [str(executable), str(folder), '--json'], capture_output=True, check=False
    )
    issues = json.loads(result.stdout)['issues']['issues']
    return {f'{i["code"]} {i["location"]}' for i in issues if i['severity'] == 'error'}


@pytest.mark.slow
def test_validator_finds_no_error(output):
    assert validator_errors(output) == set()


@pytest.mark.slow
@pytest.mark.parametrize('line', BIDSIGNORE)
def test_validator_needs_every_line_of_bidsignore(output, line):
    others = [other for other in BIDSIGNORE if other != line]
    (output / '.bidsignore').write_text('\n'.join(others) + '\n')
    assert validator_errors(output)


@pytest.mark.slow
def test_validator_still_finds_what_does_not_belong(output):
    shutil.copy(output / page_path(parse_t1w(Path(SOURCES[0])).subject), output / 'other.html')
    (output / 'sub-01/anat/sub-01_other_qc.json').write_text('{}')
    errors = ' '.join(validator_errors(output))
    assert 'other.html' in errors
    assert 'sub-01_other_qc.json' in errors
