"""From derivatives to the page of a participant."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint.bids.atomic import replacing, write_text
from bids_inpaint.bids.derivatives import Processed
from bids_inpaint.bids.names import VIEWED_SOURCE, figure_path
from bids_inpaint.reports.citations import Methods, write_methods
from bids_inpaint.reports.page import Error, Figure, ScanSection, write_page
from bids_inpaint.reports.quality import quality_rows, sentences
from bids_inpaint.reports.scan import ScanFigures, draw_scan

# What the viewer shows, by its part in it. On the source's own grid, the image before is the
# source: it is not among the derivatives, and `bids_inpaint_view` serves it.
_ON_TEMPLATE = {
    'before': 'preproc',
    'after': 'inpainted',
    'difference': 'difference',
    'mask': 'lesion_mask',
}
_ON_SOURCE = {
    'after': 'inpainted_native',
    'difference': 'difference_native',
    'mask': 'lesion_mask_native',
}

__all__ = ['Error', 'report_participant', 'write_citations']


def report_participant(
    output_dir: Path, subject: str, processed: Sequence[Processed], errors: Sequence[Error]
) -> Path:
    """Make figures and page of a participant, from derivatives alone.

    Parameters
    ----------
    output_dir : Path
        Derivative dataset.
    subject : str
        Label, without 'sub-'.
    processed : sequence of Processed
        Scans of this participant.
    errors : sequence of Error
        Scans that failed.

    Returns
    -------
    Path
        `sub-XX.html`.

    """
    sections = [_section(output_dir, one) for one in processed]
    page = output_dir / f'sub-{subject}.html'
    with replacing(page) as temporary:
        write_page(
            temporary,
            subject=f'sub-{subject}',
            scans=sections,
            errors=errors,
            methods=write_methods(processed[0].steps) if processed else None,
        )
    return page


def write_citations(output_dir: Path, steps: Iterable[Mapping[str, Any]]) -> None:
    """Write `logs/CITATION.md`, `.html`, `.tex` and `.bib`."""
    methods: Methods = write_methods(steps)
    texts = {
        'md': methods.markdown,
        'html': f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>Methods</title></head>\n<body>\n{methods.html}</body></html>\n',
        'tex': methods.latex,
        'bib': methods.bibtex,
    }
    for extension, text in texts.items():
        write_text(output_dir / 'logs' / f'CITATION.{extension}', text)


def _section(output_dir: Path, one: Processed) -> ScanSection:
    """Draw the figures of a scan, and gather what the page tells of it."""
    files = one.files()
    drawn = draw_scan(files, one.numbers)
    figures = _save(output_dir, one, drawn)
    scaled = {'preproc', 'inpainted'} <= files.keys()
    parts = _ON_TEMPLATE if scaled else _ON_SOURCE
    volumes = {
        part: files[kind].relative_to(output_dir).as_posix()
        for part, kind in parts.items()
        if kind in files
    }
    if not scaled:
        volumes['before'] = f'{VIEWED_SOURCE}/{one.scan.relative_path}'
    return ScanSection(
        name=one.scan.name,
        source=str(one.scan.relative_path),
        figures=figures,
        lesions=drawn.lesions,
        rows=quality_rows(one.numbers),
        problems=sentences(one.numbers),
        facts=_facts(one.numbers),
        volumes=volumes,
        scaled=scaled,
        in_template=drawn.space != 'T1w',
    )


def _save(output_dir: Path, one: Processed, drawn: ScanFigures) -> list[Figure]:
    """Write the figures of a scan, and remove those that only an earlier report had."""
    figures = []
    written: set[PurePosixPath] = set()
    for picture in drawn.pictures:
        path = figure_path(one.scan, picture.name)
        write_text(output_dir / path, picture.svg)
        written.add(path)
        figures.append(
            Figure(str(path), picture.title, picture.caption, picture.alternative, picture.pair)
        )
    stem = figure_path(one.scan, '*')
    for old in (output_dir / stem.parent).glob(stem.name):
        if PurePosixPath(old.relative_to(output_dir).as_posix()) not in written:
            old.unlink()
    return figures


def _facts(numbers: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a scan for the summary, as text."""

    def say(name: str, form: str) -> str:
        value = numbers.get(name)
        return form.format(value) if value is not None else 'not known'

    changed = numbers.get('change_volume_mm3')
    return {
        'changed': 'not known' if changed is None else f'{changed / 1000:.1f} ml',
        'network': f'{say("model", "{}")}, {say("device", "{}")}',
        'time': say('seconds', '{:.0f} s'),
        'memory': say('peak_memory_mb', '{:.0f} MB'),
        'version': say('version', '{}'),
    }
