import gzip
import json

import nibabel as nb
import numpy as np
import pytest

from bids_inpaint.bids.names import KINDS, derivative_path, sidecar_path
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.interfaces.base import Facts
from bids_inpaint.interfaces.derivatives import SaveDerivative, SaveQuality

SOURCE = 'sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz'
FACTS = [Facts(step='conform', seconds=1.5, similarity=float('nan'))]


@pytest.fixture
def scan(make_dataset):
    return parse_t1w(make_dataset(SOURCE) / SOURCE)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'image.nii'
    data = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype('i2')
    nb.Nifti1Image(data, np.diag([1, 2, 3, 1])).to_filename(path)
    return path


def save(scan, image, tmp_path, **inputs):
    node = SaveDerivative(
        source_file=str(scan.t1w),
        in_file=str(image),
        output_dir=str(tmp_path / 'out'),
        facts=FACTS,
        **inputs,
    )
    return node.run().outputs.out_file


@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
@pytest.mark.parametrize('kind', [kind for kind, what in KINDS.items() if what.spaces])
def test_an_image_is_saved_bit_by_bit_with_its_sidecar(tmp_path, scan, image, kind, extension):
    for space in KINDS[kind].spaces:
        found = save(scan, image, tmp_path, kind=kind, space=space, extension=extension)
        path = tmp_path / 'out' / derivative_path(scan, kind, space=space, extension=extension)
        assert found == str(path)
        content = path.read_bytes()
        content = gzip.decompress(content) if extension == '.nii.gz' else content
        assert content == image.read_bytes()
        sidecar = json.loads((tmp_path / 'out' / sidecar_path(path)).read_text())
        assert sidecar['Sources'] == [f'bids:raw:{SOURCE}']
        assert sidecar['SkullStripped'] is True
        assert sidecar['Description']
        reference = f'bids:raw:{SOURCE}' if space == 'T1w' else 'https://doi.org/'
        assert sidecar['SpatialReference'].startswith(reference)
        assert sidecar['Steps'] == [
            {'step': 'conform', 'similarity': None, 'seconds': 1.5, 'peak_memory_mb': 0.0}
        ]


def test_a_transform_is_saved_as_it_is(tmp_path, scan):
    (tmp_path / 'xfm.txt').write_text('#Insight Transform File V1.0\n')
    found = save(scan, tmp_path / 'xfm.txt', tmp_path, kind='anat2std_xfm')
    assert found.endswith('sub-01_ses-a_run-1_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt')
    with open(found) as stream:  # noqa: PTH123
        assert stream.read() == '#Insight Transform File V1.0\n'
    (sidecar,) = (tmp_path / 'out').rglob('*_xfm.json')
    assert json.loads(sidecar.read_text()).keys() == {'Sources', 'Steps'}


def test_further_fields_are_in_the_sidecar(tmp_path, scan, image):
    save(
        scan, image, tmp_path, kind='brain_mask', metadata={'Type': 'Brain'}, skull_stripped=False
    )
    (sidecar,) = (tmp_path / 'out').rglob('*.json')
    content = json.loads(sidecar.read_text())
    assert content['Type'] == 'Brain'
    assert content['SkullStripped'] is False


def test_a_copy_that_fails_leaves_what_was_there(tmp_path, scan, image, monkeypatch):
    before = save(scan, image, tmp_path, kind='inpainted')
    with open(before, 'rb') as stream:  # noqa: PTH123
        content = stream.read()

    def half(_, target):
        target.write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('bids_inpaint.interfaces.derivatives.copy_image', half)
    with pytest.raises(OSError, match='No space left'):
        save(scan, image, tmp_path, kind='inpainted')
    with open(before, 'rb') as stream:  # noqa: PTH123
        assert stream.read() == content
    assert len(list((tmp_path / 'out/sub-01/ses-a/anat').iterdir())) == 2


def test_sidecars_name_what_else_an_image_was_made_from(tmp_path, scan, image):
    mask = 'bids:lst:sub-01/anat/sub-01_label-lesion_mask.nii'
    for kind, sources in (('inpainted', [mask]), ('anat2std_xfm', [])):
        path = save(scan, image, tmp_path, kind=kind, more_sources=[mask])
        with open(path.split('.')[0] + '.json') as stream:  # noqa: PTH123
            assert json.load(stream)['Sources'] == [f'bids:raw:{SOURCE}', *sources]


def test_it_is_run_again_when_the_graph_is():
    """A derivative that was deleted is to come back; nipype does not look for it."""
    assert SaveDerivative().always_run
    assert SaveQuality().always_run


def test_quality_is_saved_as_numbers(tmp_path, scan):
    numbers = {'lesion_count': np.int64(3), 'outside_correlation': float('nan'), 'model': 'x'}
    node = SaveQuality(source_file=str(scan.t1w), output_dir=str(tmp_path), numbers=numbers)
    with open(node.run().outputs.out_file) as stream:  # noqa: PTH123
        found = json.load(stream)
    assert found == {'lesion_count': 3, 'outside_correlation': None, 'model': 'x'}


def test_the_qc_file_goes_when_another_result_is_saved_and_stays_for_the_same(
    tmp_path, scan, image
):
    quality = tmp_path / 'out' / derivative_path(scan, 'qc')
    save(scan, image, tmp_path, kind='inpainted')
    quality.touch()
    save(scan, image, tmp_path, kind='inpainted')
    assert quality.exists()
    save(scan, image, tmp_path, kind='difference')
    assert not quality.exists()
    quality.touch()
    nb.Nifti1Image(np.ones((5, 6, 7), 'i2'), np.eye(4)).to_filename(image)
    save(scan, image, tmp_path, kind='inpainted')
    assert not quality.exists()
