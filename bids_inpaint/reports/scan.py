"""The figures and tables of one scan."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from nireports._vendored.svgutils.transform import fromstring
from nireports.reportlets.utils import compose_view
from numpy.typing import NDArray

from bids_inpaint.image import template
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.template import load_template
from bids_inpaint.image.volume import Volume
from bids_inpaint.reports.draw import (
    CHANGE_LIMIT,
    Outline,
    Overlay,
    grey_limits,
    histogram,
    mosaic,
)
from bids_inpaint.reports.lesions import Lesion, list_lesions
from bids_inpaint.reports.planes import box_around, choose_cuts
from bids_inpaint.reports.views import TEMPLATE, Maps, View, load_maps, load_view

_COLUMNS = 5
_LEAST_SHOWN = 0.02  # of the mean of the brain: smaller changes are not coloured
_UNIT = 'units of the mean of the brain'
_FLICKER = Path(__file__).parent / 'assets' / 'flicker.svg.txt'
_SPACE_NAMES = {'T1w': "on the source's own grid", TEMPLATE: 'on the template grid'}


class Picture(NamedTuple):
    """A figure: short name, SVG, title, text below it, and text in its place.

    Of two images that alternate, `pair` names that behind and that in front.
    """

    name: str
    svg: str
    title: str
    caption: str
    alternative: str
    pair: tuple[str, str] | None = None


class ScanFigures(NamedTuple):
    """What is shown of one scan, and its lesions; `lesions` is None if none were mapped."""

    pictures: list[Picture]
    lesions: list[Lesion] | None
    space: str


def draw_scan(files: Mapping[str, Path], numbers: Mapping[str, Any]) -> ScanFigures:
    """Draw the figures of one scan from its derivatives.

    Parameters
    ----------
    files : mapping of str to Path
        As `bids_inpaint.bids.derivatives.Processed.files` gives them. What cannot be drawn for
        want of a file is left out.
    numbers : mapping
        Its QC numbers.

    """
    view = load_view(files, brain_mean=float(numbers.get('brain_mean') or 1))
    maps = load_maps(files)
    pictures: list[Picture] = []
    lesions = None
    if view:
        pictures += _changes(view, given=bool(numbers.get('lesion_mask')))
        lesions = None if view.lesions is None else list_lesions(view)
        pictures += _registration(view)
    pictures += _preprocessing(view, maps)
    return ScanFigures(pictures, lesions, view.space if view else '')


def flicker(before: str, after: str) -> str:
    """Lay one SVG over another, so that they alternate while the pointer is on them.

    A page can choose one of them by a message, `before` or `after`, and an image by such a
    fragment of its address: `flicker.svg#before`.
    """
    back, front = ([fromstring(text)] for text in (before, after))
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'flicker.svg'
        compose_view(back, front, out_file=path)
        text = path.read_text(encoding='utf-8')
    for name, group in (('before', 'background-svg'), ('after', 'foreground-svg')):
        text = text.replace(f'class="{group}"', f'class="{group}" id="{name}"', 1)
    end = text.rindex('</svg>')
    return text[:end] + _FLICKER.read_text(encoding='utf-8') + text[end:]


def _changes(view: View, *, given: bool) -> Iterator[Picture]:
    """Draw before and after, the change, and the lesions; `given` if these are a user's mask."""
    weight = np.abs(view.difference)
    rows = choose_cuts(weight, view.brain, count=_COLUMNS)[::-1]
    box = box_around(view.brain, view.before.affine)
    limits = grey_limits(view.before.data, view.brain)
    before, after = (
        mosaic(image, rows, box, limits, title=title)
        for image, title in ((view.before, 'before'), (view.after, 'after'))
    )
    where = _SPACE_NAMES[view.space]
    yield Picture(
        'flicker',
        flicker(before, after),
        'Before and after',
        f'Planes with the largest changes, {where}. The image after inpainting is shown; put the '
        f'pointer on it, and it alternates with the image before. The button shows either.'
        + ' The source was not there: "before" is the product less the change.'
        * view.rebuilt,
        'Axial, coronal and sagittal planes before and after inpainting, through the largest '
        'changes',
        pair=('before', 'after'),
    )
    change = Overlay(
        view.difference,
        weight > _LEAST_SHOWN,
        'RdBu_r',
        (-CHANGE_LIMIT, CHANGE_LIMIT),
        f'change, {_UNIT}',
    )
    yield Picture(
        'change',
        mosaic(view.before, rows, box, limits, title='change', overlay=change),
        'Change',
        f'What was added to the source, over it: red is brighter, blue darker. Smaller changes '
        f'than {_LEAST_SHOWN:g} are not coloured.',
        'The same planes with the change in colour over the image before inpainting',
    )
    if view.lesions is not None:
        outlines = [Outline(view.lesions, 'red')]
        name, what = (
            ('Lesion mask', 'what was filled of the lesion mask that was given')
            if given
            else ('Lesion map', 'the lesions that were mapped')
        )
        yield Picture(
            'lesions',
            mosaic(view.before, rows, box, limits, title=name.lower(), outlines=outlines),
            name,
            f'Outlines of {what}, on the image before inpainting.',
            'The same planes with the lesions outlined in red',
        )


