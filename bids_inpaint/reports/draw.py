"""Figures of the report, as SVG text.

Planes are drawn voxel by voxel, without interpolation, so that readers see which voxels changed.
"""

import base64
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from bids_inpaint.image.volume import Volume
from bids_inpaint.reports.planes import Box, Cut, position_mm, take

CHANGE_LIMIT = 0.6  # units of the mean of the brain; grey and white matter are about 0.4 apart
_WIDTH_INCHES = 11.0
_TITLE_INCHES, _LABEL_INCHES, _BAR_INCHES = 0.25, 0.16, 0.6
_GREY = '0.55'  # visible on light and dark pages
_BLACK = 'black'
_ENDS = (('P', 'A'), ('L', 'R'), ('L', 'R'))  # left and right end of a plane across x, y, z
_PNG = re.compile(r'(?P<start>data:image/png;base64,\s*)(?P<data>[A-Za-z0-9+/=\s]+)')
_PATH = re.compile(r' d="[^"]+"')
_FINE = re.compile(r'(?<=\.\d\d)\d+')  # digits after a hundredth of a point
_SVG: Any = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'bids_inpaint',
    'image.composite_image': False,  # else planes are resampled, to make one image of a row
}


class Overlay(NamedTuple):
    """Colours over a grey image: values, voxels shown, colour map and limits."""

    data: NDArray[np.float32]
    shown: NDArray[np.bool_]
    cmap: str
    limits: tuple[float, float]
    label: str


class Outline(NamedTuple):
    """A contour around a mask, or at half of a probability."""

    data: NDArray[Any]
    colour: str


