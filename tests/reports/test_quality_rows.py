"""QC numbers stand beside the limits that the app judges them by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.qc import NUMBERS, problems
from bids_inpaint.reports.quality import quality_rows, sentences

GOOD = {
    'registration_similarity': 0.8,
    'affine_determinant': 1.2,
    'brain_coverage': 1.0,
    'outside_correlation': 1.0,
    'control_correlation': 0.99,
    'change_volume_mm3': 1000.0,
}


def failed(numbers):
    return {row.title for row in quality_rows(numbers) if row.passed is False}


def test_good_numbers_pass():
    assert failed(GOOD) == set()


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('registration_similarity', 0.59),
        ('affine_determinant', 0.87),
        ('affine_determinant', 2.5),
        ('brain_coverage', 0.79),
        ('outside_correlation', 0.99),
        ('control_correlation', 1.02),
        ('change_volume_mm3', 150_001.0),
        ('ventricle_change', 0.011),
        ('head_rotation_deg', 46.0),
        ('joint_variation', 1.6),
    ],
)
def test_bad_number_fails_alone(name, value):
    assert len(failed({**GOOD, name: value})) == 1


@given(st.floats(0.9, 1), st.floats(0.9, 1.1), st.floats(0, 300_000), st.floats(0, 0.02))
def test_table_and_sentences_agree(outside, control, changed, fluid):
    numbers = {
        **GOOD,
        'outside_correlation': outside,
        'control_correlation': control,
        'change_volume_mm3': changed,
        'ventricle_change': fluid,
    }
    assert len(failed(numbers)) == len(problems(NUMBERS, numbers))


def test_number_that_is_missing_is_no_pass():
    assert len(failed({**GOOD, 'outside_correlation': None})) == 2


def test_ventricles_that_were_not_measured_are_no_failure():
    titles = {row.title for row in quality_rows(GOOD)}
    assert not any('ventricles' in title for title in titles)
    shown = quality_rows({**GOOD, 'ventricle_change': 0.002})
    assert [row.passed for row in shown if 'ventricles' in row.title] == [True]


def test_number_that_is_not_judged_is_shown_without_limits():
    title = 'mean lesion probability of the change'
    unsure = {**GOOD, 'change_probability': 0.3}
    few = {row.title: row for row in quality_rows({**unsure, 'change_volume_mm3': 500.0})}
    many = {row.title: row for row in quality_rows({**unsure, 'change_volume_mm3': 5000.0})}
    assert (few[title].limits, few[title].passed) == ('', None)
    assert (many[title].limits, many[title].passed) == ('at least 0.35', False)


def test_volume_is_shown_in_ml():
    rows = {row.title: row for row in quality_rows(GOOD)}
    assert rows['volume changed'].value == '1 ml'
    assert rows['volume changed'].limits == 'at most 150 ml'


def test_each_problem_is_a_sentence():
    numbers = {'problems': 'one is bad; Two, too.'}
    assert sentences(numbers) == ['One is bad.', 'Two, too.']
    assert sentences({'problems': 'none'}) == []
