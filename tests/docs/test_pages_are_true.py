"""What pages say of the code and of the network shipped is so."""

import csv
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CARD = json.loads((ROOT / 'models/blind/card.json').read_text())


@pytest.mark.parametrize('page', sorted((ROOT / 'docs').glob('*.md')), ids=lambda path: path.name)
def test_modules_that_are_named_are_there(page):
    names = re.findall(r'`([a-z_/]+/[a-z_]+\.py)`', page.read_text())
    for name in names:
        assert (ROOT / name).exists() or (ROOT / 'bids_inpaint' / name).exists(), name
    assert names or page.name not in {'architecture.md', 'methods.md'}


def test_results_are_those_of_the_card():
    text = (ROOT / 'docs/results.md').read_text()
    rows = {
        'error left in lesions, output': ('lesion_error', 3),
        'error left in lesions, users get': ('lesion_error_composite', 3),
        'error left without the pale rims, output': ('lesion_core_error', 3),
        'error left without the pale rims, users get': ('lesion_core_error_composite', 3),
        'PSNR of a volume with lesions, before': ('lesioned_psnr_before_db', 1),
        'PSNR of a volume with lesions, users get': ('lesioned_psnr_composite_db', 1),
        'PSNR of a healthy volume, output': ('healthy_psnr_db', 1),
        'PSNR of a healthy volume, users get': ('healthy_psnr_composite_db', 1),
        'correlation of a healthy volume, output': ('healthy_correlation', 5),
        'volume changed in a healthy brain': ('healthy_change_ml', 1),
    }
    for title, (name, digits) in rows.items():
        (line,) = re.findall(rf'^\| {re.escape(title)}.*\|$', text, re.M)
        shown = [float(cell.split()[0]) for cell in line.strip('|').split('|')[1:]]
        expected = [round(CARD['metrics'][part][name], digits) for part in ('validation', 'test')]
        assert shown == expected, title


def test_readme_tells_what_the_card_does():
    text = (ROOT / 'README.md').read_text()
    test = CARD['metrics']['test']
    for name, digits, unit in (
        ('lesion_error', 2, ''),
        ('lesion_error_composite', 2, ''),
        ('lesion_core_error', 2, ''),
        ('lesion_core_error_composite', 2, ''),
        ('healthy_psnr_db', 1, ' dB'),
        ('healthy_psnr_composite_db', 1, ' dB'),
        ('healthy_change_ml', 1, ' ml'),
    ):
        assert f'| {test[name]:.{digits}f}{unit} |' in text, name
    brains = len(CARD['training']['brains'])
    assert f'has seen {brains} adults' in text


def test_the_patient_of_the_readme_is_that_of_the_results():
    with (ROOT / 'docs/results/b_patients.tsv').open() as file:
        rows = list(csv.DictReader(file, delimiter='\t'))
    wanted = ('openms26', 'inpainted')
    (gone,) = (
        float(row['reduction']) for row in rows if (row['patient'], row['method']) == wanted
    )
    readme = (ROOT / 'README.md').read_text()
    assert f'The patient above lost {100 * gone:.0f} % of the contrast' in readme


def test_tables_are_of_the_networks_shipped():
    pages = sorted((ROOT / 'docs/results').glob('*.md'))
    assert {page.name[0] for page in pages} == set('abcdef')
    for page in pages:
        for name in ('blind', 'nonblind'):
            card = json.loads((ROOT / f'models/{name}/card.json').read_text())
            assert f'{name} {card["sha256"][:8]}' in page.read_text(), page.name
