"""The app on images in every format, unit and place of zero; and on files that are none."""

import gzip
import json
import struct

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import grid_of

from bids_inpaint.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]


@pytest.fixture(autouse=True)
def no_pages(monkeypatch):
    """Pages take longer than all else, and have tests of their own."""
    monkeypatch.setattr('bids_inpaint.run.pages.report_run', lambda *_: [])


@pytest.fixture
def dataset(tiny_dataset):
    """Maker of T1w images in a dataset; returns their paths, without those that were there."""
    for path in tiny_dataset.glob('sub-*/**/*_T1w.nii*'):
        path.unlink()

    def make(label, extension='.nii.gz'):
        path = tiny_dataset / f'sub-{label}/anat/sub-{label}_T1w{extension}'
        return tiny_app.write_head(path, grid_of('LAS'), dtype='f4', noise=0)

    return make


def product(tmp_path, label):
    return nb.load(tmp_path / f'out/sub-{label}/anat/sub-{label}_desc-inpainted_T1w.nii.gz')


def steps_of(tmp_path, label):
    path = tmp_path / f'out/sub-{label}/anat/sub-{label}_desc-inpainted_T1w.json'
    return {step['step']: step for step in json.loads(path.read_text())['Steps']}


def quality(tmp_path, label):
    path = tmp_path / f'out/sub-{label}/anat/sub-{label}_desc-inpaint_qc.json'
    return json.loads(path.read_text())


def reasons(capsys):
    """What the table of failed scans says, by participant."""
    rows = [row.split(maxsplit=2) for row in capsys.readouterr().err.splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3 and row[0][:4] == 'sub-'}


def pointer(path):
    path.write_bytes(b'/annex/objects/MD5E-s3--0ccac146.nii.gz\n')


