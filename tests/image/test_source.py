import gzip
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_images import ISOTROPIC, make_affine, stored_values

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.native import conform
from bids_inpaint.image.source import read_source


def write_nifti(path, data, affine=None, **fields):
    affine = make_affine('LAS', *ISOTROPIC) if affine is None else affine
    img = nb.Nifti1Image(data, affine)
    img.set_sform(affine, 1)
    img.set_qform(affine, 1)
    for name, value in fields.items():
        img.header[name] = value
    img.to_filename(path)


def good_values():
    return stored_values('f4', ISOTROPIC[0])


def damage_truncated(path):
    write_nifti(path, good_values())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_corrupt(path):
    write_nifti(path, good_values())
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
    path.write_bytes(content)


def damage_uncompressed(path):
    """A truncated .nii, under the name that tells nibabel so."""
    write_nifti(path, good_values())
    path.write_bytes(path.read_bytes()[:5000])


def damage_size(path):
    write_nifti(path, good_values())
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into('<3h', content, 42, 32767, 32767, 32767)
    path.write_bytes(gzip.compress(content))


def with_values(value):
    def make(path):
        data = good_values().astype(np.float64)
        data[3, 4, 5] = value
        write_nifti(path, data)

    return make


def with_affine(change, sform_code=1):
    def make(path):
        affine = make_affine('LAS', *ISOTROPIC)
        change(affine)
        img = nb.Nifti1Image(good_values(), None)
        img.header['sform_code'] = sform_code
        for name, row in zip('xyz', affine, strict=False):
            img.header[f'srow_{name}'] = row
        img.to_filename(path)

    return make


def sheared(affine):
    affine[:3, 0] += 0.1 * affine[:3, 1]


def in_metres(affine):
    affine[:3] /= 1000


def flattened(affine):
    affine[:3, 0] = 0


def unknown(affine):
    affine[0, 0] = np.nan


