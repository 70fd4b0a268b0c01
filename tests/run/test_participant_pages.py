"""Pages of participants, made by the app from its derivatives."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bids_inpaint.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
ATTACK = '<script>document.title = "run"</script>'


@pytest.fixture
def linear(line, tmp_path):
    """Maker of command lines of runs within this process."""
    (tmp_path / 'linear.yml').write_text('plugin: Linear')
    return lambda *options: line('--use-plugin', str(tmp_path / 'linear.yml'), *options)


@pytest.fixture(scope='module')
def kept(tmp_path_factory) -> Path:
    """Where the output of the first run is kept for all tests."""
    return tmp_path_factory.mktemp('kept') / 'out'


@pytest.fixture
def out(linear, tmp_path, kept) -> Path:
    """Output of a run on both heads, a copy for each test."""
    if not kept.exists():
        assert main(linear()) == 0
        shutil.copytree(tmp_path / 'out', kept)
    else:
        shutil.copytree(kept, tmp_path / 'out')
    return tmp_path / 'out'


class Page(HTMLParser):
    """What a page refers to, shows and runs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.images, self.ids, self.text = [], [], set(), ''
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given[name] for name in ('href', 'src', 'data') if name in given]
        self.ids |= {given.get('id')}
        if tag in {'img', 'object'}:
            self.images.append(given)

    def handle_data(self, data):
        self.text += data


def test_every_participant_has_a_page_with_figures(out):
    for subject, scan in (('sub-01', 'sub-01'), ('sub-02', 'sub-02_ses-a_run-1')):
        page = Page(out / f'{subject}.html')
        names = {path.name for path in (out / subject / 'figures').iterdir()}
        shown = ('flicker', 'change', 'lesions', 'registration', 'reverse', 'biasfield')
        assert names == {f'{scan}_desc-{name}_T1w.svg' for name in (*shown, 'histogram')}
        on_paper = [image for image in page.images if '#' in image.get('src', '')]
        assert len(on_paper) == 4  # before and after of each flicker
        assert len(page.images) - len(on_paper) == len(names)
        assert all(image.get('alt') or image.get('aria-label') for image in page.images)
        for link in page.links:
            if link.startswith('#'):
                assert link[1:] in page.ids
            elif link != 'group_T1w.html' and not link.startswith('data:'):
                assert (out / link.partition('#')[0]).is_file(), link
        assert '1 lesion, ' in page.text
        assert not re.search(
            r'(src|href|data)="(https?:)?//', (out / f'{subject}.html').read_text()
        )


def test_lesion_stands_where_it_was_drawn(out):
    number = '(-?[0-9]+)'
    row = f'<td>1</td><td>{number}</td><td class="centre">{number}, {number}, {number}</td>'
    volume, x, y, z = map(int, re.search(row, (out / 'sub-01.html').read_text()).groups())
    assert volume > 1000
    assert abs(x - 24) <= 2
    assert abs(y + 30) <= 2
    assert abs(z - 20) <= 2


def test_methods_are_told_in_four_forms(out):
    names = {path.name for path in (out / 'logs').glob('CITATION.*')}
    assert names == {'CITATION.md', 'CITATION.html', 'CITATION.tex', 'CITATION.bib'}
    cited = set(re.findall(r'\\cite{(\w+)}', (out / 'logs/CITATION.tex').read_text()))
    assert cited == set(re.findall(r'@\w+{(\w+),', (out / 'logs/CITATION.bib').read_text()))
    text = (out / 'logs/CITATION.md').read_text()
    assert 'exceeded 0.2 of mean brain intensity' in text
    assert 'Changes above 0.15 in white matter, of at least 10 mm3, were mapped' in text


def test_pages_are_remade_without_the_source(out, linear, tiny_dataset, tmp_path):
    whole = (out / 'sub-01.html').read_text()
    (tiny_dataset / 'sub-01/anat/sub-01_T1w.nii.gz').unlink()
    (out / 'sub-01.html').unlink()
    (out / 'sub-01/figures/sub-01_desc-old_T1w.svg').touch()
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.nii.gz')}
    assert main(linear('--reports-only', '--participant-label', '01')) == 0
    again = (out / 'sub-01.html').read_text()
    assert 'is the product minus the change' in again
    assert 'is the product minus the change' not in whole
    assert not (out / 'sub-01/figures/sub-01_desc-old_T1w.svg').exists()
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob('*.nii.gz')}
    assert list((tmp_path / 'work').iterdir()) == []


def test_markup_in_numbers_is_text(out, linear):
    path = out / 'sub-01/anat/sub-01_desc-inpaint_qc.json'
    numbers = {**json.loads(path.read_text()), 'problems': ATTACK, 'device': f'"{ATTACK}'}
    path.write_text(json.dumps(numbers))
    assert main(linear('--reports-only')) == 0
    page = (out / 'sub-01.html').read_text()
    assert ATTACK not in page
    assert ATTACK in Page(out / 'sub-01.html').text
    assert '1 warning' in page


