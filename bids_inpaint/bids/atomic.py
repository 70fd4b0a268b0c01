"""Write files so that no one ever sees half of one."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename to `path` once the block has ended well.

    The folder is made if it is missing. The temporary name keeps the extensions, which tell
    nibabel and ANTs the format, and begins with a dot, so that BIDS tools pass it over. If the
    block raises, the temporary file is removed and `path` is as it was. Jobs that write the
    same file at once do not disturb each other: each has its own temporary name, and the last
    to rename wins.

    Parameters
    ----------
    path : Path
        The file to write or to replace.

    Yields
    ------
    temporary : Path
        Where the block is to write.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{uuid.uuid4().hex[:12]}_{path.name}')
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file atomically, and return its path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
    return path
