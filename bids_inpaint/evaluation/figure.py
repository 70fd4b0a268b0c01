"""The picture of table c: T1w and grey matter before and after inpainting."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bids_inpaint.files import replacing

_T1W_WINDOW = (0.0, 1.8)  # mean of the brain
_MARGIN_VOX = 4


class Panel(NamedTuple):
    """An image (X, Y, Z) and its grey matter, RAS+."""

    title: str
    t1w: NDArray[np.float32]
    grey_matter: NDArray[np.bool_]


def draw_before_and_after(
    panels: Sequence[Panel], lesion_mask: NDArray[np.bool_], png: Path
) -> Path:
    """Draw each panel's T1w, with lesions outlined, above its grey matter.

    Parameters
    ----------
    panels : sequence of Panel
        A column each.
    lesion_mask : (X, Y, Z) bool
        Outlined; the axial slice with most of it is drawn.
    png : Path
        Where to.

    """
    height = int(np.argmax(lesion_mask.sum(axis=(0, 1))))
    inside = np.argwhere(panels[0].t1w[:, :, height] > 0)
    if not inside.size:
        inside = np.argwhere(np.ones(lesion_mask.shape[:2], bool))
    low = np.maximum(inside.min(axis=0) - _MARGIN_VOX, 0)
    high = inside.max(axis=0) + _MARGIN_VOX + 1
    box = (slice(low[0], high[0]), slice(low[1], high[1]), height)
    figure = Figure(figsize=(3 * len(panels), 7), layout='constrained', facecolor='black')
    axes = figure.subplots(2, len(panels), squeeze=False)
    low_window, high_window = _T1W_WINDOW
    for (above, below), panel in zip(axes.T, panels, strict=True):
        above.imshow(np.rot90(panel.t1w[box]), cmap='gray', vmin=low_window, vmax=high_window)
        outline = np.rot90(lesion_mask[box])
        if outline.any():
            above.contour(outline, levels=[0.5], colors='red', linewidths=0.5)
        below.imshow(np.rot90(panel.grey_matter[box]), cmap='gray', vmin=0, vmax=1)
        above.set_title(f'T1w {panel.title}', color='white', fontsize=10)
        below.set_title(f'GM {panel.title}', color='white', fontsize=10)
        above.axis('off')
        below.axis('off')
    with replacing(png) as temporary:
        figure.savefig(temporary, dpi=110)
    return png
