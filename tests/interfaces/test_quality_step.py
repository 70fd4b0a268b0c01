from dataclasses import replace

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import GRIDS, grid_of

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256
from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.interfaces.base import Facts
from bids_inpaint.interfaces.quality import Gate, MeasureQuality, summarise

FACTS = (
    Facts(step='conform'),
    Facts(
        step='register',
        similarity=0.8,
        strategy='search',
        determinant=1.2,
        coverage=0.9,
        skull_stripped=True,
    ),
    Facts(step='brain_mask', volume_ml=1500.0),
    Facts(step='normalise', brain_mean=250.0),
    Facts(step='inpaint', model='x', device='cpu'),
    Facts(step='composite', edge_threshold=0.1),
)


def facts(*problems, **composite):
    made = [replace(fact, seconds=1.25, peak_memory_mb=100.0 + i) for i, fact in enumerate(FACTS)]
    made[1] = replace(made[1], problems=list(problems))
    return [*made[:-1], replace(made[-1], **composite)]


def test_summary_is_flat_and_adds_up():
    found = summarise(facts())
    assert found['seconds'] == 7.5
    assert found['peak_memory_mb'] == 105.0
    assert found['skull_stripped'] == 'true'
    assert all(isinstance(value, str | int | float) for value in found.values())
    assert 'lesion_map_from' not in found
    mapped = summarise(facts(lesion_map_from='probability'))
    assert mapped['lesion_map_from'] == 'probability'
    assert (found['registration_similarity'], found['affine_determinant']) == (0.8, 1.2)


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measure a head of which some voxels were changed, on a grid by name."""
    monkeypatch.setattr(template, 'SHAPE', tiny_app.SHAPE)
    monkeypatch.setattr(template, 'AFFINE', tiny_app.AFFINE)

    def run(name, *, outside=0.0, problems=(), lesion=True, asked=None):
        grid = grid_of(name)
        source = tiny_app.write_head(tmp_path / 'T1w.nii', grid, dtype='f4')
        img = nb.load(source)
        points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))
        brain = tiny_app.radius(points) < 1
        changed = tiny_app.lesion_share(points) > 0
        noise = np.random.default_rng(1).normal(0, outside, grid.shape)
        data = img.get_fdata() + np.where(changed, 100, noise)
        files = {}
        masks = {'brain_mask': brain, 'change_mask': changed, 'lesion_mask': changed}
        for key, mask in masks.items():
            files[key] = str(tmp_path / f'{key}.nii')
            nb.Nifti1Image(mask.astype('u1'), img.affine).to_filename(files[key])
        if not lesion:
            del files['lesion_mask']
        files['inpainted'] = str(tmp_path / 'inpainted.nii')
        nb.Nifti1Image(data.astype('f4'), img.affine, img.header).to_filename(files['inpainted'])
        steps = facts(*problems, ventricle_change=asked)
        steps[0] = replace(steps[0], source_sha256=sha256(source))
        xfm = write_xfm(tiny_app.anat2std_xfm(), tmp_path / 'xfm.txt')
        node = MeasureQuality(source_file=str(source), anat2std_xfm=str(xfm), facts=steps, **files)
        volume = changed.sum() * abs(np.linalg.det(img.affine))
        return node.run(cwd=str(tmp_path)).outputs.numbers, volume

    return run


@pytest.mark.parametrize('name', GRIDS)
def test_numbers_of_a_change(measure, name):
    numbers, volume = measure(name)
    assert numbers['change_volume_mm3'] == pytest.approx(volume)
    assert numbers['lesion_volume_mm3'] == pytest.approx(volume)
    assert numbers['lesion_count'] == 1
    assert numbers['outside_correlation'] == pytest.approx(1)
    assert 0.9 < numbers['control_correlation'] < 0.9999
    assert numbers['problems'] == 'none'
    assert 'ventricle_change' not in numbers  # this head has none


def test_the_control_goes_to_the_template(measure, monkeypatch):
    used = []

    def note(t1w, xfm, mask):
        assert mask.shape == t1w.data.shape
        used.append(xfm)
        return 0.99

    monkeypatch.setattr('bids_inpaint.interfaces.quality.control_correlation', note)
    measure('RAS')
    np.testing.assert_allclose(used[0], tiny_app.anat2std_xfm(), atol=1e-6)


def test_a_change_outside_the_mask_and_a_bad_registration_are_told(measure):
    numbers, _ = measure('oblique', outside=60, problems=['the affine is odd'], lesion=False)
    first, second = numbers['problems'].split('; ')[:2]
    assert first == 'the affine is odd'
    assert second.startswith('outside the changed voxels the image correlates')
    assert 'lesion_count' not in numbers


@pytest.mark.parametrize(('change', 'said'), [(0.005, 'none'), (0.3, 'lesion, by 0.300 of mean')])
def test_a_change_in_the_ventricles_is_told(measure, change, said):
    numbers, _ = measure('RAS', asked=change)
    assert numbers['ventricle_change'] == pytest.approx(change, rel=1e-4)
    assert said in numbers['problems']


def test_a_given_mask_is_summarised(measure):
    notes = {'lesion_mask': 'bids:x', 'lesion_mask_mm3': 100.0, 'lesion_mask_notes': ['a', 'b']}
    first, *others = facts()
    steps = [replace(first, **notes), *others, Facts(step='add_fill', unfilled_mm3=9.0)]
    found = summarise(steps)
    assert found['lesion_mask'] == 'bids:x'
    assert found['lesion_mask_volume_mm3'] == 100
    assert found['lesion_mask_unfilled_mm3'] == 9
    assert found['lesion_mask_notes'] == 'a; b'
    numbers, _ = measure('RAS')
    assert not any(name.startswith('lesion_mask') for name in numbers)


def test_the_gate_lets_good_numbers_through_only():
    assert Gate(numbers={'problems': 'none'}).run().outputs.passed
    with pytest.raises(BidsInpaintError, match='QC: the affine is odd'):
        Gate(numbers={'problems': 'the affine is odd'}).run()
