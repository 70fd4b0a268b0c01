"""Which scans are finished."""

import json

import pytest
from planned import planned_paths

from bids_inpaint import __version__
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.provenance import generated_by
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.files import sha256
from bids_inpaint.run.plan import is_done

SOURCE = 'sub-01/anat/sub-01_T1w.nii.gz'
PARAMETERS = {'random_seed': 0, 'output_spaces': ('T1w',), 'lesion_threshold': 0.25}


@pytest.fixture
def scan(make_dataset):
    scan = parse_t1w(make_dataset(SOURCE) / SOURCE)
    scan.t1w.write_bytes(b'image')
    return scan


@pytest.fixture
def planned(scan):
    return planned_paths(scan, output_spaces=('T1w',), lesion_map=True)


@pytest.fixture
def out(scan, planned, tmp_path):
    """Derivatives of which nothing is left to do."""
    sidecar = {
        'GeneratedBy': [generated_by(PARAMETERS)],
        'Steps': [
            {'step': 'conform', 'source_sha256': sha256(scan.t1w)},
            {'step': 'other'},
        ],
    }
    (tmp_path / 'out/sub-01/anat').mkdir(parents=True)
    for path in planned:
        (tmp_path / 'out' / path).touch()
        (tmp_path / 'out' / sidecar_path(path)).write_text(json.dumps(sidecar))
    quality = {'version': __version__, 'problems': 'none'}
    (tmp_path / 'out' / derivative_path(scan, 'qc')).write_text(json.dumps(quality))
    return tmp_path / 'out'


def done(scan, out, planned, *, parameters=PARAMETERS, accept_problems=True):
    return is_done(scan, out, planned, parameters=parameters, accept_problems=accept_problems)


def edit(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_done(scan, out, planned):
    assert done(scan, out, planned)
    assert done(scan, out, planned, accept_problems=False)


def test_each_file_counts(scan, out, planned):
    for path in [*planned, *map(sidecar_path, planned)]:
        content = (out / path).read_bytes()
        (out / path).unlink()
        assert not done(scan, out, planned), path
        (out / path).write_bytes(content)
    assert done(scan, out, planned)


def test_each_sidecar_counts(scan, out, planned):
    for path in map(sidecar_path, planned):
        content = (out / path).read_text()
        for spoilt in ('', '[]', '{}', content.replace(__version__, '0.0.9')):
            (out / path).write_text(spoilt)
            assert not done(scan, out, planned), (path, spoilt)
        (out / path).write_text(content)
    assert done(scan, out, planned)


def test_another_source(scan, out, planned):
    scan.t1w.write_bytes(b'other')
    assert not done(scan, out, planned)
    scan.t1w.unlink()
    assert not done(scan, out, planned)


@pytest.mark.parametrize(
    'changed', [{'random_seed': 1}, {'lesion_threshold': 0.3}, {'flip_averaging': True}]
)
def test_other_parameters(scan, out, planned, changed):
    assert not done(scan, out, planned, parameters={**PARAMETERS, **changed})


def test_problems_count_where_they_are_an_error(scan, out, planned):
    edit(out / derivative_path(scan, 'qc'), problems='registration failed')
    assert done(scan, out, planned)
    assert not done(scan, out, planned, accept_problems=False)
