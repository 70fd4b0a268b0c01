"""Damage done to the bytes of a file at random."""

import re
from collections.abc import Sequence

import numpy as np

_NUMBERS = [
    b'0', b'-1', b'1e308', b'-1e999', b'1e-320', b'NaN', b'Infinity', b'null', b'true', b'""',
    b'[]', b'{}', b'9223372036854775808', b'1' * 400, b'1' * 5000, b'\xc2\xb2', b'0x10', b'1_000',
]  # fmt: skip
_PIECES = [
    b'\xef\xbb\xbf', b'\xff\xfe', b'\0', b'\xff', b'\xed\xa0\x80', b'\\ud800', b'\xe2\x80\xa8',
    b'[' * 100_000, b'{"a":' * 50_000, b'"', b'\t', b'\r', b'\n', b'%s%(x)s', b'../' * 200,
    b'&a [*a, *a]', b'!!python/object/apply:os.abort []', b'\\N', b'*', b'x' * 100_000,
]  # fmt: skip
_BITS = [0, 1, -1, 2**15 - 1, 2**31 - 1, 2**62, -(2**15), -(2**31), -(2**63)]
_FLOATS = [0.0, -1.0, 1e-30, 1e38, np.inf, -np.inf, np.nan, 352.0]
_HEADER_BYTES = 600


def mutate(content: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Damage a file in one to four ways; `others` are files to take pieces from."""
    for _ in range(rng.integers(1, 5)):
        way = rng.integers(7)
        if way == 0:
            content = _flip(content, rng)
        elif way == 1:
            content = _cut(content, rng)
        elif way == 2:
            content = _insert(content, _piece(content, rng), rng)
        elif way == 3:
            content = _insert(content, _piece(others[rng.integers(len(others))], rng), rng)
        elif way == 4:
            content = _swap_number(content, rng)
        elif way == 5:
            content = _overwrite(content, rng)
        else:
            content = _insert(content, _PIECES[rng.integers(len(_PIECES))], rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    """A place in a file: half of them near its start, where headers are."""
    end = min(len(content), _HEADER_BYTES) if rng.random() < 0.5 else len(content)
    return int(rng.integers(end + 1))


def _piece(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes of a file."""
    start = _place(content, rng)
    return content[start : start + int(2 ** rng.uniform(0, 14))]


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip up to eight bits."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if place := _place(content, rng):
            damaged[place - 1] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    """Take bytes out, or all to the end."""
    start = _place(content, rng)
    end = len(content) if rng.random() < 0.3 else start + int(2 ** rng.uniform(0, 10))
    return content[:start] + content[end:]


def _insert(content: bytes, piece: bytes, rng: np.random.Generator) -> bytes:
    """Put bytes in."""
    place = _place(content, rng)
    return content[:place] + piece + content[place:]


def _swap_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Put another number in place of one that is written in digits."""
    found = [match.span() for match in re.finditer(rb'-?\d[\d.e+-]*', content[:20_000])]
    if not found:
        return content
    start, end = found[rng.integers(len(found))]
    return content[:start] + _NUMBERS[rng.integers(len(_NUMBERS))] + content[end:]


def _overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Put another number in place of some bytes, in either order."""
    size = int(rng.choice([2, 4, 8]))
    order = str(rng.choice(['<', '>']))
    if size > 2 and rng.random() < 0.4:
        number = np.array(_FLOATS[rng.integers(len(_FLOATS))], f'{order}f{size}').tobytes()
    else:
        value = _BITS[rng.integers(len(_BITS))] & (2 ** (8 * size) - 1)
        number = value.to_bytes(size, 'little' if order == '<' else 'big')
    place = _place(content, rng) // size * size
    return content[:place] + number + content[place + size :]
