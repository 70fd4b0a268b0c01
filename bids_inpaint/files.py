"""Files: atomic writing, JSON, hashes, compression."""

import gzip
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePath
from typing import IO, Any

LOGGER = logging.getLogger(__name__)
_MOST_DIGITS = sys.float_info.max_10_exp


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, and rename to `path` if the block succeeds.

    The folder is made if it is missing. The temporary name keeps the extensions, from which
    nibabel and ANTs take the format, and begins with a dot, so that BIDS tools ignore it. If the
    block raises, the temporary file is removed and `path` is unchanged. Jobs may write the same
    file at once: each has its own temporary name, and the last to rename wins.

    Parameters
    ----------
    path : Path
        The file to write or to replace.
    durable : bool
        Whether to sync to disk before the old file is replaced, so that one of the two survives a
        loss of power. This takes time: for files that took hours.

    Yields
    ------
    temporary : Path
        File to write in the block.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{uuid.uuid4().hex[:12]}_{path.name}')
    try:
        yield temporary
        if durable:
            with temporary.open('rb') as stream:
                os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all, and return its path.

    Halves of a character, which JSON may have and UTF-8 not, are escaped.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8', errors='backslashreplace')
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON file, whole or not at all, and return its path.

    Paths become text, NumPy scalars numbers, and NaN and infinity null.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + '\n')


def _plain(value: Any) -> Any:
    """Convert a value to a type of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    number = value.item() if hasattr(value, 'item') else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def decode(content: bytes) -> tuple[str, str]:
    r"""Decode text as editors write it.

    UTF-8, UTF-16 and UTF-32 are told by their bytes, with or without mark. What is none of them is
    taken for Windows-1252.

    Returns
    -------
    text, encoding : str
        `text.encode(encoding)` has the same characters and mark.

    Raises
    ------
    ValueError
        If it is UTF-16 or UTF-32 that ends early, or is damaged.

    Examples
    --------
    >>> decode(b'H\xf4pital')
    ('Hôpital', 'cp1252')

    """
    told = json.detect_encoding(content)
    for encoding in (told, 'cp1252'):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            if not told.startswith('utf-8'):
                raise
    return content.decode('latin-1'), 'latin-1'  # has a character for every byte


def read_text(path: Path) -> str:
    """Read text of any encoding that `decode` knows; warn if it is not Unicode.

    Raises
    ------
    OSError, ValueError
        If it cannot be read.

    """
    text, encoding = decode(path.read_bytes())
    if not encoding.startswith('utf'):
        _warn_of_encoding(path)
    return text


@cache
def _warn_of_encoding(path: Path) -> None:
    """Warn once of a file that is not Unicode."""
    LOGGER.warning(
        '%s must be UTF-8, but is not: read as Windows-1252. If accented letters are wrong, save '
        'it as UTF-8',
        path,
    )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises
    ------
    ValueError
        If it cannot be read, or holds something else; the message names the file.

    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        unfetched = path.is_symlink() and not path.exists()
        reason = 'it is a link whose content was not fetched' if unfetched else error
        msg = f'{path} must be readable JSON: {reason}'
        raise ValueError(msg) from error
    try:
        content = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        found = f'begins with {text[:40]!r}' if text.strip() else 'is empty'
        msg = f'{path} must be readable JSON: {error}; the file {found}'
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f'{path} must hold a JSON object, has a {type(content).__name__}'
        raise ValueError(msg)  # noqa: TRY004 - the caller treats both alike
    return content


def _integer(digits: str) -> int:
    """Read an integer that a float can hold, as all that computes with it needs."""
    number = len(digits.lstrip('-'))
    if number > _MOST_DIGITS:
        msg = f'a number of {number} digits, of at most {_MOST_DIGITS}'
        raise ValueError(msg)
    return int(digits)


def read_object_or_nothing(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object; empty if that fails."""
    try:
        return read_object(path)
    except ValueError:
        return {}


def sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hexadecimal."""
    with path.open('rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def stem(path: PurePath) -> str:
    """Name of a file without its extensions.

    Examples
    --------
    >>> stem(PurePath('sub-01_T1w.nii.gz'))
    'sub-01_T1w'

    """
    return path.name.partition('.')[0]


def copy_image(source: Path, target: Path) -> None:
    """Copy an image, and compress or decompress it as the names require.

    The image is not decoded, so it cannot change. Compressed files have neither time nor name, so
    equal images are equal files.
    """
    with _opened(source, 'rb') as stream, _opened(target, 'wb') as out:
        shutil.copyfileobj(stream, out)


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """Open the bytes of an image; with the fastest compression."""
    with path.open(mode) as stream:
        if path.suffix == '.gz':
            with gzip.GzipFile('', mode, compresslevel=1, fileobj=stream, mtime=0) as unzipped:
                yield unzipped  # type: ignore[misc]
        else:
            yield stream
