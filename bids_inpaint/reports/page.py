"""The page of a participant.

nireports' assembler renders it, with a template of ours: its own loads scripts from servers, has
no texts in place of images and does not escape what it is given. Its search for figures is not
used: it indexes the whole dataset anew for each participant, and mixes up scans that differ in
an entity that it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from nireports.assembler.report import Report, SubReport

from bids_inpaint import __version__
from bids_inpaint.reports.citations import Methods
from bids_inpaint.reports.lesions import Lesion
from bids_inpaint.reports.quality import Row

ASSETS = Path(__file__).parent / 'assets'


class Figure(NamedTuple):
    """A figure that lies beside the page; `path` is relative to it."""

    path: str
    title: str
    caption: str
    alternative: str
    pair: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class ScanSection:
    """What the page tells of one scan.

    Attributes
    ----------
    name : str
        'sub-01_ses-2'.
    source : str
        Its path in the source dataset.
    figures : sequence of Figure
        In the order shown.
    lesions : sequence of Lesion or None
        None if none were mapped.
    rows : sequence of Row
        QC numbers.
    problems : sequence of str
        Sentences on what is wrong.
    facts : mapping of str to str
        Device, time, version, network.
    volumes : mapping of str to str
        Paths for the viewer, relative to the page: `before`, `after`, `difference`, `mask`.
    scaled : bool
        Whether `before` and `after` are in units of the mean of the brain.
    in_template : bool
        Whether volumes and figures are those of the template grid.

    """

    name: str
    source: str
    figures: Sequence[Figure]
    lesions: Sequence[Lesion] | None
    rows: Sequence[Row]
    problems: Sequence[str]
    facts: Mapping[str, str]
    volumes: Mapping[str, str]
    scaled: bool
    in_template: bool


class Error(NamedTuple):
    """A scan that failed: which, where, why, crash file (relative to the page) and its text."""

    scan: str
    step: str
    reason: str
    crash_file: str
    text: str


@dataclass
class Block:
    """What nireports calls a reportlet: named content with a title."""

    name: str
    components: list[tuple[Markup, str]]
    title: str = ''
    subtitle: str = ''
    description: str = ''
    extra: dict[str, Any] = field(default_factory=dict)


class ParticipantReport(Report):
    """A report whose sections are given, not searched for."""

    __slots__ = ('given',)

    def __init__(self, out_file: Path, sections: Sequence[SubReport], *, title: str) -> None:
        self.given = sections
        super().__init__(  # type: ignore[no-untyped-call]
            out_file.parent,
            None,
            bootstrap_file=ASSETS / 'report.yml',
            out_filename=out_file.name,
            plugins=[],
            metadata={'filename': 'report'},
        )
        self.title = title
        self.template_path = ASSETS / 'report.html.j2'

    def index(self, config: Mapping[str, Any]) -> None:  # noqa: ARG002 - as the assembler calls it
        """Take the sections that were given."""
        self.sections = list(self.given)


def write_page(
    out_file: Path,
    *,
    subject: str,
    scans: Sequence[ScanSection],
    errors: Sequence[Error],
    methods: Methods | None,
) -> Path:
    """Write the page of a participant.

    Parameters
    ----------
    out_file : Path
        Where; not made visible under its name before it is complete, if the caller gives a
        temporary one.
    subject : str
        'sub-01'.
    scans : sequence of ScanSection
        Those that were processed.
    errors : sequence of Error
        Those that failed.
    methods : Methods or None
        For the section on methods; None leaves it out.

    """
    render = _environment().get_template
    sections = [
        _section('Summary', render('summary.html.j2').render(scans=scans, errors=errors)),
        *[
            _section(scan.name, render('scan.html.j2').render(scan=scan, number=number))
            for number, scan in enumerate(scans)
        ],
    ]
    if methods:
        sections.append(_section('Methods', render('methods.html.j2').render(methods=methods)))
    sections.append(_section('Errors', render('errors.html.j2').render(errors=errors)))
    title = f'{subject}: inpainting of lesions'
    report = ParticipantReport(out_file, sections, title=title)
    # The assembler hands `header` and `footer` to the template as they are.
    report.header = [Markup('<style>{}</style>').format(_asset('report.css'))]
    scripts = (_asset('flicker.js'), _asset('viewer.js'))
    report.footer = [Markup('<script>{}</script>\n<script>{}</script>').format(*scripts)]
    report.footer.append(Markup('bids_inpaint {}').format(__version__))
    report.generate_report()  # type: ignore[no-untyped-call]
    return out_file


def _section(name: str, content: str) -> SubReport:
    """Make a section of one block."""
    block = Block(name=f'block-{name}', components=[(Markup(content), '')])  # noqa: S704 - rendered with escapes
    return SubReport(name=name, title=name, reportlets=[block])


def _asset(name: str) -> Markup:
    """Read a file of ours that goes into the page as it is."""
    return Markup((ASSETS / name).read_text(encoding='utf-8'))  # noqa: S704 - our own file


def _environment() -> jinja2.Environment:
    """Make what renders templates; everything is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
