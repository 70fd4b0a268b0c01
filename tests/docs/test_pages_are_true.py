"""What pages say of the code and of the network shipped is so."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bids_inpaint.evaluation.tables import TABLES

ROOT = Path(__file__).parents[2]
CARD = json.loads((ROOT / 'models/blind/card.json').read_text())
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), ROOT / 'models/README.md'])


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_are_named_are_there(page):
    names = re.findall(r'`([a-z_/]+/[a-z_]+\.py)`', page.read_text())
    for name in names:
        assert (ROOT / name).exists() or (ROOT / 'bids_inpaint' / name).exists(), name
    assert names or page.name not in {'architecture.md', 'methods.md'}


def test_the_model_card_is_of_those_who_trained():
    text = (ROOT / 'models/README.md').read_text()
    datasets = Counter(brain.split('/')[0] for brain in CARD['training']['brains'])
    for dataset, people in datasets.items():
        assert re.search(rf'\b{people} of [^|;]*{dataset}', text), f'{people} of {dataset}'
    assert not CARD['training']['patients'], 'pages say that no patient trained'


def test_tables_are_of_the_networks_shipped():
    pages = sorted((ROOT / 'docs/results').glob('*.md'))
    made = {page.name[0] for page in pages}
    assert set('abcdef') <= made <= TABLES.keys()
    for page in pages:
        for name in ('blind', 'nonblind'):
            card = json.loads((ROOT / f'models/{name}/card.json').read_text())
            assert f'{name} {card["sha256"][:8]}' in page.read_text(), page.name
