"""Tables of a dataset, as people write them."""

import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from bids_inpaint.errors import first_of
from bids_inpaint.files import decode

PARTICIPANTS = 'participants.tsv'
_ID = 'participant_id'


@dataclass(frozen=True)
class Table:
    """A table that gives back its lines as they were.

    Attributes
    ----------
    header : str
        First line, with its end.
    lines : tuple of str
        The others, each with its end.
    encoding : str
        Of the file.

    """

    header: str
    lines: tuple[str, ...]
    encoding: str

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without quotes and spaces around them."""
        return cells(self.header)

    def column(self, name: str) -> int:
        """Find the number of a column; letters may be upper case.

        Raises
        ------
        ValueError
            If there is none; the message has those that are there.

        """
        names = [found.casefold() for found in self.columns]
        if name not in names:
            msg = f'it must have a column {name}, separated by tabs; has {first_of(self.columns)}'
            raise ValueError(msg)
        return names.index(name)

    def with_lines(self, lines: Iterable[str]) -> bytes:
        """Content of the file with other lines."""
        return ''.join([self.header, *lines]).encode(self.encoding)


def read_table(path: Path) -> Table:
    """Read a table of any encoding and with any line ends.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, or is empty.

    """
    text, encoding = decode(path.read_bytes())
    # Not str.splitlines, which splits at characters such as U+2028, too.
    header, *lines = io.StringIO(text, newline='') if text.strip() else ['']
    if not header:
        msg = 'it is empty'
        raise ValueError(msg)
    return Table(header, tuple(lines), encoding)


def cells(line: str) -> list[str]:
    """Split a line into cells, without quotes and spaces around them."""
    return [cell.strip().strip('"\'').strip() for cell in line.removeprefix('\ufeff').split('\t')]


class People:
    """Participants of a dataset, and whom an id of a table means.

    Parameters
    ----------
    names : iterable of str
        With 'sub-'.

    Examples
    --------
    >>> people = People(['sub-01', 'sub-10', 'sub-AB001'])
    >>> [sorted(people.meant_by(text)) for text in ('sub-01', '1', 'ab_1', '7')]
    [['sub-01'], ['sub-01'], ['sub-AB001'], []]

    """

    def __init__(self, names: Iterable[str]) -> None:
        self._alike = defaultdict(set)
        for name in names:
            self._alike[_plain(name)].add(name)

    def exactly(self, text: str) -> str | None:
        """Participant of this name, with or without 'sub-'; None if there is none."""
        found = self._alike.get(_plain(text), ())
        return next((name for name in (text, f'sub-{text}') if name in found), None)

    def meant_by(self, text: str) -> set[str]:
        """Participants that an id may mean.

        Without 'sub-', leading zeros, separators, or with letters of another case; several if they
        differ in these alone.
        """
        exact = self.exactly(text)
        return {exact} if exact else set(self._alike.get(_plain(text), ()))


def _plain(text: str) -> str:
    """Participant without what people leave out or add; '1.0' is what spreadsheets make of 1."""
    bare = re.sub(r'^sub(ject)?[-_ ]*|\.0+$|[-_\s]', '', text.casefold())
    return re.sub(r'(?<!\d)0+(?=\d)', '', bare)


def lines_of(table: Table, kept: Collection[str], people: People) -> list[str]:
    """Lines of some participants of participants.tsv, and blank ones.

    Parameters
    ----------
    table : Table
        participants.tsv.
    kept : collection of str
        Participants, with 'sub-'.
    people : People
        All of the dataset.

    Raises
    ------
    ValueError
        If other lines may be of these participants, too.

    """
    column = table.column(_ID)
    found: set[str] = set()
    lines, strange, broken = [], [], []
    for line in table.lines:
        row = cells(line)
        text = row[column] if column < len(row) else ''
        meant = people.meant_by(text)
        found |= meant
        if not line.strip() or not meant.isdisjoint(kept):
            lines.append(line)
        elif not people.exactly(text):
            strange.append(text)
            broken += [text] if len(row) != len(table.columns) else []
    lacking = sorted(set(kept) - found)
    if strange and lacking:
        msg = (
            f'ids must be names of participants: there is no line for {first_of(lacking)}, but '
            f'there are lines for {first_of(strange)}'
        )
        raise ValueError(msg)
    if broken:
        msg = f'each line must have as many cells as the first; that of {broken[0]!r} does not'
        raise ValueError(msg)
    return lines


def columns_of(table: Table, people: People) -> dict[str, dict[str, str]]:
    """Columns of participants.tsv for each participant whom an id means, or for the id itself.

    Raises
    ------
    ValueError
        If there is no column of ids.

    """
    column = table.column(_ID)
    rows = [cells(line) for line in table.lines if line.strip()]
    return {
        name: {
            title: value
            for title, value in zip(table.columns, row, strict=False)
            if title != table.columns[column]
        }
        for row in rows
        if column < len(row) and row[column]
        for name in people.meant_by(row[column]) or {row[column]}
    }
