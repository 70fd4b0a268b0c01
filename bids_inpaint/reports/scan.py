"""The figures and tables of one scan."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bids_inpaint.bids.names import NATIVE_SPACE, TEMPLATE_SPACE
from bids_inpaint.image import template
from bids_inpaint.image.resample import Grid, inverse
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
from bids_inpaint.reports.planes import Box, Cut, box_around, choose_cuts, resample_planes
from bids_inpaint.reports.render import render
from bids_inpaint.reports.views import Maps, Placed, View, load_maps, load_view

_COLUMNS = 5
_LEAST_SHOWN = 0.02  # of the mean of the brain: smaller changes have no colour
_LEAST_PROBABILITY = 0.05
# Neither grey nor black, as in the image, nor the colours of the change.
_PROBABILITY_COLOURS = 'plasma'
_UNIT = 'units of mean brain intensity'
_CONTENT = re.compile(r'<svg[^>]*viewBox="(?P<box>[^"]+)"[^>]*>(?P<content>.*)</svg>', re.DOTALL)
_SPACE_NAMES = {
    NATIVE_SPACE: 'on the grid of the source',
    TEMPLATE_SPACE: 'on the template grid',
}


class Picture(NamedTuple):
    """A figure: short name, SVG, title, caption, and alternative text.

    If two images alternate, `pair` names the one behind and the one in front.
    """

    name: str
    svg: str
    title: str
    caption: str
    alternative: str
    pair: tuple[str, str] | None = None


class ScanFigures(NamedTuple):
    """Figures and lesions of one scan; `lesions` is None without lesion map."""

    pictures: list[Picture]
    lesions: list[Lesion] | None
    space: str


def draw_scan(files: Mapping[str, Path], numbers: Mapping[str, Any]) -> ScanFigures:
    """Draw the figures of one scan from its derivatives.

    Parameters
    ----------
    files : mapping of str to Path
        Of `bids_inpaint.bids.derivatives.Processed.files`. A figure is left out if a file is
        missing.
    numbers : mapping
        Its QC numbers.

    """
    view = load_view(files, brain_mean=float(numbers.get('brain_mean') or 1))
    pictures: list[Picture] = []
    lesions, placed, space = None, None, ''
    if view:
        pictures += _changes(view, given=bool(numbers.get('lesion_mask')))
        lesions = None if view.lesions is None else list_lesions(view)
        placed, space = view.placed, view.space
        del view  # half a gigabyte where voxels are fine
        pictures += [_template_on_image(placed), _image_on_template(placed)]
    pictures += _preprocessing(placed, load_maps(files), space)
    return ScanFigures(pictures, lesions, space)


def flicker(before: str, after: str) -> str:
    """Lay one SVG over another, so that they alternate under the pointer.

    A page can select one of them by a message, `before` or `after`, an image by the fragment of
    its address: `flicker.svg#before`.
    """
    back, front = _CONTENT.search(before), _CONTENT.search(after)
    if not back or not front:
        msg = 'no <svg> with a viewBox'
        raise ValueError(msg)
    before, after = (Markup(found['content']) for found in (back, front))  # noqa: S704 - drawn here
    return render('flicker.svg', box=back['box'], before=before, after=after)


class _Frame(NamedTuple):
    """Planes, visible box and greys that the figures of the change share."""

    rows: Sequence[Sequence[Cut]]
    box: Box
    limits: tuple[float, float]


def _changes(view: View, *, given: bool) -> Iterator[Picture]:
    """Draw the planes with the largest changes; `given` if the lesions are a mask of the user."""
    frame = _Frame(
        choose_cuts(np.abs(view.difference), view.brain, count=_COLUMNS)[::-1],
        box_around(view.brain, view.before.affine),
        grey_limits(view.before.data, view.brain),
    )
    yield _before_and_after(view, frame)
    yield _change(view, frame)
    if view.probability is not None:
        yield _probability(view, frame, view.probability)
    if view.lesions is not None:
        yield _lesions(view, frame, view.lesions, given=given)


def _before_and_after(view: View, frame: _Frame) -> Picture:
    """Draw both images, one behind the other."""
    before, after = (
        mosaic(image, *frame, title=title)
        for image, title in ((view.before, 'before'), (view.after, 'after'))
    )
    return Picture(
        'flicker',
        flicker(before, after),
        'Before and after',
        f'Planes with the largest changes, {_SPACE_NAMES[view.space]}. The image after inpainting '
        f'alternates with the image before under the pointer, or by the button.'
        + ' The source was not found: "before" is the product minus the change.'
        * view.rebuilt,
        'Axial, coronal and sagittal planes before and after inpainting, through the largest '
        'changes',
        pair=('before', 'after'),
    )


def _change(view: View, frame: _Frame) -> Picture:
    """Draw what was added."""
    change = Overlay(
        view.difference,
        np.abs(view.difference) > _LEAST_SHOWN,
        'RdBu_r',
        (-CHANGE_LIMIT, CHANGE_LIMIT),
        f'change, {_UNIT}',
    )
    return Picture(
        'change',
        mosaic(view.before, *frame, title='change', overlay=change),
        'Change',
        f'The change over the source: red is brighter, blue darker. Changes below '
        f'{_LEAST_SHOWN:g} are not coloured.',
        'The same planes with the change in colour over the image before inpainting',
    )


def _probability(view: View, frame: _Frame, probability: NDArray[np.float32]) -> Picture:
    """Draw the probability of lesion."""
    title = 'probability of lesion'
    colours = Overlay(
        probability, probability > _LEAST_PROBABILITY, _PROBABILITY_COLOURS, (0, 1), title
    )
    return Picture(
        'probability',
        mosaic(view.before, *frame, title=title, overlay=colours),
        'Probability of lesion',
        f'Probability of lesion from the network, over the image before inpainting: blue is low, '
        f'yellow is high. Values below {_LEAST_PROBABILITY:g} are not coloured.',
        'The same planes with the probability of lesion in colour',
    )


def _lesions(view: View, frame: _Frame, lesions: NDArray[np.bool_], *, given: bool) -> Picture:
    """Draw outlines of lesions; `given` if they are a mask of the user."""
    name, what = (
        ('Lesion mask', 'the part of the lesion mask that was filled')
        if given
        else ('Lesion map', 'the lesion map')
    )
    return Picture(
        'lesions',
        mosaic(view.before, *frame, title=name.lower(), outlines=[Outline(lesions, 'red')]),
        name,
        f'Outlines of {what}, on the image before inpainting.',
        'The same planes with the lesions outlined in red',
    )


def _template_on_image(placed: Placed) -> Picture:
    """Draw outlines of the template on the image."""
    maps = load_template()
    image, brain, anat2std_xfm = placed
    grid = Grid(image.data.shape, image.affine)
    to_native = inverse(anat2std_xfm)

    def bring(data: NDArray[Any]) -> NDArray[np.float32]:
        """Resample a map of the template to the grid of the image."""
        volume = Volume(np.asarray(data, np.float32), template.AFFINE)
        return resample_planes(volume, grid, to_native, rows)

    rows = choose_cuts(np.zeros(grid.shape, np.float32), brain, count=_COLUMNS)[::-1]
    outlines = [Outline(bring(maps.brain_mask), 'gold'), Outline(bring(maps.white_matter), 'cyan')]
    box = box_around(brain, image.affine)
    on_image = mosaic(
        image,
        rows,
        box,
        grey_limits(image.data, brain),
        title='image, with outlines of the template',
        outlines=outlines,
    )
    return Picture(
        'registration',
        on_image,
        'Registration: the template on the image',
        'Outlines of the brain (yellow) and the white matter (cyan) of the template on the image. '
        'They should follow the edge of the brain, and roughly that of its white matter, as the '
        'registration is affine.',
        'Planes of the image with outlines of the template',
    )


def _image_on_template(placed: Placed) -> Picture:
    """Draw the outline of the brain on the image as it lies on the template."""
    maps = load_template()
    std_grid = Grid(maps.t1w.shape, template.AFFINE)
    std_rows = choose_cuts(np.zeros(std_grid.shape, np.float32), maps.brain_mask, count=_COLUMNS)
    moved, brain = (
        resample_planes(volume, std_grid, placed.anat2std_xfm, std_rows)
        for volume in (placed.image, Volume(placed.brain.astype(np.float32), placed.image.affine))
    )
    std_box = box_around(maps.brain_mask, template.AFFINE)
    pair = (
        (Volume(maps.t1w, template.AFFINE), 'template'),
        (Volume(moved, template.AFFINE), 'image, resampled to the template'),
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
    return Picture(
        'reverse',
        flicker(*panels),
        'Registration: the image on the template',
        'The brain mask (magenta) on the image resampled to the template, which alternates with '
        'the template under the pointer.',
        'Planes of the template and of the image resampled to it, with the outline of the brain',
        pair=('template', 'image'),
    )


def _preprocessing(placed: Placed | None, maps: Maps, space: str) -> Iterator[Picture]:
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
            'The bias field within the brain, on the template grid; the image was divided by it.',
            'Planes of the bias field, in colour',
        )
    if placed and space != TEMPLATE_SPACE and maps.preproc and maps.brain is not None:
        yield Picture(
            'histogram',
            histogram(placed.image.data[placed.brain], maps.preproc.data[maps.brain]),
            'Intensities of the brain',
            'Before denoising, bias correction and normalisation, and after; the orange line is '
            'the mean.',
            'Histograms of the brain before and after normalisation',
        )
