"""The pages in a real browser: `make test-browser`, with Chromium of the system."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
import tiny_app
from image_grids import grid_of
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, sync_playwright

from bids_inpaint.reports.group import render_group
from bids_inpaint.reports.quality import SHOWN

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
    models = tiny_app.write_models(folder / 'models', tells_probability=True)
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
    shown = 'figure > img'  # those for paper are read when it is printed
    loaded = page.eval_on_selector_all(shown, 'all => all.every(e => e.naturalWidth > 0)')
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


def test_flicker_changes_by_the_keyboard(page, out):
    page.goto(from_disk(out / 'sub-02.html'))
    flicker, button = page.locator('object').first, page.locator('button[data-flicker]').first
    button.scroll_into_view_if_needed()
    page.mouse.move(1, 1)
    texts, pictures = [button.inner_text()], [picture_of(flicker)]
    button.focus()
    for _ in range(2):
        page.keyboard.press('Space')
        page.wait_for_timeout(300)
        texts.append(button.inner_text())
        pictures.append(picture_of(flicker))
    assert texts == ['Show: before', 'Show: after', 'Show: before']
    assert np.abs(pictures[1] - pictures[0]).max() > 50
    assert np.abs(pictures[2] - pictures[0]).mean() < 1


def test_flicker_opened_by_itself_changes_by_a_key(page, out):
    page.goto(from_disk(out / 'sub-02/figures/sub-02_desc-flicker_T1w.svg'))
    root = 'document.documentElement.getAttribute("class")'
    shown = []
    for key in (' ', 'b', 'x'):
        page.keyboard.press(key)
        shown.append(page.evaluate(root))
    assert shown == ['shows-before', 'shows-after', 'shows-after']


def test_both_images_of_a_flicker_are_on_paper(page, out):
    page.goto(from_disk(out / 'sub-02.html'))
    page.emulate_media(media='print', color_scheme='dark')
    assert page.locator('object').first.is_hidden()
    assert page.locator('button[data-flicker]').first.is_hidden()
    pair = page.locator('.on-paper').locator('visible=true')
    assert pair.locator('p').all_inner_texts() == ['before', 'after', 'template', 'image']
    images = pair.locator('img').all()[:2]
    pictures = []
    for image in images:
        image.scroll_into_view_if_needed()
        image.evaluate('img => img.decode()')
        pictures.append(picture_of(image))
    assert np.abs(pictures[0] - pictures[1]).max() > 50
    paper = page.evaluate('getComputedStyle(document.body).backgroundColor')
    assert paper == 'rgb(255, 255, 255)'
    assert page.pdf(format='A4').count(b'/Type /Page') > 2


def test_tables_are_opened_for_paper(page, out):
    page.goto(from_disk(out / 'sub-02.html'))
    table = page.locator('details:has(table)')
    table.evaluate('details => { details.open = false; }')
    opened = []
    for event in ('beforeprint', 'afterprint'):
        page.evaluate(f'window.dispatchEvent(new Event("{event}"))')
        opened.append(table.evaluate('details => details.open'))
    assert opened == [True, False]


def test_group_is_printed_in_ink_from_a_dark_screen(page, out):
    page.emulate_media(color_scheme='dark')
    page.goto(from_disk(out / 'group_T1w.html'))
    page.wait_for_selector('html[data-ready=yes]')
    page.emulate_media(media='print', color_scheme='dark')
    page.wait_for_timeout(500)
    titles = page.locator('.plot .gtitle').evaluate_all('all => all.map(e => e.style.fill)')
    assert len(titles) > 5
    assert set(titles) == {'rgb(0, 0, 0)'}
    assert page.locator('#up').is_hidden()


@pytest.mark.parametrize('name', ['sub-01.html', 'group_T1w.html'])
def test_narrow_window_cuts_nothing(page, out, name):
    page.set_viewport_size({'width': 360, 'height': 640})
    page.goto(from_disk(out / name))
    page.wait_for_timeout(500)
    assert page.evaluate('document.documentElement.scrollWidth') == 360
    # No word of a table is broken: what does not fit is scrolled to.
    words = page.locator('thead th').evaluate_all(
        """all => all.filter(e => e.clientWidth).map(e => {
          const probe = document.createElement('span');
          probe.style.cssText = 'position: absolute; width: min-content';
          probe.textContent = e.textContent;
          e.append(probe);
          const needed = probe.offsetWidth;
          probe.remove();
          return e.clientWidth >= needed;
        })"""
    )
    assert len(words) > 5
    assert all(words)
    header = page.locator('header').bounding_box()
    assert header['height'] < 160


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
    names = '#body tr th'
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


def test_outliers_are_coloured(page, tmp_path):
    rows = [
        {
            'participant_id': f'sub-{n}',
            'session_id': None,
            'source': f'sub-{n}',
            'problems': 'none',
            'brain_mean': 100.0 + n,
            'seconds': 500.0 if n == 7 else 60.0 + n % 5,
            'brain_coverage': 0.5 if n == 9 else 0.95 + n / 1000,
        }
        for n in range(20)
    ]
    path = tmp_path / 'group_T1w.html'
    path.write_text(render_group(rows, {}, []))
    page.goto(from_disk(path))
    page.wait_for_selector('html[data-ready=yes]')
    for name, expected in (('seconds', 1), ('brain_coverage', 1), ('brain_mean', 0)):
        place = page.locator(f'#box-{name}')
        assert place.get_attribute('data-outliers') == str(expected)
        colours = place.locator('.point').evaluate_all('all => all.map(e => e.style.fill)')
        assert len(colours) == 20
        odd = {colour for colour in colours if colours.count(colour) == 1}
        assert len(odd) == expected
    place = page.locator('#box-seconds .point').nth(7)
    box = place.bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2 - 3, box['y'] + box['height'] / 2)
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.wait_for_selector('#box-seconds .hoverlayer .hovertext')
    assert 'sub-7outlier' in page.locator('#box-seconds .hoverlayer').text_content()


def test_group_of_5000_opens_in_time(page, tmp_path):
    rows = [
        {
            **{measure.name: 1 + n * 7919 % 1000 / 1000 for measure in SHOWN},
            'participant_id': f'sub-{n // 2:04}',
            'session_id': f'ses-{n % 2}',
            'source': f'sub-{n // 2:04}_ses-{n % 2}',
            'problems': 'none',
            'control_correlation': 1.0,
            'lesion_volume_mm3': float(n * n % 9973),
        }
        for n in range(5000)
    ]
    people = {f'sub-{n:04}': {'age': str(20 + n % 60), 'sex': 'MF'[n % 2]} for n in range(2500)}
    path = tmp_path / 'group_T1w.html'
    path.write_text(render_group(rows, people, []))
    # The clock of the process, as the machine may be busy with others: 3 s on an idle one.
    session = page.context.new_cdp_session(page)
    session.send('Performance.enable')
    page.goto(from_disk(path))
    page.wait_for_selector('html[data-ready=yes]')
    measured = session.send('Performance.getMetrics')['metrics']
    spent = {metric['name']: metric['value'] for metric in measured}
    assert page.inner_text('#shown') == '1 to 100 of 5000'
    assert page.locator('#boxes .plot').count() == len(SHOWN)
    assert page.locator('#lines').is_visible()  # a line for each of 2,500
    busy = spent['TaskDuration'] if 'ThreadTime' not in spent else spent['ThreadTime']
    assert busy < 20, spent


@pytest.fixture
def address(out) -> Iterator[str]:
    """Of the viewer's server of the output folder."""
    with serving(out) as address:
        yield address


