"""What docs/options.py makes is what the pages hold."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bids_inpaint.cli import dataset, parser, view

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def options():
    sys.path.insert(0, str(ROOT / 'docs'))
    try:
        import options

        return options
    finally:
        sys.path.pop(0)


@pytest.mark.parametrize('page', ['usage.md', 'outputs.md'])
def test_page_is_as_the_programs_are(options, page):
    text = (ROOT / 'docs' / page).read_text()
    assert options.render(text, page) == text, 'make docs-options writes it anew'


@pytest.mark.parametrize('program', [parser, view, dataset])
def test_every_option_is_in_the_page(program):
    text = (ROOT / 'docs/usage.md').read_text()
    names = [n for action in program.build_parser()._actions for n in action.option_strings]
    assert len(names) > 4
    for name in names:
        assert re.search(f'^\\| .*`{re.escape(name)}`', text, re.M), name


def test_a_page_without_its_block_is_an_error(options):
    with pytest.raises(ValueError, match=r'usage\.md must have a block'):
        options.render('no block', 'usage.md')


def test_text_of_an_option_cannot_become_markup(options):
    assert options._plain('<b> a|b *c* `d` &') == '&lt;b&gt; a&#124;b \\*c\\* \\`d\\` &amp;'


def test_the_command_changes_nothing_that_is_up_to_date():
    before = (ROOT / 'docs/usage.md').read_bytes()
    subprocess.run([sys.executable, 'docs/options.py'], cwd=ROOT, check=True)
    assert (ROOT / 'docs/usage.md').read_bytes() == before