RGB = np.dtype([('R', 'u1'), ('G', 'u1'), ('B', 'u1')])
BAD = {
    'truncated gzip': (damage_truncated, 'whole NIfTI image', 'damaged'),
    'corrupt gzip': (damage_corrupt, 'whole NIfTI image', 'damaged'),
    'size': (damage_size, 'whole NIfTI image', 'a header of 32767 x 32767 x 32767 voxels'),
    'too large': (with_values(1e300), 'finite values', '1 voxels with NaN or infinity'),
    'text': (lambda path: path.write_text('not an image\n' * 50), 'NIfTI image', 'text'),
    'picture': (
        lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(500)), 'NIfTI image', 'picture',
    ),
    'zero bytes': (lambda path: path.touch(), 'NIfTI image', 'empty file'),
    'four dimensions': (
        lambda path: write_nifti(path, np.ones((30, 27, 26, 2), 'f4')),
        'three dimensions', '(30, 27, 26, 2)',
    ),
    'two dimensions': (
        lambda path: write_nifti(path, np.ones((30, 27), 'f4')), 'three dimensions', '(30, 27)',
    ),
    'one slice': (
        lambda path: write_nifti(path, np.ones((30, 27, 1), 'f4')), 'three dimensions', '27, 1)',
    ),
    'not a number': (with_values(np.nan), 'finite values', '1 voxels with NaN'),
    'infinite': (with_values(-np.inf), 'finite values', '1 voxels with NaN or infinity'),
    'constant': (
        lambda path: write_nifti(path, np.full(ISOTROPIC[0], 7, 'f4')),
        'values that differ', 'the value 7',
    ),
    'empty': (
        lambda path: write_nifti(path, np.zeros(ISOTROPIC[0], 'i2')),
        'values that differ', 'the value 0',
    ),
    'no affine': (
        with_affine(lambda _: None, sform_code=0), 'with a code above 0', 'neither',
    ),
    'flat affine': (with_affine(flattened), 'can be inverted', '0.'),
    'affine not a number': (with_affine(unknown), 'can be inverted', 'nan'),
    'in metres': (with_affine(in_metres), 'field of view of at least 100 mm', '0.12'),
    'sheared': (with_affine(sheared), 'right angles', '0.0995'),
    'thick voxels': (
        lambda path: write_nifti(
            path, np.random.default_rng(0).random((30, 27, 26), 'f4'), np.diag([4, 4, 5.5, 1])
        ),
        'voxels of at most 5 mm', '4 x 4 x 5.5 mm',
    ),
    'small field of view': (
        lambda path: write_nifti(
            path, np.random.default_rng(0).random((24, 27, 26), 'f4'), np.diag([4, 4, 4, 1])
        ),
        'at least 100 mm', '96 x 108 x 104 mm',
    ),
    'complex': (
        lambda path: write_nifti(path, np.ones(ISOTROPIC[0], 'c8')), 'real numbers', 'complex64',
    ),
    'colours': (
        lambda path: write_nifti(path, np.zeros(ISOTROPIC[0], RGB)), 'real numbers', 'R',
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_a_bad_image_is_refused_by_name_requirement_and_finding(tmp_path, case):
    make, required, found = BAD[case]
    path = tmp_path / 'sub-01_T1w.nii.gz'
    make(path)
    with pytest.raises(BidsInpaintError) as error:
        read_source(path)
    message = str(error.value)
    assert message.startswith(f'{path}: ')
    before, after = message.split(', found ')
    assert required in before
    assert found in after


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('number', [0, 8])
def test_a_number_of_dimensions_that_nifti_lacks_is_refused(tmp_path, order, number):
    header = nb.Nifti1Header(endianness=order)
    data = np.random.default_rng(0).random((60, 60, 60), dtype=np.float32)
    path = tmp_path / 'sub-01_T1w.nii'
    nb.Nifti1Image(data, np.diag([2.0, 2, 2, 1]), header).to_filename(path)
    content = bytearray(path.read_bytes())
    content[40:42] = np.array(number, f'{order}i2').tobytes()
    path.write_bytes(content)
    with pytest.raises(BidsInpaintError, match='expected a NIfTI image, found not one'):
        read_source(path)


def test_the_largest_voxels_and_least_field_are_taken_whatever_is_rounded(tmp_path):
    axes = nb.eulerangles.euler2mat(0.3, -0.2, 0.5) * 5
    affine = nb.affines.from_matvec(axes, [-50, -50, -50])
    zooms = nb.affines.voxel_sizes(affine.astype('f4').astype(float))
    assert zooms.max() > 5 > zooms.min()
    write_nifti(tmp_path / 'a.nii', np.arange(8000, dtype='i2').reshape(20, 20, 20), affine)
    assert read_source(tmp_path / 'a.nii').shape == (20, 20, 20)


def test_a_truncated_uncompressed_image_is_refused(tmp_path):
    damage_uncompressed(tmp_path / 'a.nii')
    with pytest.raises(BidsInpaintError, match=r'a\.nii: expected a whole NIfTI image'):
        read_source(tmp_path / 'a.nii')


def test_another_format_is_refused(tmp_path):
    nb.MGHImage(good_values(), np.eye(4)).to_filename(tmp_path / 'a.mgz')
    with pytest.raises(BidsInpaintError, match='the format MGHImage'):
        read_source(tmp_path / 'a.mgz')


def test_a_file_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / 'a.nii'
    with pytest.raises(BidsInpaintError, match=f'^{re.escape(str(path))}: expected a file'):
        read_source(path)
    path.symlink_to('.git/annex/objects/a.nii')
    with pytest.raises(BidsInpaintError, match=r'link.*DataLad'):
        read_source(path)


def test_an_unreadable_file_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / 'a.nii.gz'
        write_nifti(path, good_values())
        path.chmod(0o000)
        code = (
            'import os, sys\n'
            'from pathlib import Path\n'
            'from bids_inpaint.image.source import read_source\n'
            'if os.getuid() == 0:\n'
            '    os.setuid(65534)\n'
            'read_source(Path(sys.argv[1]))\n'
        )
        result = subprocess.run(
            [sys.executable, '-c', code, path], capture_output=True, text=True, check=False
        )
    last = result.stderr.splitlines()[-1]
    assert last.startswith('bids_inpaint.errors.BidsInpaintError')
    assert f'{path}: expected a readable file, found one that cannot be read' in last


# A signalling not-a-number in the affine, as nibabel reads it.
@pytest.mark.filterwarnings('ignore:invalid value encountered in cast:RuntimeWarning')
@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 351), value=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused_but_nothing_else(place, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.nii'
        write_nifti(path, np.arange(26 * 26 * 26, dtype='i2').reshape(26, 26, 26))
        content = bytearray(path.read_bytes())
        content[place] = value
        path.write_bytes(content)
        try:
            img = read_source(path)
        except BidsInpaintError as error:
            assert str(error).startswith(f'{path}: ')  # noqa: PT017
        else:
            assert np.isfinite(conform(img).data).all()
