"""The pages in a real browser: `make test-browser`, with Chromium of the system."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
import tiny_app
from image_grids import grid_of
from PIL import Image
from playwright.sync_api import Browser, Page, Request, sync_playwright

from bids_inpaint.reports.group import render_group

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium')
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason='needs Chromium: on the PATH, or named by CHROMIUM'),
]
ATTACK = '<script>document.title = "run"</script><img src=x onerror="document.title=\'run\'">'
PATIENCE_MS = 120_000  # software has to draw what a GPU draws elsewhere
# Browsers without a GPU draw WebGL so.
OPTIONS = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader']


def run(*command: object) -> None:
    environ = {**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def out(tmp_path_factory) -> Path:
    """Output of both levels on tiny heads, with markup wherever a user's text goes."""
    folder = tmp_path_factory.mktemp('it\'s "quoted" <b> & so #1')
    bids = folder / 'raw'
    for name in ('ses-1/anat/sub-01_ses-1', 'ses-2/anat/sub-01_ses-2'):
        tiny_app.write_head(bids / f'sub-01/{name}_T1w.nii.gz', grid_of('RAS'))
    tiny_app.write_head(bids / 'sub-02/anat/sub-02_T1w.nii.gz', grid_of('oblique'))
    fields = {'Name': ATTACK, 'BIDSVersion': '1.9.0'}
    (bids / 'dataset_description.json').write_text(json.dumps(fields))
    text = f'participant_id\tage\t{ATTACK}\nsub-01\t40\t{ATTACK}\nsub-02\t50\tx\n'
    (bids / 'participants.tsv').write_text(text)
    models = tiny_app.write_models(folder / 'models')
    command = (tiny_app.__file__, bids, folder / 'out')
    run(*command, 'participant', '--models', models, '-w', folder / 'work')
    run(*command, 'group')
    return folder / 'out'


