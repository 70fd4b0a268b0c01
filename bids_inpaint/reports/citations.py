"""Text on the methods, to be pasted into a paper: Markdown, HTML, LaTeX and BibTeX."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from bids_inpaint import __version__

_CITE = re.compile(r'\[@([a-z0-9; @]+)\]')


class Reference(NamedTuple):
    """A paper."""

    kind: str
    authors: str
    year: str
    title: str
    venue: str  # journal, or book
    pages: str = ''
    volume: str = ''
    doi: str = ''
    series: str = ''  # that a book's volume is counted in


REFERENCES: Mapping[str, Reference] = {
    'manjon2020': Reference(
        'inproceedings',
        'Manjón, José V. and Romero, José E. and Vivo-Hernando, Roberto and Rubio, Gregorio and '
        'Aparici, Fernando and de la Iglesia-Vaya, Maria and Tourdias, Thomas and Coupé, Pierrick',
        '2020',
        'Blind MRI Brain Lesion Inpainting Using Deep Learning',
        'Simulation and Synthesis in Medical Imaging (SASHIMI)',
        '41--49',
        '12417',
        '10.1007/978-3-030-59520-3_5',
        'Lecture Notes in Computer Science',
    ),
    'manjon2010': Reference(
        'article',
        'Manjón, José V. and Coupé, Pierrick and Martí-Bonmatí, Luis and Collins, D. Louis and '
        'Robles, Montserrat',
        '2010',
        'Adaptive non-local means denoising of MR images with spatially varying noise levels',
        'Journal of Magnetic Resonance Imaging',
        '192--203',
        '31',
        '10.1002/jmri.22003',
    ),
    'avants2011': Reference(
        'article',
        'Avants, Brian B. and Tustison, Nicholas J. and Song, Gang and Cook, Philip A. and '
        'Klein, Arno and Gee, James C.',
        '2011',
        'A reproducible evaluation of ANTs similarity metric performance in brain image '
        'registration',
        'NeuroImage',
        '2033--2044',
        '54',
        '10.1016/j.neuroimage.2010.09.025',
    ),
    'tustison2010': Reference(
        'article',
        'Tustison, Nicholas J. and Avants, Brian B. and Cook, Philip A. and Zheng, Yuanjie and '
        'Egan, Alexander and Yushkevich, Paul A. and Gee, James C.',
        '2010',
        'N4ITK: Improved N3 Bias Correction',
        'IEEE Transactions on Medical Imaging',
        '1310--1320',
        '29',
        '10.1109/TMI.2010.2046908',
    ),
    'fonov2011': Reference(
        'article',
        'Fonov, Vladimir and Evans, Alan C. and Botteron, Kelly and Almli, C. Robert and '
        'McKinstry, Robert C. and Collins, D. Louis',
        '2011',
        'Unbiased average age-appropriate atlases for pediatric studies',
        'NeuroImage',
        '313--327',
        '54',
        '10.1016/j.neuroimage.2010.07.033',
    ),
    'gorgolewski2011': Reference(
        'article',
        'Gorgolewski, Krzysztof and Burns, Christopher D. and Madison, Cindee and Clark, Dav and '
        'Halchenko, Yaroslav O. and Waskom, Michael L. and Ghosh, Satrajit S.',
        '2011',
        'Nipype: a flexible, lightweight and extensible neuroimaging data processing framework '
        'in Python',
        'Frontiers in Neuroinformatics',
        '13',
        '5',
        '10.3389/fninf.2011.00013',
    ),
    'gorgolewski2016': Reference(
        'article',
        'Gorgolewski, Krzysztof J. and Auer, Tibor and Calhoun, Vince D. and others',
        '2016',
        'The brain imaging data structure, a format for organizing and describing outputs of '
        'neuroimaging experiments',
        'Scientific Data',
        '160044',
        '3',
        '10.1038/sdata.2016.44',
    ),
}


class Methods(NamedTuple):
    """The text in four forms."""

    markdown: str
    html: str
    latex: str
    bibtex: str


def write_methods(steps: Iterable[Mapping[str, Any]]) -> Methods:
    """Write the text for scans that were processed by some steps.

    Parameters
    ----------
    steps : iterable of mapping
        Facts of each step of one scan, as its sidecars have them; thresholds and network are
        taken from them.

    """
    facts = {str(step.get('step')): step for step in steps}
    paragraphs = [_preprocessing(), _inpainting(facts)]
    keys = list(dict.fromkeys(key for text in paragraphs for key in _keys(text)))
    return Methods(
        markdown='\n\n'.join(paragraphs) + '\n\n' + _markdown_list(keys),
        html=_html(paragraphs, keys),
        latex=_latex(paragraphs),
        bibtex='\n'.join(_bibtex(key) for key in keys),
    )


def _preprocessing() -> str:
    """Say what happens before the network."""
    return (
        f'White-matter lesions were removed from T1-weighted images with bids_inpaint '
        f'{__version__}, a BIDS App [@gorgolewski2016] built on Nipype [@gorgolewski2011], after '
        f'the method of Manjón et al. [@manjon2020]. Each T1-weighted image was processed on its '
        f'own: registered to the ICBM 2009a nonlinear symmetric template [@fonov2011] by an '
        f'affine transform with ANTs [@avants2011], denoised by adaptive non-local means with a '
        f'Rician noise model [@manjon2010], resampled to 1 mm, corrected for intensity '
        f'non-uniformity with N4 [@tustison2010] within a mask of the brain, and divided by the '
        f'mean intensity of the brain.'
    )


def _inpainting(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what the network does, and what is kept of it."""
    network, composite = facts.get('inpaint', {}), facts.get('composite', {})
    lesions = facts.get('map_lesions')
    averaged = ', averaged with its prediction for the mirrored image' * bool(
        network.get('flip_averaging')
    )
    weights = (
        f' (weights "{network["model"]}", sha256 {network["sha256"][:12]})' if network else ''
    )
    if 'within' in composite:  # a mask was given
        return (
            f'A 3-D U-Net{weights} predicted what the voxels of the given lesion mask would be '
            f'without lesions, from all others{averaged}. These voxels were scaled back to the '
            f'intensities of the source, resampled linearly to its grid, and put in their place; '
            f'all other voxels were kept as acquired.'
        )
    limits = (
        f' exceeded {composite["core_threshold"]:g} of the mean of the brain, with the voxels '
        f'connected to them that exceeded {composite["edge_threshold"]:g}'
        if composite
        else ' exceeded a threshold'
    )
    text = (
        f'A 3-D U-Net{weights} predicted the image without lesions, without a mask of '
        f'them{averaged}. Only where its change{limits}, the change was scaled back to the '
        f'intensities of the source, resampled linearly to its grid, and added to it; all other '
        f'voxels were kept as acquired.'
    )
    if lesions:
        text += (
            f' Changes above {lesions["threshold"]:g} in white matter, of at least '
            f'{lesions["min_size_mm3"]:g} mm3, were mapped as lesions.'
        )
    return text


