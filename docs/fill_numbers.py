"""Write the figures of the networks into the pages: ``python docs/fill_numbers.py``.

A figure stands in ``<!-- n: KEY -->...<!-- /n -->``, a table between ``<!-- table: KEY -->`` and
``<!-- end -->``. docs/numbers.toml says from which card or table of results each is taken.
"""

import csv
import json
import re
import sys
import tomllib
from pathlib import Path

import options

ROOT = Path(__file__).parents[1]
PAGES = ('README.md', 'models/README.md', *(f'docs/{p.name}' for p in ROOT.glob('docs/*.md')))
TEXTS = tomllib.loads((ROOT / 'docs/numbers.toml').read_text(encoding='utf-8'))
_NUMBER = re.compile(r'(<!-- n: (\S+) -->)[^<\n]*(<!-- /n -->)')
_FIGURE = re.compile(r'\{\??([^{}:]+):([^{}]+)\}')


class MissingFieldError(LookupError):
    """A card has no such field."""


def main() -> int:
    """Write the pages."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding='utf-8')
        (ROOT / page).write_text(render(text, page), encoding='utf-8')
    return 0


def render(text: str, page: str) -> str:
    """Replace the figures and tables of a page.

    Raises
    ------
    ValueError
        If card or tables lack a figure, a key is unknown, or Markdown would not show it inline.

    """
    if re.search(r'^[\s>*-]*<!-- n: ', text, re.MULTILINE):
        msg = f'{page}: a line must not begin with a figure'
        raise ValueError(msg)
    if len(_NUMBER.findall(text)) != text.count('<!-- n: '):
        msg = f'{page}: a figure must end with <!-- /n --> on its line'
        raise ValueError(msg)
    text = _NUMBER.sub(lambda m: f'{m[1]}{_made("numbers", m[2], page)}{m[3]}', text)
    keys = re.findall(r'<!-- table: (\S+) -->', text)
    return options.fill(text, page, {f'table: {k}': _made('tables', k, page) for k in keys})


def _made(kind: str, key: str, page: str) -> str:
    """Make a text of docs/numbers.toml, or say for which page it cannot be made."""
    try:
        lines = (_line(line) for line in TEXTS[kind][key].splitlines(keepends=True))
        return ''.join(lines).lstrip('\n')
    except (LookupError, TypeError, ValueError, OSError) as error:
        msg = f'{page}: cannot make {key} ({kind} of docs/numbers.toml): {error}'
        raise ValueError(msg) from error


def _line(text: str) -> str:
    """Fill in the figures of a line."""
    try:
        return _FIGURE.sub(lambda m: f'{_value(m[1]):{m[2]}}'.replace('%', ' %'), text)
    except MissingFieldError:
        if '{?' in text:
            return ''
        raise


def _value(terms: str) -> float:
    """Look up a figure, or a difference of two."""
    first, *others = (_look_up(*term.split('/')) for term in terms.split(' - '))
    return first - sum(others)


def _look_up(source: str, *path: str) -> float:
    card = ROOT / 'models' / source / 'card.json'
    return _field(card, path) if card.exists() else _cell(source, *path)


def _field(card: Path, path: tuple[str, ...]) -> float:
    """Look up a field of the card of a network."""
    value = json.loads(card.read_text(encoding='utf-8'))
    for name in path:
        if name not in value:
            msg = f'{card.relative_to(ROOT)} has no {"/".join(path)}'
            raise MissingFieldError(msg)
        value = value[name]
    return len(value) if isinstance(value, list) else float(value)


def _cell(table: str, *path: str) -> float:
    """Look up the column of a table of results, in the one row that has the values named."""
    *values, column = path
    with (ROOT / f'docs/results/{table}.tsv').open(encoding='utf-8', newline='') as file:
        rows = [r for r in csv.DictReader(file, delimiter='\t') if {*values} <= {*r.values()}]
    if len(rows) != 1 or column not in rows[0]:
        msg = f'docs/results/{table}.tsv must have one row with {values}, and the column {column}'
        raise LookupError(msg)
    return float(rows[0][column])


if __name__ == '__main__':
    sys.exit(main())
