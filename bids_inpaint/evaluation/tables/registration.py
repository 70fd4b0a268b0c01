"""Table e: effect of lesions on non-linear registration to the template.

About 39 s of CPU for each registration (ANTs SyN), three and one reference for each case: some 30
minutes for the test set.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ants
import nibabel as nb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from bids_inpaint.evaluation.brain_box import affine_of
from bids_inpaint.evaluation.cases import Setup, simulated_cases
from bids_inpaint.evaluation.memory import code_digest, digest
from bids_inpaint.evaluation.methods import Network, all_methods
from bids_inpaint.evaluation.report import Row, Table, mean_and_sd
from bids_inpaint.image.ants_bridge import to_ants
from bids_inpaint.image.register.affine import seeded
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import box_around
from bids_inpaint.training.thresholds import LESION_SHARE

_METHODS = ('nothing', 'resampling', 'inpainted')
_NEAR_MM = 5.0
_BRAIN_STEP_VOX = 4
_SEED = 1
_MARGIN_VOX = 10


def make(setup: Setup) -> list[Table]:
    """Register simulated cases by each method, and compare with the registration of the truth."""
    network = Network(setup.models / 'blind', setup.memory, setup.threads)
    code = code_digest('evaluation/tables/registration')
    rows = []
    for case in simulated_cases(setup):
        volumes, _ = all_methods(network, case)
        regions = find_regions(case.share, case.brain_mask)
        points = np.argwhere(np.any(list(regions.values()), axis=0))

        def moved(t1w: NDArray[np.float32], at: NDArray[np.int64] = points) -> NDArray[np.float32]:
            key = digest('SyN', code, t1w, at)
            return setup.memory.array(key, lambda: map_points(t1w, at))

        wanted = moved(case.example.target)
        for method in _METHODS:
            distance = np.linalg.norm(moved(volumes[method]) - wanted, axis=1)
            rows.append({'method': method, **average_regions(distance, points, regions)})
    return [
        Table(
            'e_registration',
            'e. Non-linear registration of simulated lesions to the template',
            summarise(rows),
            [
                'Mean distance in mm between where a point goes by the registration of an image, '
                'and by that of the same brain before lesions were put in (ANTs SyN, mutual '
                'information, from the affine registration of the app).',
                f'`near`: outside lesions, within {_NEAR_MM:g} mm of one. `brain`: the whole '
                'brain.',
            ],
        )
    ]


def find_regions(
    share: NDArray[np.float32], brain_mask: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Voxels (X, Y, Z) bool inside lesions, near them, and, thinned out, of the whole brain."""
    inside = share > LESION_SHARE
    distance = ndimage.distance_transform_edt(~inside)
    near = brain_mask & ~inside & (distance <= _NEAR_MM)
    thin = np.zeros(share.shape, bool)
    thin[(slice(None, None, _BRAIN_STEP_VOX),) * 3] = True
    return {
        'inside': inside,
        'near': near & inside.any(),
        'brain': thin & brain_mask,
    }


def map_points(t1w: NDArray[np.float32], points: NDArray[np.int64]) -> NDArray[np.float32]:
    """Register a volume to the template, and say where its voxels go.

    Parameters
    ----------
    t1w : (182, 218, 182) float32
        On the template grid.
    points : (N, 3) int
        Voxels.

    Returns
    -------
    (N, 3) float32
        RAS+ millimetres in the template.

    """
    template = load_template()
    box = box_around(template.brain_mask | (t1w > 0), margin=_MARGIN_VOX)
    affine = affine_of(box)
    with seeded(_SEED), TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(template.t1w[box], affine),
            to_ants(t1w[box], affine),
            'SyNOnly',
            initial_transform='identity',
            outprefix=f'{folder}/',
        )
        return apply_to_points(points, [Path(name) for name in found['invtransforms']])


def apply_to_points(points: NDArray[np.int64], transforms: Sequence[Path]) -> NDArray[np.float32]:
    """Map voxels of the moving image by what ANTs calls inverse transforms.

    To resample, ANTs maps points of the fixed image to the moving one; points go the other way:
    the inverse of the affine map, then the inverse warp.
    """
    lps = nb.affines.apply_affine(np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE, points)
    moved = ants.apply_transforms_to_points(
        3,
        pd.DataFrame(lps, columns=['x', 'y', 'z']),
        [str(path) for path in transforms],
        whichtoinvert=[path.suffix == '.mat' for path in transforms],
    )
    return np.asarray(moved[['x', 'y', 'z']].to_numpy() * [-1, -1, 1], dtype=np.float32)


def average_regions(
    distance: NDArray[np.float32],
    points: NDArray[np.int64],
    regions: dict[str, NDArray[np.bool_]],
) -> dict[str, float]:
    """Mean of the distances (N,) at points (N, 3) of each region; NaN of an empty one."""
    means = {}
    for name, region in regions.items():
        members = distance[region[tuple(points.T)]]
        means[f'{name}_mm'] = float(members.mean()) if members.size else float('nan')
    return means


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Mean and standard deviation over cases of each method, and what is gone of doing nothing."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row['method']].append(row)
    summary: list[dict[str, Any]] = []
    for method, members in groups.items():
        line: dict[str, Any] = {'method': method, 'volumes': len(members)}
        for name in ('inside_mm', 'near_mm', 'brain_mm'):
            line[name], line[f'{name}_sd'] = mean_and_sd(m[name] for m in members)
        summary.append(line)
    if summary and summary[0]['inside_mm']:
        for line in summary[1:]:
            line['inside_gone'] = 1 - line['inside_mm'] / summary[0]['inside_mm']
    return summary
