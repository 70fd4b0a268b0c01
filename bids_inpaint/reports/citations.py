"""Methods text for a paper: Markdown, HTML, LaTeX and BibTeX."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from bids_inpaint import __version__
from bids_inpaint.reports.render import asset

_CITE = re.compile(r'\[@([a-z0-9; @]+)\]')
_FIELD = re.compile(r'^  (\w+) = \{(.*)\},$', re.MULTILINE)


class Reference(NamedTuple):
    """A paper: its BibTeX, and the fields of it."""

    bibtex: str
    fields: Mapping[str, str]


def _read_references() -> dict[str, Reference]:
    """Read `assets/citations.bib`, by the keys of the papers."""
    entries = str(asset('citations.bib')).split('\n\n')
    return {
        entry[entry.index('{') + 1 : entry.index(',')]: Reference(
            entry.rstrip('\n') + '\n',
            {name: value.strip('{}') for name, value in _FIELD.findall(entry)},
        )
        for entry in entries
    }


class Methods(NamedTuple):
    """The text in four forms."""

    markdown: str
    html: str
    latex: str
    bibtex: str


def write_methods(steps: Iterable[Mapping[str, Any]]) -> Methods:
    """Write the text for scans processed by some steps.

    Parameters
    ----------
    steps : iterable of mapping
        Facts of each step of one scan, as in its sidecars, with thresholds and network.

    """
    facts = {str(step.get('step')): step for step in steps}
    paragraphs = [_preprocessing(), _inpainting(facts)]
    keys = list(dict.fromkeys(key for text in paragraphs for key in _keys(text)))
    return Methods(
        markdown='\n\n'.join(paragraphs) + '\n\n' + _markdown_list(keys),
        html=_html(paragraphs, keys),
        latex=_latex(paragraphs),
        bibtex='\n'.join(REFERENCES[key].bibtex for key in keys),
    )


def _preprocessing() -> str:
    """Describe the preprocessing."""
    return (
        f'White-matter lesions in T1-weighted images were filled with bids_inpaint '
        f'{__version__}, a BIDS App [@gorgolewski2016] built on Nipype [@gorgolewski2011], after '
        f'the method of Manjón et al. [@manjon2020]. Each T1-weighted image was affinely '
        f'registered to the ICBM 2009a nonlinear symmetric template [@fonov2011] with ANTs '
        f'[@avants2011], denoised by adaptive non-local means with a Rician noise model '
        f'[@manjon2010], resampled to 1 mm, corrected for intensity non-uniformity with N4 '
        f'[@tustison2010] within a brain mask, and divided by the mean intensity of the brain.'
    )


def _inpainting(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the network, and the use of its output."""
    network, composite = facts.get('inpaint', {}), facts.get('composite', {})
    averaged = ', averaged with its prediction for the mirrored image' * bool(
        network.get('flip_averaging')
    )
    weights = (
        f' (weights "{network["model"]}", sha256 {network["sha256"][:12]})' if network else ''
    )
    if 'within' in composite:  # a mask was given
        return (
            f'A 3-D U-Net{weights} predicted the lesion-free intensities of the voxels of a given '
            f'lesion mask from all other voxels{averaged}. The prediction was scaled back to the '
            f'intensities of the source, and resampled linearly to the voxels of the mask; all '
            f'other voxels were kept as acquired.'
        )
    predicted, decided = _decision(composite)
    return (
        f'A 3-D U-Net{weights} predicted {predicted}, without a lesion mask{averaged}. Where '
        f'{decided}, the change was scaled back to the intensities of the source, resampled '
        f'linearly to its grid, and added to it; all other voxels were kept as acquired.'
        f'{_lesion_map(composite)}'
    )


def _decision(composite: Mapping[str, Any]) -> tuple[str, str]:
    """Describe the prediction, and where its change is used."""
    if composite.get('decided_by') == 'probability':
        return (
            'the image without lesions and the probability of lesion',
            f'this probability exceeded {composite["core_threshold"]:g}, in connected voxels '
            f'above {composite["edge_threshold"]:g}, and in at most two voxels around them',
        )
    limits = (
        f'exceeded {composite["core_threshold"]:g} of mean brain intensity, and in connected '
        f'voxels where it exceeded {composite["edge_threshold"]:g}'
        if composite
        else 'exceeded a threshold'
    )
    return 'the image without lesions', f'its change {limits}'


def _lesion_map(composite: Mapping[str, Any]) -> str:
    """Describe the lesion map, if there is one."""
    if 'lesion_threshold' not in composite:
        return ''
    limit = f'{composite["lesion_threshold"]:g}'
    size = f'of at least {composite["min_size_mm3"]:g} mm3'
    if composite['lesion_map_from'] == 'probability':
        return f' Voxels with a probability above {limit}, {size}, were mapped as lesions.'
    return f' Changes above {limit} in white matter, {size}, were mapped as lesions.'


def _keys(text: str) -> list[str]:
    """Keys of the papers that a text cites, in order."""
    return [key.strip(' @') for group in _CITE.findall(text) for key in group.split(';')]


def _replace(text: str, render: Callable[[str], str]) -> str:
    """Replace each citation by its rendered key."""
    return _CITE.sub(lambda match: render(match[1].strip(' @')), text)


def _plain(key: str) -> str:
    """Write a reference on one line."""
    fields = REFERENCES[key].fields
    where = ('journal', 'booktitle', 'series', 'volume', 'pages')
    place = ', '.join(fields[name] for name in where if name in fields).replace('--', '-')
    names = fields['author'].replace(' and others', ' et al.').replace(' and ', '; ')
    return f'{names} ({fields["year"]}). {fields["title"]}. {place}. doi:{fields["doi"]}'


def _markdown_list(keys: Iterable[str]) -> str:
    """Write the list of references."""
    return '### References\n\n' + ''.join(f'- [@{key}]: {_plain(key)}\n' for key in keys)


def _html(paragraphs: Iterable[str], keys: Iterable[str]) -> str:
    """Write the text and its references as HTML."""

    def cite(key: str) -> str:
        fields = REFERENCES[key].fields
        surname = fields['author'].partition(',')[0]
        others = ' et al.' if ' and ' in fields['author'] else ''
        return f'({surname}{others} {fields["year"]})'

    body = ''.join(
        f'<p>{_replace(html.escape(text, quote=False), cite)}</p>\n' for text in paragraphs
    )
    items = ''.join(f'<li>{html.escape(_plain(key), quote=False)}</li>\n' for key in keys)
    return f'{body}<h3>References</h3>\n<ul>\n{items}</ul>\n'


def _latex(paragraphs: Iterable[str]) -> str:
    """Write the text as LaTeX; the references are in the BibTeX."""
    special = {'%': r'\%', '&': r'\&', '_': r'\_', '#': r'\#'}
    texts = []
    for text in paragraphs:
        escaped = ''.join(special.get(c, c) for c in text).replace('mm3', 'mm$^3$')
        escaped = re.sub(r'"([^"]*)"', r"``\1''", escaped)
        texts.append(_replace(escaped, lambda key: rf'\cite{{{key}}}'))
    body = '\n\n'.join(texts)
    return (
        '\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\begin{document}\n'
        f'{body}\n\n\\bibliographystyle{{plain}}\n\\bibliography{{CITATION}}\n\\end{{document}}\n'
    )


REFERENCES = _read_references()
