"""From derivatives to the page of a participant."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_inpaint.bids.derivatives import Processed
from bids_inpaint.bids.names import NATIVE_SPACE, VIEWED_SOURCE, figure_path, page_path
from bids_inpaint.files import write_text
from bids_inpaint.reports.citations import Methods, write_methods
from bids_inpaint.reports.page import Error, ScanSection, render_page
from bids_inpaint.reports.quality import quality_rows, sentences
from bids_inpaint.reports.scan import Picture, ScanFigures, draw_scan

# Volumes of the viewer, by role. On the grid of the source, the image before is the source itself,
# which is not among the derivatives; `bids_inpaint_view` serves it.
_ON_TEMPLATE = {
    'before': 'preproc',
    'after': 'inpainted',
    'difference': 'difference',
    'mask': 'lesion_mask',
    'probability': 'lesion_probability',
}
_ON_SOURCE = {
    'after': 'inpainted_native',
    'difference': 'difference_native',
    'mask': 'lesion_mask_native',
    'probability': 'lesion_probability_native',
}

_OF_PROBABILITY = {parts['probability'] for parts in (_ON_TEMPLATE, _ON_SOURCE)}


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
    page = render_page(
        subject=f'sub-{subject}',
        scans=sections,
        errors=errors,
        methods=write_methods(processed[0].steps) if processed else None,
    )
    return write_text(output_dir / page_path(subject), page)


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
    """Draw the figures of a scan, and collect the content of its page."""
    files = _files_of(one)
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
        in_template=drawn.space != NATIVE_SPACE,
    )


def _files_of(one: Processed) -> dict[str, Path]:
    """Files of a scan, without a probability of lesion from an earlier run."""
    composite = next((step for step in one.steps if step.get('step') == 'composite'), {})
    current = composite.get('decided_by') == 'probability' and 'lesion_map_from' in composite
    left_out = set() if current else _OF_PROBABILITY
    return {kind: path for kind, path in one.files().items() if kind not in left_out}


def _save(output_dir: Path, one: Processed, drawn: ScanFigures) -> dict[str, Picture]:
    """Write the figures of a scan, and remove those of earlier reports."""
    figures = {str(figure_path(one.scan, picture.name)): picture for picture in drawn.pictures}
    for path, picture in figures.items():
        write_text(output_dir / path, picture.svg)
    stem = figure_path(one.scan, '*')
    for old in (output_dir / stem.parent).glob(stem.name):
        if old.relative_to(output_dir).as_posix() not in figures:
            old.unlink()
    return figures


def _facts(numbers: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a scan for the summary, as text."""

    def say(name: str, form: str) -> str:
        value = numbers.get(name)
        return form.format(value) if value is not None else 'unknown'

    changed = numbers.get('change_volume_mm3')
    return {
        'changed': 'unknown' if changed is None else f'{changed / 1000:.1f} ml',
        'network': f'{say("model", "{}")}, {say("device", "{}")}',
        'time': say('seconds', '{:.0f} s'),
        'memory': say('peak_memory_mb', '{:.0f} MB'),
        'version': say('version', '{}'),
    }
