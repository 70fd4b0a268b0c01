"""Before, after and difference of one scan: ``python docs/figures.py OUT NAME PNG Z [Z ...]``.

OUT is a derivative dataset of the app, NAME the scan (`sub-01_ses-2`), Z are millimetres above the
origin of the template. A row for each Z: the image before the network, after it, their difference,
and, if there is one beside the image, an expert's outline.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import nibabel as nb
import numpy as np
from matplotlib import pyplot as plt

mpl.use('Agg')

SPACE = 'space-MNI152NLin2009aSym'
GREYS = {'cmap': 'gray', 'vmin': 0, 'vmax': 1.8}
SIGNED = {'cmap': 'RdBu_r', 'vmin': -0.6, 'vmax': 0.6}


def main() -> int:
    """Draw the figure."""
    out, name, png, *heights = sys.argv[1:]
    kinds = {'before': 'preproc', 'after': 'inpainted', 'after - before': 'difference'}
    images = {}
    for title, kind in kinds.items():
        (path,) = Path(out).rglob(f'{name}_{SPACE}_desc-{kind}_T1w.nii.gz')
        images[title] = nb.Nifti1Image.from_filename(path)
    figure, axes = plt.subplots(
        len(heights), 3, figsize=(9, 3.4 * len(heights)), squeeze=False, layout='constrained'
    )
    for row, height in zip(axes, heights, strict=True):
        for ax, (title, img) in zip(row, images.items(), strict=True):
            k = round(float(height) - img.affine[2, 3])
            plane = np.rot90(np.asarray(img.dataobj)[12:170, 12:206, k])
            shown = ax.imshow(plane, **(SIGNED if '-' in title else GREYS))
            ax.set_title(f'{title}, z = {height} mm', fontsize=9)
            ax.axis('off')
        figure.colorbar(shown, ax=row[-1], shrink=0.7, label='mean of the brain')
    figure.savefig(png, dpi=90)
    return 0


if __name__ == '__main__':
    sys.exit(main())
