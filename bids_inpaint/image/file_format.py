"""Tell what a file is that has the name of a NIfTI image, but is none.

Data management, servers and converters leave pointers, web pages and other formats under such
names. To call all of them damaged would not help.
"""

import gzip
import re
from pathlib import Path

_START_BYTES = 1024
_GZIP = b'\x1f\x8b'
# What the file is, and what to do, by what its first bytes match; the first that matches counts.
_FORMATS = {
    rb'$': 'an empty file of 0 bytes. Get or download it again',
    rb'[^\n]{0,300}/annex/objects/': (
        'a pointer of git-annex in place of the content. Get the content '
        '(`datalad get` or `git annex get`)'
    ),
    rb'version \S+/spec/v\d+\s': (
        'a pointer of Git LFS in place of the content. Get the content (`git lfs pull`)'
    ),
    rb'(\xef\xbb\xbf)?\s*<': 'a web page, as servers send for errors. Download it again',
    rb'(\xef\xbb\xbf)?\s*[{\[]': 'JSON, as servers send for errors. Download it again',
    rb'.{128}DICM': 'DICOM. Convert it (for instance with dcm2niix)',
    rb'\x00\x05\x16\x07': "a file of macOS's Finder, not the image. Delete it",
    rb'\x89HDF\r\n': 'HDF5 or MINC. Convert it to NIfTI',
    rb'NRRD\d': 'NRRD. Convert it to NIfTI',
    rb'PK\x03\x04': 'a zip archive. Unpack it',
    rb'BZh\d': 'a file compressed with bzip2. Decompress it',
    rb'\xfd7zXZ': 'a file compressed with xz. Decompress it',
    rb'\x28\xb5\x2f\xfd': 'a file compressed with zstd. Decompress it',
    rb'.{257}ustar': 'a tar archive. Unpack it',
    rb'\x89PNG|\xff\xd8\xff|GIF8|%PDF': 'a picture or document. Get the image itself',
    rb'\x00+$': 'only zero bytes at its start, as a failed copy leaves them. Copy it again',
    rb'[\t\n\r\x20-\x7e]+$': 'text. Get or download the image again',
}
# Size of the header, then the magic number; in either byte order.
_NIFTI = re.compile(
    rb'(\x5c\x01\0\0|\0\0\x01\x5c).{340}(n\+1|ni1)\0|(\x1c\x02\0\0|\0\0\x02\x1c)n(\+|i)2\0',
    re.DOTALL,
)


def recognise(path: Path) -> str | None:
    """Say what a file is, and what to do, if it is not what its name says.

    Parameters
    ----------
    path : Path
        Named `.nii` or `.nii.gz`.

    Returns
    -------
    str or None
        None if it may be a NIfTI image. Only its start is read.

    Raises
    ------
    OSError, EOFError, zlib.error
        If that cannot be read.

    """
    with path.open('rb') as stream:
        start = stream.read(_START_BYTES)
    zipped = start.startswith(_GZIP)
    if path.suffix == '.gz' and _NIFTI.match(start):
        return 'one that is not compressed. Name it .nii, or compress it with gzip'
    if path.suffix == '.nii' and zipped:
        return 'one compressed with gzip. Name it .nii.gz, or decompress it'
    if zipped:
        with gzip.open(path) as unzipped:
            start = unzipped.read1(_START_BYTES)
        if start.startswith(_GZIP):
            return 'one compressed twice with gzip. Decompress it once'
    return next((what for first, what in _FORMATS.items() if re.match(first, start, re.S)), None)