def lfs(path):
    path.write_bytes(b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3\n')


def web_page(path):
    path.write_bytes(b'<!DOCTYPE html><html><body>403 Forbidden</body></html>')


def not_compressed(path):
    path.write_bytes(gzip.decompress(path.read_bytes()))


def petabytes(path):
    """NIfTI-2 of 200,000 voxels a side: 28 PiB."""
    img = nb.load(path)
    nb.Nifti2Image(np.asarray(img.dataobj), img.affine).to_filename(path)
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into('<3q', content, 24, *[200_000] * 3)
    path.write_bytes(gzip.compress(content))


def no_rotation(path):
    """A qform alone, whose quaternion is longer than 1."""
    img = nb.load(path)
    img.set_sform(None, 0)
    img.to_filename(path)
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into('<f', content, 256, 2.0)
    path.write_bytes(gzip.compress(content))


def brain_z_scored(path):
    """Over itself, with a background of 0."""
    img = nb.load(path)
    values = img.get_fdata()
    inside = values > 0
    values[inside] = (values[inside] - values[inside].mean()) / values[inside].std()
    nb.Nifti1Image(values.astype('f4'), img.affine).to_filename(path)


REFUSED = {
    'annex': (pointer, 'git-annex'),
    'lfs': (lfs, 'git lfs pull'),
    'page': (web_page, 'a web page'),
    'raw': (not_compressed, 'not compressed'),
    'petabytes': (petabytes, 'a header of 200000 x 200000 x 200000 voxels'),
    'quaternion': (no_rotation, 'quaternion'),
    'zscored': (brain_z_scored, 'background is darker than the brain, found values'),
}


def test_what_cannot_be_processed_is_refused_at_the_first_step(dataset, linear, tmp_path, capsys):
    dataset('good')
    with (tmp_path / 'raw/sub-good/anat/sub-good_T1w.nii.gz').open('ab') as stream:
        stream.write(b'bytes behind the member')
    for label, (spoil, _) in REFUSED.items():
        spoil(dataset(label))
    assert main(linear()) == 1
    told = reasons(capsys)
    for label, (_, reason) in REFUSED.items():
        step, text = told[f'sub-{label}']
        assert step == 'conform'
        assert reason in text
    assert quality(tmp_path, 'good')['problems'] == 'none'


KINDS = {
    'n1little': (nb.Nifti1Image, '<i2'),
    'n1big': (nb.Nifti1Image, '>i2'),
    'n2little': (nb.Nifti2Image, '<f4'),
    'n2big': (nb.Nifti2Image, '>f8'),
    'n2int64': (nb.Nifti2Image, '<i8'),
    'n1uint64': (nb.Nifti1Image, '>u8'),
}


def test_a_product_is_the_kind_of_file_that_its_source_is(dataset, linear, tmp_path):
    for label, (kind, dtype) in KINDS.items():
        path = dataset(label)
        img = nb.load(path)
        header = kind.header_class(endianness=dtype[0])
        header.set_data_dtype(dtype)
        kind(np.rint(img.get_fdata()).astype(dtype), img.affine, header).to_filename(path)
    assert main(linear()) == 0
    for label, (kind, dtype) in KINDS.items():
        source = nb.load(tmp_path / f'raw/sub-{label}/anat/sub-{label}_T1w.nii.gz')
        for name in ('desc-inpainted_T1w', 'desc-difference_T1w', 'desc-change_mask'):
            found = nb.load(tmp_path / f'out/sub-{label}/anat/sub-{label}_{name}.nii.gz')
            assert type(found) is kind
            assert found.header.endianness == dtype[0]
            np.testing.assert_array_equal(found.affine, source.affine)
        assert product(tmp_path, label).get_data_dtype() == np.dtype(dtype)
        assert quality(tmp_path, label)['problems'] == 'none'
        assert quality(tmp_path, label)['lesion_volume_mm3'] > 500


def test_zooms_are_those_of_the_affine(dataset, linear, tmp_path):
    path = dataset('01')
    img = nb.load(path)
    zooms = nb.affines.voxel_sizes(img.affine)
    img.header['pixdim'][1:4] = 1
    img.to_filename(path)
    assert main(linear()) == 0
    assert steps_of(tmp_path, '01')['conform']['zooms_mm'] == pytest.approx(zooms, abs=1e-4)


def test_volumes_on_the_template_grid_say_so(dataset, linear, tmp_path):
    dataset('01')
    assert main(linear()) == 0
    found = list((tmp_path / 'out').rglob('*_space-MNI152NLin2009aSym_*.nii.gz'))
    assert len(found) >= 6
    for path in found:
        header = nb.load(path).header
        assert (header['qform_code'], header['sform_code']) == (4, 4)
        np.testing.assert_allclose(header.get_qform(), header.get_sform())


SHIFTS = {
    'plain': lambda x: x,
    'ct': lambda x: x - 1000,
    'pedestal': lambda x: x + 1000,
    'mp2rage': lambda x: x / x.max() - 0.5,
    'zscored': lambda x: (x - x.mean()) / x.std(),
    'marked': lambda x: np.where(x > 0, x, -1000),
}


def test_zero_may_be_anywhere_and_the_product_keeps_it(dataset, linear, tmp_path):
    sources = {}
    for label, change in SHIFTS.items():
        path = dataset(label)
        img = nb.load(path)
        sources[label] = change(img.get_fdata()).astype('f4')
        nb.Nifti1Image(sources[label], img.affine).to_filename(path)
    assert main(linear()) == 0
    plain = product(tmp_path, 'plain').get_fdata() - sources['plain']
    assert np.abs(plain).max() > 50
    for label, source in sources.items():
        gain = np.ptp(source) / np.ptp(sources['plain']) if label != 'marked' else 1
        change = product(tmp_path, label).get_fdata() - source
        np.testing.assert_allclose(change / gain, plain, atol=0.01)
        conform = steps_of(tmp_path, label)['conform']
        if label == 'marked':
            assert 'zero' not in conform
            assert conform['background'] == -1000
        elif label == 'plain':
            assert not {'zero', 'background'} & conform.keys()
        else:
            assert conform['zero'] == pytest.approx(float(source.min()), abs=1e-3)


def test_the_unit_does_not_matter(dataset, linear, tmp_path):
    factors = {'plain': 1.0, 'small': 2.0**-20, 'large': 2.0**20, 'tiny': 1e-6, 'huge': 1e6}
    for label, factor in factors.items():
        path = dataset(label)
        img = nb.load(path)
        values = np.asarray(img.dataobj) * np.float32(factor)
        nb.Nifti1Image(values, img.affine).to_filename(path)
    assert main(linear()) == 0
    plain = np.asarray(product(tmp_path, 'plain').dataobj)
    volume = quality(tmp_path, 'plain')['change_volume_mm3']
    for label, factor in factors.items():
        found = np.asarray(product(tmp_path, label).dataobj)
        if np.log2(factor).is_integer():
            np.testing.assert_array_equal(found, plain * np.float32(factor))
        changed = quality(tmp_path, label)['change_volume_mm3']
        assert changed == pytest.approx(volume, rel=0.01)
