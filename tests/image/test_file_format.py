import bz2
import gzip
import lzma

import nibabel as nb
import numpy as np
import pytest
from source_images import ISOTROPIC, stored_values

from bids_inpaint.image.file_format import recognise

RAW = nb.Nifti1Image(stored_values('i2', ISOTROPIC[0]), np.diag([4.0, 4, 4, 1])).to_bytes()
KEY = b'MD5E-s3011415--0ccac146d107ecea40039e0fb1e1806c.nii.gz'
# What the file holds, a word of what it is, a word of what to do.
MISTAKEN = {
    'unlocked annex': (b'/annex/objects/' + KEY + b'\n', 'git-annex', 'datalad get'),
    'annex link as text': (
        b'../../.git/annex/objects/f1/2k/' + KEY + b'/' + KEY, 'git-annex', 'datalad get',
    ),
    'lfs': (
        b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3\n',
        'Git LFS', 'git lfs pull',
    ),
    'web page': (b'<!DOCTYPE html><html>403 Forbidden</html>', 'web page', 'Download'),
    'web page of an editor': (b'\xef\xbb\xbf\r\n <HTML></HTML>', 'web page', 'Download'),
    'answer of a store': (b'<?xml version="1.0"?><Error><Code>AccessDenied', 'page', 'Download'),
    'json': (b'{"message": "Not Found"}', 'JSON', 'Download'),
    'not compressed': (RAW, 'not compressed', 'Name it .nii'),
    'compressed twice': (gzip.compress(gzip.compress(RAW)), 'twice', 'Decompress'),
    'empty': (b'', 'empty file', 'again'),
    'zeros': (bytes(2000), 'only zero bytes', 'again'),
    'dicom': (bytes(128) + b'DICM' + bytes(200), 'DICOM', 'dcm2niix'),
    'text': (b'not an image\n' * 50, 'text', 'again'),
    'picture': (b'\x89PNG\r\n\x1a\n' + bytes(500), 'picture', 'image itself'),
    'bzip2': (bz2.compress(RAW), 'bzip2', 'Decompress'),
    'xz': (lzma.compress(RAW), 'xz', 'Decompress'),
    'page inside gzip': (gzip.compress(b'<html></html>'), 'web page', 'Download'),
}  # fmt: skip


@pytest.mark.parametrize('kind', MISTAKEN)
def test_a_file_under_the_name_of_an_image_is_told_for_what_it_is(tmp_path, kind):
    content, what, advice = MISTAKEN[kind]
    path = tmp_path / 'sub-01_T1w.nii.gz'
    path.write_bytes(content)
    found = recognise(path)
    assert found is not None
    assert what in found
    assert advice in found


def test_a_compressed_image_named_as_if_it_was_not(tmp_path):
    (tmp_path / 'a.nii').write_bytes(gzip.compress(RAW))
    assert 'Name it .nii.gz' in str(recognise(tmp_path / 'a.nii'))


@pytest.mark.parametrize('kind', [nb.Nifti1Image, nb.Nifti2Image])
@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('extension', ['.nii', '.nii.gz'])
def test_images_are_left_alone(tmp_path, kind, order, extension):
    header = kind.header_class(endianness=order)
    img = kind(stored_values('i2', ISOTROPIC[0]), np.diag([4.0, 4, 4, 1]), header)
    img.to_filename(tmp_path / f'a{extension}')
    assert recognise(tmp_path / f'a{extension}') is None
    if extension == '.nii':
        (tmp_path / 'a.nii').rename(tmp_path / 'b.nii.gz')
        assert 'not compressed' in str(recognise(tmp_path / 'b.nii.gz'))
