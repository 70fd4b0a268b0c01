"""Before, after and difference of one scan: ``python docs/figures.py OUT NAME PNG Z [Z ...]``.

OUT is a derivative dataset of the app, NAME the scan (`sub-01_ses-2`), Z are millimetres above the
origin. A row for each Z. With ``--source T1W``: what users have and get, on the grid of their
image; without, what the network is given and makes of it, on the grid of the template.
``--outline MASK`` draws what an expert drew, over the difference.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib as mpl
import nibabel as nb
import numpy as np
from matplotlib import pyplot as plt

mpl.use('Agg')

SPACE = 'space-MNI152NLin2009aSym_'
GREYS = {'cmap': 'gray', 'vmin': 0, 'vmax': 1.8}
SIGNED = {'cmap': 'RdBu_r', 'vmin': -0.6, 'vmax': 0.6}
MARGIN_VOX = 6


def load(path: Path) -> nb.Nifti1Image:
    """Read an image, and turn it to RAS+ by reordering axes."""
    return nb.as_closest_canonical(nb.Nifti1Image.from_filename(path))


def load_images(out: Path, name: str, source: Path | None) -> dict[str, nb.Nifti1Image]:
    """Read what is shown, in units of the mean of the brain; and the brain mask as `brain`."""
    space = '' if source else SPACE

    def derivative(ending: str) -> nb.Nifti1Image:
        (path,) = out.rglob(f'{name}_{space}{ending}.nii*')
        return load(path)

    (qc_file,) = out.rglob(f'{name}_desc-inpaint_qc.json')
    unit = json.loads(qc_file.read_text())['brain_mean'] if source else 1
    before = load(source) if source else derivative('desc-preproc_T1w')
    after = derivative('desc-inpainted_T1w')
    return {
        'before': nb.Nifti1Image(before.get_fdata() / unit, before.affine),
        'after': nb.Nifti1Image(after.get_fdata() / unit, after.affine),
        'after - before': derivative('desc-difference_T1w'),
        'brain': derivative('desc-brain_mask'),
    }


def around(brain: nb.Nifti1Image) -> tuple[slice, slice]:
    """Give the box around a brain, from left to right and from back to front."""
    inside = np.nonzero(np.asarray(brain.dataobj))[:2]
    low, high = ([extreme(i) for i in inside] for extreme in (np.min, np.max))
    return tuple(
        slice(max(a - MARGIN_VOX, 0), b + MARGIN_VOX + 1) for a, b in zip(low, high, strict=True)
    )


def draw_row(
    row: list[plt.Axes], images: dict[str, nb.Nifti1Image], height_mm: float, outline: Path | None
) -> None:
    """Draw a plane before, after, and what was added, with the scale of that."""
    box = around(images['brain'])
    for ax, title in zip(row, ('before', 'after', 'after - before'), strict=True):
        img = images[title]
        _, _, k = np.rint(np.linalg.inv(img.affine) @ [0, 0, height_mm, 1]).astype(int)[:3]
        shown = ax.imshow(
            np.rot90(np.asarray(img.dataobj)[*box, k]), **(SIGNED if '-' in title else GREYS)
        )
        if outline and '-' in title:
            drawn = np.rot90(np.asarray(load(outline).dataobj)[*box, k])
            ax.contour(drawn, [0.5], colors='black', linewidths=0.7)
        ax.set_title(f'{title}, z = {height_mm:g} mm', fontsize=9)
        ax.axis('off')
    row[-1].figure.colorbar(shown, ax=row[-1], shrink=0.7, label='mean of the brain')


def main() -> int:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description='Draw before, after and difference of a scan.')
    parser.add_argument('out', type=Path, help='derivatives')
    parser.add_argument('name', help='of the scan, sub-01_ses-2')
    parser.add_argument('png', type=Path, help='to write')
    parser.add_argument('heights', type=float, nargs='+', metavar='Z', help='mm above the origin')
    parser.add_argument('--source', type=Path, help='T1w image that was inpainted')
    parser.add_argument('--outline', type=Path, help='mask on the same grid')
    options = parser.parse_args()
    images = load_images(options.out, options.name, options.source)
    rows = len(options.heights)
    figure, axes = plt.subplots(
        rows, 3, figsize=(9, 3.4 * rows), squeeze=False, layout='constrained'
    )
    for row, height in zip(axes, options.heights, strict=True):
        draw_row(row, images, height, options.outline)
    figure.savefig(options.png, dpi=90)
    return 0


if __name__ == '__main__':
    sys.exit(main())
