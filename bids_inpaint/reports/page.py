"""The page of a participant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bids_inpaint import __version__
from bids_inpaint.reports.citations import Methods
from bids_inpaint.reports.lesions import Lesion
from bids_inpaint.reports.quality import Row
from bids_inpaint.reports.render import asset, render
from bids_inpaint.reports.scan import Picture


@dataclass(frozen=True, kw_only=True)
class ScanSection:
    """Content of the page on one scan.

    Attributes
    ----------
    name : str
        'sub-01_ses-2'.
    source : str
        Its path in the source dataset.
    figures : mapping of str to Picture
        By their paths, relative to the page, in the order shown.
    lesions : sequence of Lesion or None
        None if none were mapped.
    rows : sequence of Row
        QC numbers.
    problems : sequence of str
        Sentences on numbers out of limits.
    facts : mapping of str to str
        Device, time, version, network.
    volumes : mapping of str to str
        Paths for the viewer, relative to the page: `before`, `after`, `difference`, `mask`,
        `probability`.
    scaled : bool
        Whether `before` and `after` are in units of the mean of the brain.
    in_template : bool
        Whether volumes and figures are those of the template grid.

    """

    name: str
    source: str
    figures: Mapping[str, Picture]
    lesions: Sequence[Lesion] | None
    rows: Sequence[Row]
    problems: Sequence[str]
    facts: Mapping[str, str]
    volumes: Mapping[str, str]
    scaled: bool
    in_template: bool


class Error(NamedTuple):
    """A scan that failed: which, where, why, and crash file, relative to the page."""

    scan: str
    step: str
    reason: str
    crash_file: str


def render_page(
    *,
    subject: str,
    scans: Sequence[ScanSection],
    errors: Sequence[Error],
    methods: Methods | None,
) -> str:
    """Render the page of a participant; only figures and volumes are separate files.

    Parameters
    ----------
    subject : str
        'sub-01'.
    scans : sequence of ScanSection
        Processed scans.
    errors : sequence of Error
        Failed scans.
    methods : Methods or None
        For the section on methods; None leaves it out.

    """
    sections = {'Summary': render('summary.html', scans=scans, errors=errors)}
    for number, scan in enumerate(scans):
        sections[scan.name] = render('scan.html', scan=scan, number=number)
    if methods:
        sections['Methods'] = render('methods.html', methods=methods)
    sections['Errors'] = render('errors.html', errors=errors)
    return render(
        'report.html',
        title=f'{subject}: inpainting of lesions',
        sections=sections,
        style=asset('report.css'),
        scripts=[asset('flicker.js'), asset('viewer.js')],
        version=__version__,
    )
