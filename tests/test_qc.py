import numpy as np
import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.qc import (
    CHANGE,
    NUMBERS,
    OTHERS,
    SIMILARITY,
    TISSUE_CONTRAST,
    dictionary,
    problems,
)

GOOD = {'outside_correlation': 1.0, 'control_correlation': 0.99, 'change_volume_mm3': 5000.0}


def test_good_numbers_have_no_problem():
    assert problems(CHANGE, GOOD) == []
    mask = {'lesion_mask_volume_mm3': 101.0, 'lesion_mask_unfilled_mm3': 10.0}
    assert problems(CHANGE, {**GOOD, **mask}) == []
    empty = {'lesion_mask_volume_mm3': 0.0, 'lesion_mask_unfilled_mm3': 0.0}
    assert problems(CHANGE, {**GOOD, **empty}) == []


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ({'outside_correlation': 0.994, 'control_correlation': 0.99}, 'less than 0.995'),
        ({'outside_correlation': float('nan')}, 'less than 0.995'),
        ({'outside_correlation': 0.9955, 'control_correlation': 1.01}, '0.0145 below that'),
        ({'control_correlation': float('nan')}, 'resampling alone'),
        (
            {'lesion_mask_volume_mm3': 99.0, 'lesion_mask_unfilled_mm3': 10.0},
            '10 mm3 of the lesion mask',
        ),
        ({'change_volume_mm3': 150_001.0}, '150001 mm3 were changed'),
        (
            {'unchanged_lesion_std_mm3': 3600.0},
            '3600 mm3 of the lesion map on the template were not changed',
        ),
        ({'change_far_std_mm3': 8001.0}, 'more than 2 mm from white matter'),
        ({'change_callosum_std_mm3': 5001.0}, 'next to the corpus callosum, more than 5000 mm3'),
        ({'change_brainstem_std_mm3': 2501.0}, 'in the brainstem'),
        ({'change_rim_std_mm3': 10_001.0}, 'within 3 mm of the CSF'),
    ],
)
def test_each_limit_is_named_with_what_was_found(changed, said):
    found = problems(CHANGE, {**GOOD, **changed})
    assert any(said in problem for problem in found)
    assert len(found) == (2 if np.isnan(changed.get('outside_correlation', 0)) else 1)


def test_a_number_that_depends_on_another_is_judged_from_a_size_on():
    unsure = {**GOOD, 'change_probability': 0.3}
    (problem,) = problems(CHANGE, unsure)
    assert 'mean lesion probability of the changed voxels is 0.30, less than 0.35' in problem
    assert problems(CHANGE, {**unsure, 'change_volume_mm3': 1999.0}) == []
    assert problems(CHANGE, {**unsure, 'change_probability': 0.36}) == []
    assert len(problems(CHANGE, {**unsure, 'change_volume_mm3': None})) == 1


@pytest.mark.parametrize(
    ('number', 'value', 'required'),
    [
        (SIMILARITY, 0.07, 'is 0.07, must be at least 0.2'),
        (SIMILARITY, float('nan'), 'is nan, must be at least 0.2'),
        (TISSUE_CONTRAST, 0.01, 'is 0.01, must be below -0.02 or above 0.02'),
    ],
)
def test_what_cannot_be_a_brain_is_refused_with_what_was_required(number, value, required):
    with pytest.raises(BidsInpaintError, match=required):
        number.refuse_hopeless(value)


def test_inverted_contrast_is_a_problem_and_not_refused():
    TISSUE_CONTRAST.refuse_hopeless(-0.27)
    assert problems([TISSUE_CONTRAST], {'tissue_contrast': -0.27})


def test_numbers_have_one_name_each_and_their_sentences_can_be_said():
    names = [number.name for number in NUMBERS]
    assert len(set(names)) == len(names)
    for number in NUMBERS:
        limited = number.low is not None or number.high is not None
        assert limited == bool(number.sentence)
        if limited:
            assert number.problem({number.name: float('nan')})


def test_what_no_step_judges_has_no_limits():
    assert not [number.name for number in OTHERS if number.sentence]


def test_the_dictionary_tells_what_is_in_files():
    described = dictionary()
    assert described['lesion_volume_mm3'] == {
        'Description': 'Volume of the lesion map',
        'Units': 'mm^3',
    }
    assert 'correlation_drop' not in described
