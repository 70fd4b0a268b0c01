"""Write the options of the programs into docs/usage.md: ``python docs/options.py``.

Blocks from ``<!-- options of PROGRAM -->`` to ``<!-- end -->`` are replaced by tables from the
parser of the program. The columns of the group table in docs/outputs.md are made likewise.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bids_inpaint.bids.group import COLUMNS
from bids_inpaint.cli import dataset, parser, view

DOCS = Path(__file__).parent
_BLOCK = '(<!-- {} -->\n).*?(<!-- end -->)'


def main() -> int:
    """Write the pages."""
    for name in PAGES:
        page = DOCS / name
        page.write_text(render(page.read_text(encoding='utf-8'), name), encoding='utf-8')
    return 0


def render(text: str, page: str) -> str:
    """Replace the generated blocks of a page."""
    return fill(text, page, {block: make() for block, make in PAGES[page].items()})


def fill(text: str, page: str, blocks: Mapping[str, str]) -> str:
    """Replace what stands in the blocks of a page.

    Raises
    ------
    ValueError
        If the page lacks a block.

    """
    for block, made in blocks.items():
        pattern = re.compile(_BLOCK.format(re.escape(block)), re.DOTALL)
        if not pattern.search(text):
            msg = f'{page} must have a block <!-- {block} --> ... <!-- end -->'
            raise ValueError(msg)
        text = pattern.sub(lambda match, made=made: f'{match[1]}\n{made}\n{match[2]}', text)
    return text


def options_of(program: argparse.ArgumentParser) -> str:
    """Write a table for each group of options of a parser."""
    usage = ' '.join(program.format_usage().split()).replace('usage: ', '')
    tables = []
    for group in program._action_groups:
        rows = [_row(program, action) for action in group._group_actions]
        if rows:
            title = (group.title or '').capitalize()
            tables.append(f'**{title}**\n\n| option | what |\n|---|---|\n' + ''.join(rows))
    return f'```text\n{_folded(usage)}\n```\n\n' + '\n'.join(tables)


def columns() -> str:
    """Write a table of the columns of the group table."""
    rows = [
        f'| `{name}` | {_plain(what["Description"])} | {what.get("Units", "")} |\n'
        for name, what in COLUMNS.items()
    ]
    return '| column | what | units |\n|---|---|---|\n' + ''.join(rows)


def _row(program: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Write the line of one option."""
    formatter = program._get_formatter()
    value = ''
    if action.nargs != 0:
        default = action.dest.upper() if action.option_strings else action.dest
        value = formatter._format_args(action, default)
    names = ', '.join(f'`{name}`' for name in action.option_strings)
    shown = f'{names} `{value}`' if names and value else names or f'`{value}`'
    return f'| {shown.strip()} | {_plain(formatter._expand_help(action))} |\n'


def _plain(text: str) -> str:
    """Escape the markup of Markdown."""
    for character, entity in (('&', '&amp;'), ('<', '&lt;'), ('>', '&gt;'), ('|', '&#124;')):
        text = text.replace(character, entity)
    return re.sub(r'([*_`])', r'\\\1', text)


def _folded(usage: str, width: int = 100) -> str:
    """Break a usage between options."""
    lines = ['']
    for word in re.findall(r'\[(?:[^\[\]]|\[[^\]]*\])*\]|\S+', usage):
        if len(lines[-1]) + len(word) > width:
            lines.append('   ')
        lines[-1] += f' {word}' if lines[-1] else word
    return '\n'.join(lines)


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    'usage.md': {
        'options of bids_inpaint': lambda: options_of(parser.build_parser()),
        'options of bids_inpaint_view': lambda: options_of(view.build_parser()),
        'options of bids_inpaint_dataset': lambda: options_of(dataset.build_parser()),
    },
    'outputs.md': {'columns of group_T1w.tsv': columns},
}

if __name__ == '__main__':
    sys.exit(main())
