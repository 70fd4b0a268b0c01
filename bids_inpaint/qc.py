"""The table of QC numbers of a scan.

Warnings, the group table and its dictionary, the pages and docs/outputs.md are made from it. To
add a number, measure it in `bids_inpaint.interfaces.quality`, and add it here.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bids_inpaint.errors import BidsInpaintError

NO_PROBLEM = 'none'


@dataclass(frozen=True, kw_only=True)
class Number:
    """Definition of a QC number.

    Attributes
    ----------
    name : str
        Key in the QC file.
    description, units : str
        As in a data dictionary of BIDS; a number without description is not written.
    title : str
        Name in the pages; a number without title is not shown.
    unit, scale
        Unit in the pages, and the factor to it from the unit of the file.
    low, high : float, optional
        Limits, in the units of the file; none if not given.
    share_of : str
        Name of the number that `high` is a share of, if it is one.
    judged_from : (str, float), optional
        Name and value of another number, below which this one has no limits.
    hopeless : (float, float), optional
        A scan with a value between these fails at once: it cannot be the T1w image of a brain.
    sentence : str
        Message if it is out of limits, with `value`, `low`, `high` and `percent`.
    optional : bool
        Whether it may be missing although it has limits.

    """

    name: str
    description: str = ''
    units: str = ''
    title: str = ''
    unit: str = ''
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    share_of: str = ''
    judged_from: tuple[str, float] | None = None
    hopeless: tuple[float, float] | None = None
    sentence: str = ''
    optional: bool = False

    def problem(self, numbers: Mapping[str, Any]) -> str:
        """Describe a number out of limits; empty if it is within them."""
        value, low, high = numbers.get(self.name), self.low, self.high
        if value is None or (low is None and high is None) or not self.is_judged(numbers):
            return ''
        if self.share_of and high is not None:
            high *= numbers.get(self.share_of, math.inf)
        # NaN is out of any limits.
        if (low is None or value >= low) and (high is None or value <= high):
            return ''
        return self.sentence.format(value=value, percent=100 * value, low=low, high=high)

    def is_judged(self, numbers: Mapping[str, Any]) -> bool:
        """Whether the number that this one depends on is large enough."""
        other, least = self.judged_from or ('', 0)
        value = numbers.get(other)
        return value is None or value >= least

    def refuse_hopeless(self, value: float) -> None:
        """Refuse what cannot be the T1w image of a brain.

        Raises
        ------
        BidsInpaintError
            Names the number, its value and what is required.

        """
        low, high = self.hopeless or (math.inf, -math.inf)
        if low < value < high or math.isnan(value):
            least = math.isinf(low)
            required = f'at least {high:g}' if least else f'below {low:g} or above {high:g}'
            msg = (
                f'the image must be a T1w image of a brain, upright and in the right orientation: '
                f'{self.title} is {value:.2f}, must be {required}. Look at it in a viewer'
            )
            raise BidsInpaintError(msg)


_volume = partial(Number, units='mm^3', unit='ml', scale=1e-3)


def _changed(name: str, where: str, high: float) -> Number:
    """Volume that was changed in some place, on the template."""
    return _volume(
        name=name,
        description=f'Volume changed {where}, on the template',
        title=f'volume changed {where}, on the template',
        high=high,
        sentence=f'{{value:.0f}} mm3 on the template were changed {where}, more than '
        '{high:.0f} mm3',
        optional=True,
    )


SIMILARITY = Number(
    name='registration_similarity',
    description='Similarity of the registered image and the template',
    title='similarity to the template',
    low=0.6,
    hopeless=(-math.inf, 0.2),
    sentence='Similarity to the template is {value:.2f}, below {low:.2f}.',
)

REGISTRATION = (
    # Limits of a good registration, validated in docs/registration.md.
    SIMILARITY,
    Number(
        name='affine_determinant',
        description='Determinant of the affine from T1w to template: ratio of volumes',
        title='scaling of volume to the template',
        low=0.88,
        high=2.4,
        sentence='The volume is scaled by {value:.2f} to fit the template; '
        'expected {low:.2f} to {high:.2f}.',
    ),
    Number(
        name='affine_stretch',
        high=1.4,
        sentence='One direction is stretched {value:.2f} times as much as another, '
        'over {high:.2f}.',
    ),
    Number(
        name='brain_coverage',
        description='Share of the template brain that is in the field of view',
        title='share of the brain in the field of view',
        low=0.9,
        sentence='Only {percent:.0f} % of the brain lies in the field of view.',
    ),
    Number(name='registration_strategy', description='Registration strategy that was used'),
    Number(name='skull_stripped', description='Whether the T1w image is skull-stripped'),
)

TISSUE_CONTRAST = Number(
    name='tissue_contrast',
    description='Median of white matter minus that of grey matter, where the template is certain',
    units='mean intensity of the brain',
    title='contrast of white and grey matter (units of mean brain intensity)',
    # At least 0.118 in 61 images of people and 3 made-up heads; 0.005 in a uniform ball.
    low=0.05,
    hopeless=(-0.02, 0.02),
    sentence='white matter is brighter than grey matter by {value:.2f} of mean brain intensity, '
    'less than {low}',
    optional=True,
)

PREPARED = (
    # At most 27 in 61 images of people and 3 made-up heads; a brain is found at any angle.
    Number(
        name='head_rotation_deg',
        description='Angle between the axes of the T1w image and those of the template',
        units='degree',
        title='rotation to the template, degrees',
        high=45.0,
        sentence='the head is rotated by {value:.0f} degrees relative to the axes of its header, '
        'more than {high:.0f}: the header may have wrong directions',
        optional=True,
    ),
    TISSUE_CONTRAST,
    # At most 1.17 in the same images; 2 and more where the registration is wrong.
    Number(
        name='joint_variation',
        description='Spread of white and grey matter, relative to their difference',
        title='coefficient of joint variation of white and grey matter',
        high=1.5,
        sentence='white and grey matter vary by {value:.2f} of their difference, more than '
        '{high}: noise, motion or a strong bias field',
        optional=True,
    ),
)

CHANGE = (
    # Nothing may differ outside the changed voxels; and resampling to the template and back, which
    # only blurs, must not be better by more than this (limits of the DKT connectome pipeline,
    # step 1.1).
    Number(
        name='outside_correlation',
        description='Pearson correlation of inpainted and source image, in the part of the brain '
        'that was not changed',
        title='correlation with the source outside the change',
        low=0.995,
        sentence='outside the changed voxels the image correlates with its source by '
        '{value:.4f}, less than {low}',
    ),
    Number(
        name='control_correlation',
        description='The same for the source resampled to the template and back, without network',
    ),
    Number(
        name='correlation_drop',
        title='drop of correlation beyond resampling',
        high=0.01,
        sentence='outside the changed voxels the correlation is {value:.4f} below that of '
        'resampling alone, more than {high}',
    ),
    # The largest lesion loads in multiple sclerosis are about 100 ml.
    _volume(
        name='change_volume_mm3',
        description='Volume of the voxels that were changed',
        title='volume changed',
        high=150_000.0,
        sentence='{value:.0f} mm3 were changed, more than {high:.0f} mm3',
    ),
    # Healthy heads have at most 0.0001, the demo 0.0023. Of nine images of patients five have
    # up to 0.0086, four 0.015 to 0.073; in two of these, on inspection, a horn is partly filled.
    Number(
        name='ventricle_change',
        description='Mean absolute change that the network (or a lesion mask) asks for in the '
        'CSF of the ventricles, where nothing should be filled; the CSF is not changed; n/a if '
        'the ventricles are too narrow to measure',
        units='mean intensity of the brain',
        title='change asked for in the ventricles (units of mean brain intensity)',
        high=0.01,
        sentence='the CSF of the ventricles was mistaken for lesion, by {value:.3f} of mean brain '
        'intensity, more than {high}: look at their borders',
        optional=True,
    ),
    # How certain the network was, and where it changed the image. Of 61 images of people, two
    # healthy ones with 2.8 and 2.9 ml of change have 0.28, and patients whose lesions are filled
    # at least 0.44.
    Number(
        name='change_probability',
        description='Mean lesion probability of the changed voxels',
        title='mean lesion probability of the change',
        low=0.35,
        judged_from=('change_volume_mm3', 2000.0),
        sentence='the mean lesion probability of the changed voxels is {value:.2f}, less than '
        '{low}: many small changes that the network is not sure of',
        optional=True,
    ),
    # At most 3,353 in 57 of these images; 3,643 to 10,088 in four of patients, where lesions are
    # left.
    _volume(
        name='unchanged_lesion_std_mm3',
        description='Volume of the lesion map that was not changed, on the template',
        title='lesion map that was not changed, on the template',
        high=3500.0,
        sentence='{value:.0f} mm3 of the lesion map on the template were not changed, more than '
        '{high:.0f} mm3: lesions are left',
        optional=True,
    ),
    # Limits are above what experts drew in 32 images of patients: 5,989, 3,395, 1,430 and 4,434
    # mm3 (the last in five images only).
    _changed('change_far_std_mm3', 'more than 2 mm from white matter', 8000.0),
    _changed('change_callosum_std_mm3', 'in and next to the corpus callosum', 5000.0),
    _changed('change_brainstem_std_mm3', 'in the brainstem', 2500.0),
    _changed('change_rim_std_mm3', 'within 3 mm of the CSF of the ventricles', 10_000.0),
    # Some voxels at the surface of the brain are normal; with more, the mask is of another image.
    Number(
        name='lesion_mask_unfilled_mm3',
        description='Volume of the lesion mask outside the brain, which was not filled',
        units='mm^3',
        high=0.1,
        share_of='lesion_mask_volume_mm3',
        sentence='{value:.0f} mm3 of the lesion mask are outside the brain, and were not filled',
        optional=True,
    ),
)

# These are told, and not judged: no limits.
OTHERS = (
    Number(
        name='lesion_count',
        description='Number of lesions in the lesion map',
        title='lesions',
    ),
    _volume(
        name='lesion_volume_mm3',
        description='Volume of the lesion map',
        title='lesion volume',
    ),
    Number(
        name='lesion_map_from',
        description='Source of the lesion map: probability or difference; n/a with a lesion mask',
    ),
    Number(name='lesion_mask', description='Lesion mask that was used, n/a if none'),
    Number(name='lesion_mask_volume_mm3', description='Volume of the lesion mask', units='mm^3'),
    Number(name='lesion_mask_notes', description='Notes on the lesion mask, or none'),
    Number(
        name='brain_volume_std_ml',
        description='Volume of the brain in the template',
        units='mL',
        title='brain volume on the template',
        unit='ml',
    ),
    Number(
        name='brain_mean',
        description="Mean intensity of the brain, in the T1w image's units",
        title='mean brain intensity (units of the source)',
    ),
    Number(name='model', description='Network that was used'),
    Number(name='device', description='Device that the network ran on'),
    Number(
        name='seconds',
        description='Sum of the time of all steps',
        units='s',
        title='time of all steps',
        unit='s',
    ),
    Number(
        name='peak_memory_mb',
        description='Peak memory of all steps',
        units='MB',
        title='peak memory of a step',
        unit='MB',
    ),
    Number(name='version', description='Version of the program'),
    Number(
        name='problems',
        description='QC numbers out of limits, or none; or: not processed',
    ),
)

NUMBERS = (*REGISTRATION, *PREPARED, *CHANGE, *OTHERS)


def with_derived(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Add the numbers that are derived from those of a QC file."""
    outside, control = numbers.get('outside_correlation'), numbers.get('control_correlation')
    drop = None if outside is None or control is None else control - outside
    return {**numbers, 'correlation_drop': drop}


def problems(table: Iterable[Number], numbers: Mapping[str, Any]) -> list[str]:
    """Describe the numbers of a scan that are out of limits, one sentence each.

    Parameters
    ----------
    table : iterable of Number
        Numbers to check.
    numbers : mapping
        By name; missing ones are not checked.

    """
    found = with_derived(numbers)
    said = (number.problem(found) for number in table)
    return [sentence for sentence in said if sentence]


def dictionary() -> dict[str, dict[str, str]]:
    """Make a data dictionary of BIDS."""
    return {
        number.name: {
            'Description': number.description,
            **({'Units': number.units} if number.units else {}),
        }
        for number in NUMBERS
        if number.description
    }
