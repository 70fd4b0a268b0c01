"""Copy images between their compressed and their plain form."""

import shutil
from pathlib import Path

from nibabel.openers import ImageOpener


def copy_bytes(source: Path, target: Path) -> None:
    """Copy a file, compressed or not as the names of both say by `.gz`.

    The bytes of an image are not decoded, so that nothing about it can change; the compressed
    file holds no time or name, so that equal images are equal files.
    """
    with ImageOpener(str(source), 'rb') as stream, ImageOpener(str(target), 'wb') as out:
        shutil.copyfileobj(stream, out)