def grey_limits(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Window of grey values: from 0, or the darkest of the brain, to a little above it."""
    values = data[brain]
    values = values if values.size else data.ravel()
    dark, bright = (float(value) for value in np.percentile(values, [1, 99.5]))
    low = 0.0 if 0 <= dark < bright / 2 else dark
    high = bright + 0.1 * (bright - low)
    return low, high if high > low else low + 1.0


def mosaic(
    image: Volume,
    rows: Sequence[Sequence[Cut]],
    box: Box,
    limits: tuple[float, float],
    *,
    title: str = '',
    overlay: Overlay | None = None,
    outlines: Sequence[Outline] = (),
    cmap: str = 'gray',
    label: str = '',
) -> str:
    """Draw planes of a volume, a row for each direction.

    Parameters
    ----------
    image : Volume
        RAS+.
    rows : sequence of sequence of Cut
        Of `choose_cuts`.
    box : tuple of slice
        Visible part of each plane.
    limits : (float, float)
        Values shown as black and white.
    title : str
        Written into the upper left corner.
    overlay : Overlay or None
        Over the image, with a colour bar.
    outlines : sequence of Outline
        Drawn over all.
    cmap : str
        Colours of the image.
    label : str
        Of a colour bar for the image; none if empty.

    Returns
    -------
    str
        SVG.

    """
    zooms = np.linalg.norm(image.affine[:3, :3], axis=0)
    size = [float((s.stop - s.start) * z) for s, z in zip(box, zooms, strict=True)]
    heights = [(size[1] if row[0].axis == 2 else size[2]) * _shrink(size, row) for row in rows]
    width = max(size) * max(len(row) for row in rows)
    unit = _WIDTH_INCHES / width  # inches per mm
    bar = _BAR_INCHES if overlay or label else 0.0
    total = _TITLE_INCHES + sum(heights) * unit + _LABEL_INCHES * len(rows) + bar
    figure = Figure(figsize=(_WIDTH_INCHES, total), facecolor=_BLACK)
    top = total - _TITLE_INCHES
    shown = None
    for row, height in zip(rows, heights, strict=True):
        bottom = top - height * unit
        # One for a row, as it takes longer to make axes than to draw in them. Units are mm.
        ax = figure.add_axes((0, bottom / total, 1, (top - bottom) / total))
        for column, cut in enumerate(row):
            middle = (column + 0.5) * width / len(row)
            across = (size[1] if cut.axis == 0 else size[0]) * _shrink(size, row) / 2
            extent = (middle - across, middle + across, 0.0, height)
            shown = _plane(ax, image, cut, box, limits, overlay, outlines, cmap, extent)
        ax.set(xlim=(0, width), ylim=(0, height))
        ax.set_axis_off()
        top = bottom - _LABEL_INCHES
    if shown is not None and bar:
        cax = figure.add_axes((0.3, 0.4 / total, 0.4, 0.12 / total))
        colours = figure.colorbar(shown, cax=cax, orientation='horizontal')
        colours.set_label(overlay.label if overlay else label, color='white', fontsize=8)
        cax.tick_params(colors='white', labelsize=8)
    if title:
        figure.text(0.008, 1 - 0.04 / total, title, color='white', va='top', fontsize=10)
    return to_svg(figure)


def _shrink(size: Sequence[float], row: Sequence[Cut]) -> float:
    """Factor to the usual scale at which a row fits into its columns."""
    width = size[1] if row[0].axis == 0 else size[0]
    return min(1.0, max(size) / width)


def _plane(
    ax: Axes,
    image: Volume,
    cut: Cut,
    box: Box,
    limits: tuple[float, float],
    overlay: Overlay | None,
    outlines: Sequence[Outline],
    cmap: str,
    extent: tuple[float, float, float, float],
) -> mpl.image.AxesImage:
    """Draw one plane, and return the mappable for a colour bar."""
    look: dict[str, Any] = {'origin': 'lower', 'interpolation': 'none', 'aspect': 'auto'}
    look |= {'extent': extent}
    low, high = limits
    shown = ax.imshow(take(image.data, cut, box), cmap=cmap, vmin=low, vmax=high, **look)
    if overlay:
        data = np.where(take(overlay.shown, cut, box), take(overlay.data, cut, box), np.nan)
        low, high = overlay.limits
        shown = ax.imshow(data, cmap=overlay.cmap, vmin=low, vmax=high, **look)
    for outline in outlines:
        plane = take(outline.data, cut, box).astype(np.float32)
        if plane.min() < 0.5 < plane.max():
            ax.contour(
                plane,
                levels=[0.5],
                colors=outline.colour,
                linewidths=0.7,
                origin='lower',
                extent=extent,
            )
    place = position_mm(image.affine, cut, image.data.shape)
    first, last = _ENDS[cut.axis]
    middle = f'{"xyz"[cut.axis]} = {place:.0f} mm'
    left, right, _, top = extent
    # Below the plane: letters on the head could not be read.
    for x, align, text in ((0.04, 'left', first), (0.5, 'center', middle), (0.96, 'right', last)):
        place_mm = left + x * (right - left)
        ax.text(place_mm, -0.01 * top, text, ha=align, va='top', color='white', fontsize=7)
    return shown


def histogram(before: NDArray[np.float32], after: NDArray[np.float32]) -> str:
    """Draw the histograms of the brain before and after normalisation, side by side.

    Parameters
    ----------
    before : (N,) float32
        Voxels of the brain in the units of the source.
    after : (N,) float32
        In units of the mean of the brain.

    """
    figure = Figure(figsize=(9, 2.6), layout='constrained')
    axes = figure.subplots(1, 2)
    titles = ('before: units of the source', 'after: 1 is mean brain intensity')
    for ax, values, title in zip(axes, (before, after), titles, strict=True):
        low, high = np.percentile(values, [0.1, 99.9])
        span = (float(low), float(high))
        ax.hist(values, bins=120, range=span, color='tab:blue', histtype='stepfilled')
        ax.axvline(float(values.mean()), color='tab:orange', label=f'mean {values.mean():.4g}')
        ax.set_title(title, color=_GREY, fontsize=9)
        ax.set_xlabel('intensity', color=_GREY, fontsize=8)
        ax.set_ylabel('voxels', color=_GREY, fontsize=8)
        ax.tick_params(colors=_GREY, labelsize=8)
        ax.legend(labelcolor=_GREY, frameon=False, fontsize=8)
        ax.patch.set_alpha(0)
        for spine in ax.spines.values():
            spine.set_color(_GREY)
    figure.patch.set_alpha(0)
    return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """Write a figure as SVG without a date, so that equal figures give equal files."""
    stream = io.StringIO()
    with mpl.rc_context(_SVG):
        figure.savefig(stream, format='svg', metadata={'Date': None}, dpi=100)
    text = stream.getvalue()
    drawn = _PATH.sub(lambda found: _FINE.sub('', found[0]), text[text.index('<svg') :])
    return _PNG.sub(_grey_as_grey, drawn)


def _grey_as_grey(match: re.Match[str]) -> str:
    """Store an image without colours in one channel instead of four: half the size."""
    with Image.open(io.BytesIO(base64.b64decode(match['data']))) as image:
        red, green, blue, opacity = (np.asarray(c) for c in image.convert('RGBA').split())
    if (red != green).any() or (red != blue).any() or opacity.min() < 255:
        return match[0]
    stream = io.BytesIO()
    Image.fromarray(red).save(stream, format='png')
    return match['start'] + base64.b64encode(stream.getvalue()).decode()