def _registration(view: View) -> Iterator[Picture]:
    """Draw outlines of the template on the image, and of the image's brain on the template."""
    maps = load_template()
    std_grid = Grid(maps.t1w.shape, template.AFFINE)
    grid = Grid(view.before.data.shape, view.before.affine)
    to_native = inverse(view.to_mni)

    def bring(data: NDArray[Any]) -> NDArray[np.float32]:
        """Bring a map of the template to the grid of the image."""
        volume = Volume(np.asarray(data, np.float32), template.AFFINE)
        return resample(volume, grid, to_native)

    rows = choose_cuts(np.zeros(grid.shape, np.float32), view.brain, count=_COLUMNS)[::-1]
    outlines = [Outline(bring(maps.brain_mask), 'gold'), Outline(bring(maps.white_matter), 'cyan')]
    box = box_around(view.brain, view.before.affine)
    on_image = mosaic(
        view.before,
        rows,
        box,
        grey_limits(view.before.data, view.brain),
        title='image, with outlines of the template',
        outlines=outlines,
    )
    yield Picture(
        'registration',
        on_image,
        'Registration: the template on the image',
        'Outlines of the brain (yellow) and the white matter (cyan) of the template, brought to '
        'the image. They should follow the edges of the brain, and roughly those of its white '
        'matter; the map is affine.',
        'Planes of the image with outlines of the template',
    )
    moved = resample(view.before, std_grid, view.to_mni)
    brain = resample(Volume(view.brain.astype(np.float32), grid.affine), std_grid, view.to_mni)
    std_rows = choose_cuts(np.zeros(std_grid.shape, np.float32), maps.brain_mask, count=_COLUMNS)
    std_box = box_around(maps.brain_mask, template.AFFINE)
    pair = (
        (Volume(maps.t1w, template.AFFINE), 'template'),
        (Volume(moved, template.AFFINE), 'image, brought to the template'),
    )
    panels = [
        mosaic(
            volume,
            std_rows[::-1],
            std_box,
            grey_limits(volume.data, maps.brain_mask),
            title=title,
            outlines=[Outline(brain, 'magenta')],
        )
        for volume, title in pair
    ]
    yield Picture(
        'reverse',
        flicker(*panels),
        'Registration: the image on the template',
        "The image's brain mask (magenta) on the image brought to the template; with the pointer "
        'on it, it alternates with the template itself.',
        'Planes of the template and of the image brought to it, with the outline of the brain',
        pair=('template', 'image'),
    )


def _preprocessing(view: View | None, maps: Maps) -> Iterator[Picture]:
    """Draw the bias field, and the histograms before and after normalisation."""
    if maps.bias_field and maps.brain is not None and maps.brain.any():
        rows = choose_cuts(np.zeros(maps.brain.shape, np.float32), maps.brain, count=_COLUMNS)
        field = Volume(np.where(maps.brain, maps.bias_field.data, np.nan), maps.bias_field.affine)
        span = max(0.1, float(np.abs(field.data[maps.brain] - 1).max()))
        box = box_around(maps.brain, field.affine)
        yield Picture(
            'biasfield',
            mosaic(
                field,
                rows[::-1],
                box,
                (1 - span, 1 + span),
                title='bias field',
                cmap='PuOr_r',
                label='bias field (1: no bias)',
            ),
            'Bias field',
            'What the image was divided by, within the brain, on the template grid.',
            'Planes of the bias field, in colour',
        )
    if view and view.space != TEMPLATE and maps.preproc and maps.brain is not None:
        yield Picture(
            'histogram',
            histogram(view.before.data[view.brain], maps.preproc.data[maps.brain]),
            'Intensities of the brain',
            'Before denoising, bias correction and normalisation, and after; the orange line is '
            'the mean.',
            'Histograms of the brain before and after normalisation',
        )