@pytest.fixture(scope='module')
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A tab; whatever it complains of fails the test."""
    page = browser.new_page(viewport={'width': 1000, 'height': 700})
    page.set_default_timeout(PATIENCE_MS)
    complaints = []
    page.on('pageerror', lambda error: complaints.append(str(error)))

    def note(request: Request) -> None:
        # NiiVue may let go of a file once it has all of it that it wants.
        if not (request.failure == 'net::ERR_ABORTED' and request.url.endswith('.nii.gz')):
            complaints.append(f'{request.failure}: {request.url}')

    page.on('requestfailed', note)
    page.on('console', lambda m: complaints.append(m.text) if m.type == 'error' else None)
    page.on('response', lambda r: complaints.append(r.url) if r.status >= 400 else None)
    yield page
    assert complaints == []
    assert page.title() != 'run'
    page.close()


def from_disk(path: Path) -> str:
    return f'file://{quote(str(path))}'


def test_participant_opens_from_disk_and_its_links_resolve(page, out):
    page.goto(from_disk(out / 'sub-01.html'))
    links = page.eval_on_selector_all(
        'a, img, object', 'all => all.map(e => e.href || e.src || e.data)'
    )
    local = {link.partition('#')[0] for link in links}
    assert all(link.startswith('file:') for link in local)
    for link in local:  # a page on disk may not fetch files: they are looked for without it
        assert Path(unquote(link.removeprefix('file://'))).exists(), link
    loaded = page.eval_on_selector_all('img', 'all => all.every(e => e.naturalWidth > 0)')
    assert loaded
    assert 'bids_inpaint_view' in page.locator('.no-viewer').first.inner_text()


def test_flicker_changes_under_the_pointer(page, out):
    page.goto(from_disk(out / 'sub-02.html'))
    flicker = page.locator('object').first
    flicker.scroll_into_view_if_needed()
    before = flicker.screenshot()
    flicker.hover()
    page.wait_for_timeout(700)
    pictures = {before}
    for _ in range(5):
        pictures.add(flicker.screenshot())
        page.wait_for_timeout(150)
    assert len(pictures) > 1


def test_dark_and_light_differ(page, out):
    page.goto(from_disk(out / 'sub-02.html'))
    colours = []
    for scheme in ('light', 'dark'):
        page.emulate_media(color_scheme=scheme)
        colours.append(page.evaluate('getComputedStyle(document.body).backgroundColor'))
    assert colours == ['rgb(255, 255, 255)', 'rgb(22, 24, 28)']


def test_group_sorts_filters_and_shows_markup_as_text(page, out):
    page.goto(from_disk(out / 'group_T1w.html'))
    page.wait_for_selector('html[data-ready=yes]')
    names = '#body tr td:first-child'
    assert page.locator(names).all_inner_texts() == ['sub-01_ses-1', 'sub-01_ses-2', 'sub-02']
    age = page.locator('#columns button', has_text=re.compile('^age$'))
    age.click()
    assert page.locator(names).all_inner_texts()[-1] == 'sub-02'
    age.click()
    assert page.locator(names).all_inner_texts()[0] == 'sub-02'
    page.fill('#filter', 'ses-2')
    assert page.locator(names).all_inner_texts() == ['sub-01_ses-2']
    assert ATTACK in page.locator('#body').inner_text()
    assert ATTACK in page.locator('#columns').inner_text()
    assert page.locator('img[src=x]').count() == 0
    page.select_option('#right', f'p:{ATTACK}')
    page.wait_for_timeout(300)
    assert page.locator('#scatter img').count() == 0


def test_hover_names_a_scan_and_a_click_opens_its_page(page, out):
    page.goto(from_disk(out / 'group_T1w.html'))
    page.wait_for_selector('html[data-ready=yes]')
    page.locator('#scatter').scroll_into_view_if_needed()
    point = page.locator('#scatter .scatterlayer .point').last
    box = point.bounding_box()
    place = (box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.mouse.move(place[0] - 3, place[1])
    page.mouse.move(*place)
    page.wait_for_selector('#scatter .hoverlayer .hovertext')
    assert 'sub-0' in page.locator('#scatter .hoverlayer').text_content()
    with page.expect_navigation():
        page.mouse.click(*place)
    assert 'sub-0' in page.title()


def test_group_of_5000_opens_in_time(page, tmp_path):
    rows = [
        {
            'participant_id': f'sub-{n:04}',
            'session_id': f'ses-{n % 2}',
            'source': f'sub-{n // 2:04}_ses-{n % 2}',
            'problems': 'none',
            'brain_mean': 100.0 + n % 17,
            'lesion_volume_mm3': float(n * n % 9973),
            'seconds': 60.0 + n % 13,
            'registration_similarity': 0.7 + (n % 29) / 100,
        }
        for n in range(5000)
    ]
    people = {f'sub-{n:04}': {'age': str(20 + n % 60)} for n in range(5000)}
    path = tmp_path / 'group_T1w.html'
    path.write_text(render_group(rows, people, []))
    # The clock of the process, as the machine may be busy with others.
    session = page.context.new_cdp_session(page)
    session.send('Performance.enable')
    page.goto(from_disk(path))
    page.wait_for_selector('html[data-ready=yes]')
    measured = session.send('Performance.getMetrics')['metrics']
    spent = {metric['name']: metric['value'] for metric in measured}
    assert page.inner_text('#shown') == '1 to 100 of 5000'
    busy = spent['TaskDuration'] if 'ThreadTime' not in spent else spent['ThreadTime']
    assert busy < 3, spent


@pytest.fixture
def address(out) -> Iterator[str]:
    """Of the viewer's server, in a process of its own."""
    code = 'import sys; from bids_inpaint.cli.view import main; sys.exit(main(sys.argv[1:]))'
    command = [sys.executable, '-c', code, str(out), '--no-browser']
    environ = {**os.environ, 'PYTHONPATH': str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        yield server.stdout.readline().strip()
        server.terminate()


def test_viewer_draws_and_its_switch_changes_the_picture(page, address):
    page.goto(f'{address}sub-02.html')
    page.wait_for_selector('.viewer[data-ready=yes]')
    canvas = page.locator('.viewer canvas')
    switch = page.locator('[data-action=switch]')

    def pixels() -> bytes:
        page.wait_for_timeout(500)
        return canvas.screenshot()

    after = pixels()
    assert bright_part(after) > 0.05
    switch.click()
    assert switch.inner_text() == 'before'
    before = pixels()
    assert before != after
    canvas.press('b')
    assert switch.inner_text() == 'after'
    page.check('input[data-action=difference]')
    assert pixels() not in {before, after}


def bright_part(picture: bytes) -> float:
    """Part of the pixels of a PNG that are not dark."""
    grey = np.asarray(Image.open(io.BytesIO(picture)).convert('L'))
    return float((grey > 40).mean())
