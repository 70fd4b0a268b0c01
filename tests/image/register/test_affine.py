import os
from pathlib import Path

import numpy as np
import pytest
from head_phantoms import (
    ORIENTATIONS,
    acquire,
    displacement_mm,
    known_xfm,
    native_grid,
    template_head,
)
from scipy.spatial.transform import Rotation

from bids_inpaint.image.register import affine
from bids_inpaint.image.register.affine import (
    Registration,
    register_to_template,
    registration_problems,
    rotation_deg,
)
from bids_inpaint.image.register.flatten import flatten
from bids_inpaint.image.template import AFFINE, load_template
from bids_inpaint.image.volume import Volume, load

DATA = Path(__file__).parents[4] / 'shared' / 'data'
WITHIN_MM = 1.5


def brain_of_template():
    return load_template().t1w / np.float32(200)


def check_recovered(t1w, truth, *, skull_stripped):
    found = register_to_template(t1w, random_seed=1)
    assert displacement_mm(found.anat2std_xfm, truth) < WITHIN_MM
    assert found.skull_stripped is skull_stripped
    assert found.determinant == pytest.approx(np.linalg.det(truth), rel=0.06)
    assert registration_problems(found) == []


def unrefined(_head, start, _seed):
    return start


@pytest.mark.slow
def test_oblique_head_with_bias_and_noise_is_recovered():
    truth = known_xfm()
    check_recovered(
        acquire(template_head(), native_grid('oblique', truth), truth),
        truth,
        skull_stripped=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize('orientation', ORIENTATIONS)
@pytest.mark.parametrize('has_skull', [True, False])
def test_known_map_is_recovered_in_every_orientation(orientation, has_skull):
    truth = known_xfm()
    std = template_head() if has_skull else brain_of_template()
    noise = 0.05 if has_skull else 0.0
    t1w = acquire(std, native_grid(orientation, truth), truth, noise=noise)
    check_recovered(t1w, truth, skull_stripped=not has_skull)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('angles_deg', 'scale'), [((20, 0, 0), 1.1), ((0, -20, 15), 1.0), ((-20, 10, -20), 1.25)]
)
def test_rotated_and_scaled_heads_are_recovered(angles_deg, scale):
    truth = known_xfm(angles_deg=angles_deg, scale=scale)
    t1w = acquire(template_head(), native_grid('LPS', truth), truth)
    check_recovered(t1w, truth, skull_stripped=False)


@pytest.mark.slow
def test_thick_slices_with_bright_scalp_and_cropped_field_of_view():
    truth = known_xfm()
    grid = native_grid('LPS', truth, zooms_mm=(1, 1, 3), field_mm=(200, 230, 138))
    check_recovered(acquire(template_head(scalp=3), grid, truth), truth, skull_stripped=False)


@pytest.mark.slow
def test_large_volumes_are_reduced_first():
    truth = known_xfm()
    grid = native_grid('RAS', truth, zooms_mm=(0.5, 0.5, 0.5), field_mm=(170, 200, 170))
    t1w = acquire(brain_of_template(), grid, truth, noise=0)
    check_recovered(t1w, truth, skull_stripped=True)


@pytest.mark.slow
def test_same_seed_same_result():
    # To the last bit only with one thread: the order in which threads add up is not fixed.
    truth = known_xfm()
    t1w = acquire(template_head(), native_grid('LAS', truth), truth)
    first, second = (register_to_template(t1w, random_seed=3) for _ in range(2))
    assert displacement_mm(first.anat2std_xfm, second.anat2std_xfm) < 0.03


@pytest.mark.slow
def test_a_bad_result_goes_to_the_next_strategy(monkeypatch):
    def to_nowhere(*_):
        return np.diag([0.7, 0.7, 0.7, 1.0])

    truth = known_xfm()
    monkeypatch.setattr(affine, '_register_plainly', to_nowhere)
    monkeypatch.setattr(affine, '_refine', unrefined)
    t1w = acquire(brain_of_template(), native_grid('RAS', truth), truth, noise=0)
    found = register_to_template(t1w, random_seed=1)
    assert found.strategy == 'search'
    assert displacement_mm(found.anat2std_xfm, truth) < 10


