"""The page of the group holds all numbers, and no markup but its own."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.reports import group
from bids_inpaint.reports.group import as_script_data, render_group

ATTACK = '</script><script>alert("run")</script><img src=x onerror=alert(1)>'
VENDOR = Path(group.__file__).parent / 'assets' / 'vendor'


def row(name, **numbers):
    return {'participant_id': name, 'session_id': None, 'source': name, **numbers}


def data_of(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def test_numbers_are_in_the_page_in_the_units_shown():
    page = render_group(
        [row('sub-1', change_volume_mm3=2500.0, brain_mean=9.0, problems='none')], {}, ['sub-1']
    )
    (first,) = data_of(page)['rows']
    assert first['change_volume_mm3'] == 2.5
    assert first['lesion_count'] is None
    assert data_of(page)['pages'] == ['sub-1']
    assert '1 scan of 1 participant.' in page


def test_scans_not_processed_are_named():
    page = render_group([row('sub-1', brain_mean=1.0), row('sub-2')], {}, [])
    assert '<summary>1 not processed</summary>\n<ul><li>sub-2</li></ul>' in page


def test_number_that_is_not_finite_is_missing():
    page = render_group([row('sub-1', brain_mean=float('nan'), seconds=True)], {}, [])
    assert data_of(page)['rows'][0]['brain_mean'] is None


def test_markup_stays_text():
    rows = [row('sub-1', device=ATTACK, problems=ATTACK, brain_mean=1.0), row(ATTACK)]
    page = render_group(rows, {'sub-1': {ATTACK: ATTACK}}, [])
    assert ATTACK not in page
    assert '<img src=x' not in page
    assert data_of(page)['participants'] == {'sub-1': {ATTACK: ATTACK}}


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text(), max_size=3), max_size=3))
def test_data_come_back_and_cannot_end_their_element(content):
    text = str(as_script_data(content))
    assert json.loads(text) == content
    assert not set('<>&') & set(text)


def test_page_asks_for_nothing_outside_it():
    page = render_group([row('sub-1', brain_mean=1.0)], {}, [])
    assert "content=\"default-src 'none'; script-src 'unsafe-inline'" in page
    asked = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]*)"', page)
    assert asked == ['data:,']  # no icon


@pytest.mark.parametrize('name', ['plotly-cartesian.min.js', 'niivue.umd.js'])
def test_bundles_are_those_released(name):
    bundles = json.loads((VENDOR / 'bundles.json').read_text())
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == bundles[name]['sha256']
    assert (VENDOR / bundles[name]['licence_file']).stat().st_size > 500