@pytest.fixture
def native_out(out, tmp_path) -> Path:
    """Output of one participant on the source's own grid alone."""
    bids, models = out.parent / 'raw', out.parent / 'models'
    options = ('--models', models, '-w', tmp_path / 'work', '--output-spaces', 'T1w')
    command = (tiny_app.__file__, bids, tmp_path / 'out', 'participant')
    run(*command, '--participant-label', '02', *options)
    return tmp_path / 'out'


@contextmanager
def serving(out: Path) -> Iterator[str]:
    """Serve an output folder, in a process of its own."""
    code = 'import sys; from bids_inpaint.cli.view import main; sys.exit(main(sys.argv[1:]))'
    command = [sys.executable, '-c', code, str(out), '--no-browser']
    environ = {**os.environ, 'PYTHONPATH': str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
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
    page.wait_for_selector('.viewer[data-shown=before]')
    assert switch.inner_text() == 'Show: after'
    before = pixels()
    assert before != after
    canvas.press('b')
    page.wait_for_selector('.viewer[data-shown=after]')
    assert switch.inner_text() == 'Show: before'
    page.check('input[data-action=difference]')
    page.wait_for_selector('.viewer[data-shown="after difference"]')
    assert pixels() not in {before, after}


def test_viewer_lays_the_probability_over_the_image(page, address):
    page.goto(f'{address}sub-02.html')
    page.wait_for_selector('.viewer[data-ready=yes]')
    canvas = page.locator('.viewer canvas')
    page.wait_for_timeout(500)
    before = colourfulness(canvas.screenshot())  # of the cross-hair
    page.check('input[data-action=probability]')
    page.wait_for_selector('.viewer[data-shown="after probability"]')
    page.wait_for_timeout(500)
    assert colourfulness(canvas.screenshot()) > before + 0.001


def test_cross_hair_moves_by_the_keyboard_and_to_lesions(page, address):
    page.goto(f'{address}sub-02.html')
    page.wait_for_selector('.viewer[data-ready=yes]')
    place = page.locator('.place')

    def position() -> list[int]:
        return [int(number) for number in re.findall(r'-?\d+', place.inner_text())]

    lesion = page.locator('td.centre button').first
    centre = [int(number) for number in lesion.inner_text().split(',')]
    assert np.abs(np.subtract(position(), centre)).max() <= 1  # begins at the largest
    canvas = page.locator('.viewer canvas')
    begin = position()
    moves = {
        'ArrowLeft': (-1, 0, 0),
        'PageUp': (0, 1, 0),
        'PageDown': (0, -1, 0),
        'ArrowUp': (0, 0, 1),
        'ArrowDown': (0, 0, -1),
    }
    for key, step in moves.items():
        earlier = position()
        canvas.press(key)
        assert tuple(np.sign(np.subtract(position(), earlier))) == step, key
    lesion.focus()
    page.keyboard.press('Enter')
    assert position() == begin


def test_viewer_reads_a_volume_when_it_is_to_be_seen(page, address):
    asked = []
    page.on('request', lambda r: asked.append(r.url) if r.url.endswith('.nii.gz') else None)
    page.goto(f'{address}sub-02.html')
    page.wait_for_selector('.viewer[data-ready=yes]')
    assert [url.rpartition('_desc-')[2] for url in asked] == ['inpainted_T1w.nii.gz']
    page.click('[data-action=switch]')
    page.wait_for_selector('.viewer[data-shown=before]')
    assert len(asked) == 2


def test_viewer_shows_the_source_where_only_its_grid_was_written(page, native_out):
    with serving(native_out) as address:
        page.goto(f'{address}sub-02.html')
        page.wait_for_selector('.viewer[data-ready=yes]')
        canvas = page.locator('.viewer canvas')
        page.wait_for_timeout(500)
        after = canvas.screenshot()
        assert bright_part(after) > 0.05
        page.click('[data-action=switch]')
        page.wait_for_selector('.viewer[data-shown=before]')
        page.wait_for_timeout(500)
        assert canvas.screenshot() != after


def picture_of(element: Locator) -> np.ndarray:
    """Grey values of what an element looks like, on the page."""
    picture = Image.open(io.BytesIO(element.screenshot())).convert('L')
    return np.asarray(picture.resize((300, 200)), np.float32)


def colourfulness(picture: bytes) -> float:
    """Part of the pixels of a PNG that are not grey; red, green and blue differ by over 60."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert('RGB'), int)
    return float((np.ptp(pixels, axis=-1) > 60).mean())


def bright_part(picture: bytes) -> float:
    """Part of the pixels of a PNG that are not dark."""
    grey = np.asarray(Image.open(io.BytesIO(picture)).convert('L'))
    return float((grey > 40).mean())