@pytest.mark.slow
def test_of_bad_results_the_most_similar_is_returned(monkeypatch):
    similarities = {'plain': 0.1, 'search': 0.3, 'wide-search': 0.2}

    def assess(_head, xfm, strategy, *, skull_stripped):
        return Registration(xfm, similarities[strategy], strategy, 1.3, skull_stripped)

    monkeypatch.setattr(affine, '_register_plainly', lambda *_: np.eye(4))
    monkeypatch.setattr(affine, '_refine', unrefined)
    monkeypatch.setattr(affine, '_assess', assess)
    t1w = Volume(np.ones((40, 40, 40), np.float32), np.diag([5.0, 5, 5, 1]))
    found = register_to_template(t1w, random_seed=1, skull_stripped=True)
    assert found.strategy == 'search'


def test_seed_is_given_to_ants_and_taken_back(monkeypatch):
    seen = []
    monkeypatch.setenv('ANTS_RANDOM_SEED', 'as before')
    with affine.seeded(5):
        seen.append(os.environ['ANTS_RANDOM_SEED'])
    seen.append(os.environ['ANTS_RANDOM_SEED'])
    monkeypatch.delenv('ANTS_RANDOM_SEED')
    with affine.seeded(0):
        seen.append(os.environ['ANTS_RANDOM_SEED'])
    assert seen == ['5', 'as before', '1']
    assert 'ANTS_RANDOM_SEED' not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize(('skull_stripped', 'most'), [(False, (30, 15)), (True, (2100, 1200))])
def test_iterations_of_the_registration(monkeypatch, skull_stripped, most):
    """What a registration costs does not creep up unseen."""
    asked = []

    def note(*_: object, **options: object) -> None:
        asked.append(options['aff_iterations'])
        raise InterruptedError

    monkeypatch.setattr(affine.ants, 'registration', note)
    t1w = Volume(np.ones((40, 40, 40), np.float32), np.diag([5.0, 5, 5, 1]))
    with pytest.raises(InterruptedError):
        register_to_template(t1w, random_seed=0, skull_stripped=skull_stripped)
    assert asked == [most]


@pytest.mark.slow
def test_noise_is_no_brain(monkeypatch):
    monkeypatch.setattr(affine, '_refine', unrefined)
    rng = np.random.default_rng(0)
    noise = Volume(rng.random((40, 40, 40), dtype=np.float32), np.diag([5.0, 5, 5, 1]))
    assert registration_problems(register_to_template(noise, random_seed=1, skull_stripped=False))


def make_registration(*, xfm=None, similarity=0.8, coverage=1.0):
    xfm = np.diag([1.1, 1.1, 1.1, 1]) if xfm is None else xfm
    return Registration(xfm, similarity, 'search', float(np.linalg.det(xfm)), False, coverage)


@pytest.mark.parametrize(
    ('registration', 'word'),
    [
        (make_registration(similarity=0.5), 'Similarity'),
        (make_registration(similarity=float('nan')), 'Similarity'),
        (make_registration(xfm=np.diag([0.9, 0.9, 0.9, 1])), 'volume'),
        (make_registration(xfm=np.diag([1.4, 1.4, 1.4, 1])), 'volume'),
        (make_registration(xfm=np.diag([0.9, 1.1, 1.4, 1])), 'stretched'),
        (make_registration(coverage=0.5), 'field of view'),
    ],
)
def test_each_problem_is_named(registration, word):
    (problem,) = registration_problems(registration)
    assert word in problem


def test_good_registration_has_no_problem():
    assert registration_problems(make_registration()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    'path',
    ['openms/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz', 'ds000011/sub-01/anat/sub-01_T1w.nii.gz'],
)
def test_limits_catch_the_plain_way_on_real_heads(path):
    if not (DATA / path).exists():
        pytest.skip('development data are not here')
    t1w = load(DATA / path)
    assert registration_problems(register_to_template(t1w, random_seed=1)) == []
    head = flatten(t1w, spacing_mm=2.0)
    plain = affine._register_plainly(t1w, 1)
    assert registration_problems(affine._assess(head, plain, 'plain', skull_stripped=False))


def test_template_is_on_its_own_place():
    head = flatten(Volume(load_template().t1w, AFFINE), spacing_mm=2.0)
    found = affine._assess(head, np.eye(4), 'plain', skull_stripped=True)
    assert found.similarity > 0.95
    assert found.coverage == 1


@pytest.mark.parametrize('angle', [0, 30, 90, 180])
def test_the_rotation_is_told_of_any_affine_map(angle):
    turn, scaling = np.eye(4), np.diag([1.1, 0.9, 1.2, 1])
    turn[:3, :3] = Rotation.from_euler('y', angle, degrees=True).as_matrix()
    assert rotation_deg(turn @ scaling) == pytest.approx(angle, abs=1e-4)