def _keys(text: str) -> list[str]:
    """Keys of the papers that a text cites, in order."""
    return [key.strip(' @') for group in _CITE.findall(text) for key in group.split(';')]


def _replace(text: str, render: Callable[[str], str]) -> str:
    """Replace each citation by what is rendered of its key."""
    return _CITE.sub(lambda match: render(match[1].strip(' @')), text)


def _surnames(authors: str) -> str:
    """Name authors as in a text: 'Manjón et al.'."""
    names = authors.split(' and ')
    first = names[0].split(',')[0]
    return f'{first} et al.' if len(names) > 1 else first


def _plain(key: str) -> str:
    """Write a reference on one line."""
    ref = REFERENCES[key]
    place = ', '.join(
        filter(None, (ref.venue, ref.series, ref.volume, ref.pages.replace('--', '-')))
    )
    names = ref.authors.replace(' and others', ' et al.').replace(' and ', '; ')
    return f'{names} ({ref.year}). {ref.title}. {place}. doi:{ref.doi}'


def _markdown_list(keys: Iterable[str]) -> str:
    """Write the list of references."""
    return '### References\n\n' + ''.join(f'- [@{key}]: {_plain(key)}\n' for key in keys)


def _html(paragraphs: Iterable[str], keys: Iterable[str]) -> str:
    """Write the text and its references as HTML."""

    def cite(key: str) -> str:
        return f'({_surnames(REFERENCES[key].authors)} {REFERENCES[key].year})'

    body = ''.join(
        f'<p>{_replace(html.escape(text, quote=False), cite)}</p>\n' for text in paragraphs
    )
    items = ''.join(f'<li>{html.escape(_plain(key), quote=False)}</li>\n' for key in keys)
    return f'{body}<h3>References</h3>\n<ul>\n{items}</ul>\n'


def _latex(paragraphs: Iterable[str]) -> str:
    """Write the text as LaTeX; its references are in the BibTeX."""
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


def _bibtex(key: str) -> str:
    """Write a reference as BibTeX."""
    ref = REFERENCES[key]
    where = 'journal' if ref.kind == 'article' else 'booktitle'
    fields = {
        'author': ref.authors,
        'title': f'{{{ref.title}}}',
        where: ref.venue,
        'series': ref.series,
        'year': ref.year,
        'volume': ref.volume,
        'pages': ref.pages,
        'doi': ref.doi,
    }
    lines = ''.join(f'  {name} = {{{value}}},\n' for name, value in fields.items() if value)
    return f'@{ref.kind}{{{key},\n{lines}}}\n'