def test_failed_scan_is_told_with_its_crash_file(linear, tiny_dataset, tmp_path):
    broken = tiny_dataset / 'sub-01/anat/sub-01_T1w.nii.gz'
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-100])
    assert main(linear()) == 1
    page = Page(tmp_path / 'out/sub-01.html')
    assert 'sub-01 failed at conform: sub-01/anat/sub-01_T1w.nii.gz: ' in page.text
    (crash,) = [link for link in page.links if 'crash-' in link]
    assert (tmp_path / 'out' / crash).is_file()
    broken.write_bytes(whole)
    assert main(linear('--participant-label', '01')) == 0
    assert 'No scan of this participant failed' in Page(tmp_path / 'out/sub-01.html').text


@pytest.mark.parametrize(
    'kind', ['desc-inpaint_qc', 'from-T1w_to-MNI152NLin2009aSym_mode-image_xfm']
)
def test_qc_file_that_cannot_be_read_does_not_stop_the_others(out, linear, capsys, kind):
    path = out / f'sub-01/anat/sub-01_{kind}.json'
    path.write_text('')
    (out / 'sub-02.html').unlink()
    assert main(linear('--reports-only')) == 1
    error = capsys.readouterr().err
    assert f'sub-01       {path} must be readable JSON' in error
    assert (out / 'sub-02.html').exists(), error
    assert main(linear('--reports-only', '--participant-label', '01')) == 1
    assert main(linear('--skip-existing')) == 0, 'it is processed again'


def test_one_page_that_fails_does_not_stop_the_others(out, linear, capsys):
    (out / 'sub-01/anat/sub-01_desc-difference_T1w.nii.gz').write_bytes(b'not an image')
    (out / 'sub-02.html').unlink()
    old = (out / 'sub-01.html').stat().st_mtime_ns
    assert main(linear('--reports-only')) == 1
    assert '1 reports could not be made:\nparticipant  reason\nsub-01 ' in capsys.readouterr().err
    assert (out / 'sub-02.html').exists()
    assert (out / 'sub-01.html').stat().st_mtime_ns == old


def test_template_space_alone_is_enough(linear, tmp_path):
    assert main(linear('--output-spaces', 'MNI152NLin2009aSym', '--no-lesion-map')) == 0
    text = Page(tmp_path / 'out/sub-01.html').text
    assert 'on the template grid' in text
    assert 'not mapped' in text


def test_what_others_have_left_is_not_looked_at(out, linear):
    (sidecar,) = out.glob('sub-02/ses-a/anat/*_from-T1w_to-*.json')
    sidecar.write_text('not JSON')
    (out / 'sub-01.html').unlink()
    assert main(linear('--participant-label', '01', '--skip-existing')) == 0
    assert (out / 'sub-01.html').is_file()
    assert main(linear('--reports-only')) == 1


def test_failure_of_another_scan_in_another_run_is_kept_on_the_page(
    linear, tiny_dataset, tmp_path
):
    one = tiny_dataset / 'sub-01/anat/sub-01_T1w.nii.gz'
    broken = one.with_name('sub-01_acq-b_T1w.nii.gz')
    broken.write_bytes(one.read_bytes()[:-100])
    (tmp_path / 'filter.json').write_text('{"t1w": {"acquisition": null}}')
    only_01 = ('--participant-label', '01')
    assert main(linear(*only_01)) == 1
    assert main(linear(*only_01, '--bids-filter-file', str(tmp_path / 'filter.json'))) == 0
    page = Page(tmp_path / 'out/sub-01.html')
    assert 'failed at conform' in page.text
    assert [link for link in page.links if 'crash-' in link]


def test_skipping_remakes_the_page_that_is_missing_or_older(out, linear, capsys):
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*') if path.is_file()}
    assert main(linear('--skip-existing')) == 0
    kept = {path for path in before if path.stat().st_mtime_ns == before[path]}
    rewritten = {path.relative_to(out).as_posix() for path in before.keys() - kept}
    assert rewritten <= {'dataset_description.json', '.bidsignore'}
    (out / 'sub-01.html').unlink()
    assert main(linear('--skip-existing')) == 0
    assert '0 of 2 T1w images are left' in capsys.readouterr().err
    assert (out / 'sub-01.html').is_file()
    assert (out / 'sub-02.html').stat().st_mtime_ns == before[out / 'sub-02.html']
    quality = next(out.glob('sub-02/ses-a/anat/*_qc.json'))
    later = (out / 'sub-02.html').stat().st_mtime + 100
    os.utime(quality, (later, later))
    assert main(linear('--skip-existing')) == 0
    assert (out / 'sub-02.html').stat().st_mtime_ns > before[out / 'sub-02.html']


def test_dry_run_tells_what_would_be_skipped(out, linear, tmp_path, capsys):
    next(out.glob('sub-01/anat/*_desc-change_mask.nii.gz')).unlink()
    before = set(tmp_path.rglob('*'))
    assert main(linear('--skip-existing', '--dry-run')) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'sub-01/anat/sub-01_T1w.nii.gz' in lines
    assert '  sub-01/anat/sub-01_desc-change_mask.nii.gz' in lines
    skipped = [line for line in lines if 'sub-02' in line]
    assert skipped == ['sub-02/ses-a/anat/sub-02_ses-a_run-1_T1w.nii, done: would be skipped']
    assert set(tmp_path.rglob('*')) == before
