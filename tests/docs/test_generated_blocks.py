"""What docs/options.py and docs/fill_numbers.py make is what the pages hold."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bids_inpaint.cli import dataset, parser, view

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'docs'))
import fill_numbers  # noqa: E402
import options  # noqa: E402

sys.path.pop(0)


@pytest.mark.parametrize('page', ['usage.md', 'outputs.md'])
def test_page_is_as_the_programs_are(page):
    text = (ROOT / 'docs' / page).read_text()
    assert options.render(text, page) == text, 'make docs-options writes it anew'


@pytest.mark.parametrize('program', [parser, view, dataset])
def test_every_option_is_in_the_page(program):
    text = (ROOT / 'docs/usage.md').read_text()
    names = [n for action in program.build_parser()._actions for n in action.option_strings]
    assert len(names) > 4
    for name in names:
        assert re.search(f'^\\| .*`{re.escape(name)}`', text, re.M), name


def test_a_page_without_its_block_is_an_error():
    with pytest.raises(ValueError, match=r'usage\.md must have a block'):
        options.render('no block', 'usage.md')


def test_text_of_an_option_cannot_become_markup():
    assert options._plain('<b> a|b *c* `d` &') == '&lt;b&gt; a&#124;b \\*c\\* \\`d\\` &amp;'


@pytest.mark.parametrize('program', ['options', 'fill_numbers'])
def test_the_command_changes_nothing_that_is_up_to_date(program):
    pages = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]
    before = [page.read_bytes() for page in pages]
    subprocess.run([sys.executable, f'docs/{program}.py'], cwd=ROOT, check=True)
    assert [page.read_bytes() for page in pages] == before


@pytest.mark.parametrize('page', fill_numbers.PAGES)
def test_figures_are_those_of_cards_and_tables(page):
    text = (ROOT / page).read_text()
    assert fill_numbers.render(text, page) == text, 'make docs-numbers writes it anew'


def test_every_figure_that_is_defined_is_used():
    pages = ''.join((ROOT / page).read_text() for page in fill_numbers.PAGES)
    for kind, name in (('numbers', 'n'), ('tables', 'table')):
        for key in fill_numbers.TEXTS[kind]:
            assert f'<!-- {name}: {key} -->' in pages, key


@pytest.fixture
def of(monkeypatch, tmp_path):
    """Fill a page with what a card and a table of the test have for the key `it`."""
    (tmp_path / 'models/net').mkdir(parents=True)
    card = {'list': [1, 2, 3], 'part': {'share': 0.256}}
    (tmp_path / 'models/net/card.json').write_text(json.dumps(card))
    (tmp_path / 'docs/results').mkdir(parents=True)
    rows = 'who\thow\tml\na b\tx\t1.5\na b\ty\t4\n'
    (tmp_path / 'docs/results/table.tsv').write_text(rows)
    monkeypatch.setattr(fill_numbers, 'ROOT', tmp_path)

    def fill(template, text='of <!-- n: it --><!-- /n -->'):
        texts = {'numbers': {'it': template}, 'tables': {'it': template}}
        monkeypatch.setattr(fill_numbers, 'TEXTS', texts)
        return fill_numbers.render(text, 'page.md')

    return fill


@pytest.mark.parametrize(
    ('template', 'written'),
    [
        ('{net/part/share:.0%}', '26 %'),
        ('{net/list:.0f} people', '3 people'),
        ('{table/a b/x/ml:.1f} ml', '1.5 ml'),
        ('{table/y/ml - table/x/ml:.2f}', '2.50'),
    ],
)
def test_a_figure_is_written_as_its_key_says(of, template, written):
    assert of(template) == f'of <!-- n: it -->{written}<!-- /n -->'


def test_a_line_that_may_be_missing_is_left_out(of):
    block = '<!-- table: it -->\n<!-- end -->'
    assert of('| {net/list:.0f} |\n| {?net/part/none:.0f} |\n', block).count('|') == 2


@pytest.mark.parametrize(
    ('template', 'facts'),
    [
        ('{net/part/none:.0f}', ['models/net/card.json', 'part/none']),
        ('{net/part/share/none:.0f}', ['it']),
        ('{?table/z/ml:.0f}', ['table.tsv', 'z', 'ml']),
        ('{table/a b/ml:.0f}', ['table.tsv', 'a b', 'ml']),
        ('{table/x/none:.0f}', ['table.tsv', 'none']),
        ('{gone/x/ml:.0f}', ['gone.tsv']),
    ],
)
def test_a_figure_that_is_missing_names_the_page_and_the_key(of, template, facts):
    with pytest.raises(ValueError, match=r'page\.md.* it ') as caught:
        of(template)
    for fact in facts:
        assert fact in str(caught.value)


@pytest.mark.parametrize(
    'text',
    [
        'of <!-- n: other --><!-- /n -->',
        '- <!-- n: it --><!-- /n --> begins the line, which Markdown takes for HTML',
        'of <!-- n: it -->not closed',
        'of <!-- n: it -->over\nlines<!-- /n -->',
        '<!-- table: it -->\nnot closed',
    ],
)
def test_a_page_that_cannot_be_filled_is_named(of, text):
    with pytest.raises(ValueError, match=r'page\.md'):
        of('3', text)
