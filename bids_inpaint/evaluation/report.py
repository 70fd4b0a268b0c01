"""Tables as TSV and Markdown."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_inpaint.files import write_text

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    name : str
        Of its files.
    title : str
        What it shows, in a few words.
    rows : sequence of dict
        Column to value; the columns of a row that has none of a value stay empty.
    notes : sequence of str
        Sentences below it: definitions, and what was left out and why.

    """

    name: str
    title: str
    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Columns of all rows, in the order in which they first come."""
        return list(dict.fromkeys(column for row in self.rows for column in row))


def write_table(table: Table, folder: Path) -> str:
    """Write `NAME.tsv` and `NAME.md` into a folder, and return the Markdown.

    The notes of a table without rows say why; an old TSV is removed.
    """
    tsv = folder / f'{table.name}.tsv'
    if table.rows:
        write_text(tsv, to_tsv(table))
    else:
        tsv.unlink(missing_ok=True)
    markdown = to_markdown(table)
    write_text(folder / f'{table.name}.md', markdown)
    return markdown


def to_tsv(table: Table) -> str:
    """All digits; `n/a` where there is no value, as BIDS has it."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter='\t', lineterminator='\n')
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_exact(row.get(column)) for column in table.columns])
    return stream.getvalue()


def to_markdown(table: Table) -> str:
    """Write a table as Markdown, with four significant digits."""
    lines = [f'### {table.title}', '']
    if table.rows:
        lines += [_line(table.columns), _line(['---'] * len(table.columns))]
        lines += [_line([_short(row.get(c)) for c in table.columns]) for row in table.rows]
        lines.append('')
    lines += [f'- {note}' for note in table.notes]
    return '\n'.join(lines).rstrip() + '\n'


def mean_and_sd(values: Iterable[float]) -> tuple[float, float]:
    """Mean, and standard deviation of a sample; NaN where there are too few values."""
    numbers = [float(v) for v in values]
    if not numbers:
        return float('nan'), float('nan')
    if not all(math.isfinite(v) for v in numbers):
        return float(np.mean(numbers)), float('nan')
    sd = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else float('nan')
    return float(np.mean(numbers)), sd


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _exact(value: Any) -> str:
    return 'n/a' if _missing(value) else str(value)


def _short(value: Any) -> str:
    """Round a number; correlations near 1 keep their digits."""
    if _missing(value):
        return ''
    if not isinstance(value, float) or math.isinf(value):
        return str(value)
    if 0.99 < abs(value) < 1:
        return f'{value:.6f}'
    return f'{value:.4g}'
