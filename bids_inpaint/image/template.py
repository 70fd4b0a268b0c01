"""The template grid, and the ICBM 2009a symmetric maps on it.

The maps come with nilearn's wheel, so nothing is downloaded. They have 1 mm voxels with centres at
whole millimetres, as the template grid: they are cropped, not interpolated.

References
----------
Fonov V. et al., "Unbiased average age-appropriate atlases for pediatric studies",
NeuroImage 2011, 54(1):313-327.

"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import nibabel as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.image.resample import Grid
from bids_inpaint.image.volume import box_around

SHAPE = (182, 218, 182)
AFFINE = np.array(
    [[1.0, 0, 0, -90], [0, 1.0, 0, -126], [0, 0, 1.0, -72], [0, 0, 0, 1.0]], dtype=np.float64
)
AFFINE.flags.writeable = False
# The T1w map is zero outside the brain; its darkest cerebrospinal fluid is above this
# (8-bit units of nilearn's file).
_BRAIN_THRESHOLD = 0
# The brain mask of a head looks at what is up to 8 mm outside; cubic splines reach a little more.
_AROUND_BRAIN_VOX = 12


@dataclass(frozen=True, eq=False)
class Template:
    """Maps on the template grid, each (182, 218, 182), RAS+, 1 mm.

    `t1w` is float32 in arbitrary units and zero outside the brain; `grey_matter` and
    `white_matter` are float32 probabilities in [0, 1]; `brain_mask` is bool.

    Equal only to itself, so that what depends on it alone can be cached.
    """

    t1w: NDArray[np.float32]
    grey_matter: NDArray[np.float32]
    white_matter: NDArray[np.float32]
    brain_mask: NDArray[np.bool_]


class Distances(NamedTuple):
    """Distance of each voxel to the surface of the template's brain, mm; 0 on the other side.

    Each (182, 218, 182) float32, read-only.
    """

    outside: NDArray[np.float32]
    inside: NDArray[np.float32]


def template_grid() -> Grid:
    """Return the grid of the template."""
    return Grid(SHAPE, AFFINE)


def _map_file(kind: str) -> Path:
    """Path of one of nilearn's maps, without importing nilearn, which takes seconds."""
    spec = find_spec('nilearn')
    if spec is None or spec.origin is None:
        msg = 'nilearn is not installed; its ICBM 2009a maps are needed'
        raise ModuleNotFoundError(msg)
    data = Path(spec.origin).parent / 'datasets' / 'data'
    return data / f'mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz'


def _load_map(kind: str) -> NDArray[np.float32]:
    """One map, cropped to the template grid; (182, 218, 182) float32 in the units of the file."""
    img = nb.Nifti1Image.from_filename(_map_file(kind))
    start = np.rint(nb.affines.apply_affine(np.linalg.inv(img.affine), AFFINE[:3, 3])).astype(int)
    box = tuple(slice(s, s + n) for s, n in zip(start, SHAPE, strict=True))
    return np.asarray(img.dataobj, dtype=np.float32)[box]


@cache
def load_template() -> Template:
    """Read the template; cached, and read-only because it is shared."""
    t1w = _load_map('t1')
    brain_mask = ndimage.binary_fill_holes(
        ndimage.binary_opening(t1w > _BRAIN_THRESHOLD, iterations=2)
    )
    template = Template(
        t1w=np.where(brain_mask, t1w, np.float32(0)),
        grey_matter=_load_map('gm') / np.float32(255),
        white_matter=_load_map('wm') / np.float32(255),
        brain_mask=brain_mask,
    )
    for array in vars(template).values():
        array.flags.writeable = False
    return template


@cache
def brain_distances() -> Distances:
    """Measure the distances to the surface of the template's brain; cached."""
    mask = load_template().brain_mask
    inside = np.zeros(mask.shape, np.float32)
    box = box_around(mask, margin=1)
    inside[box] = ndimage.distance_transform_edt(mask[box])
    distances = Distances(ndimage.distance_transform_edt(~mask).astype(np.float32), inside)
    for array in distances:
        array.flags.writeable = False
    return distances


def brain_box() -> tuple[slice, ...]:
    """Slices of the box around the template's brain and all that is looked at around it."""
    return box_around(load_template().brain_mask, margin=_AROUND_BRAIN_VOX)
