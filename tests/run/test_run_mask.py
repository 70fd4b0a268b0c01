"""The app on tiny heads of which one has a lesion mask."""

import json
import logging

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import grid_of

from bids_inpaint.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
MASKED, BLIND = 'sub-01/anat/sub-01', 'sub-02/ses-a/anat/sub-02_ses-a_run-1'
URI = f'bids:raw:{MASKED}_label-lesion_roi.nii.gz'


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


@pytest.fixture
def both_networks(tiny_models):
    """A non-blind network in name only, beside the blind one."""
    return tiny_app.write_models(tiny_models, 'nonblind')


@pytest.fixture
def draw_mask(tiny_dataset):
    """Write the lesion mask of the first head, drawn in mm of the template; give its voxels."""

    def draw(shape=lambda points: tiny_app.lesion_share(points) > 0.3, affine=None, path=None):
        grid = grid_of('RAS')
        points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))
        data = shape(points)
        img = nb.Nifti1Image(data.astype('u1'), grid.affine if affine is None else affine)
        img.to_filename(path or tiny_dataset / f'{MASKED}_label-lesion_roi.nii.gz')
        return data

    return draw


def stored(path):
    return np.asarray(nb.load(path).dataobj.get_unscaled())


def qc_of(out, name):
    return json.loads((out / f'{name}_desc-inpaint_qc.json').read_text())


def sphere(middle_mm, radius_mm):
    return lambda points: np.linalg.norm(points - middle_mm, axis=-1) < radius_mm


@pytest.mark.usefixtures('both_networks')
def test_the_mask_is_filled_and_nothing_else_and_other_images_blindly(
    linear, draw_mask, out, tiny_dataset
):
    mask = draw_mask()
    assert main(linear()) == 0
    source = tiny_dataset / f'{MASKED}_T1w.nii.gz'
    product = out / f'{MASKED}_desc-inpainted_T1w.nii.gz'
    changed = stored(out / f'{MASKED}_desc-change_mask.nii.gz') == 1
    np.testing.assert_array_equal(changed, mask)
    assert stored(product)[~mask].tobytes() == stored(source)[~mask].tobytes()
    assert nb.load(product).header.binaryblock == nb.load(source).header.binaryblock
    # All of a voxel of the mask is white matter, up to the noise; nothing is filled by halves.
    grid = grid_of('RAS')
    points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))
    white = tiny_app.GAIN * tiny_app.WHITE * tiny_app.bias_field(points)
    np.testing.assert_allclose(stored(product)[mask], white[mask], atol=8)
    assert (white - stored(source))[mask].max() > 100
    np.testing.assert_array_equal(stored(out / f'{MASKED}_label-lesion_mask.nii.gz') == 1, mask)
    numbers = qc_of(out, MASKED)
    volume = pytest.approx(mask.sum() * 64.0)
    assert numbers['model'] == 'fill_mask'
    assert numbers['lesion_mask'] == URI
    for name in ('lesion_mask_volume_mm3', 'change_volume_mm3', 'lesion_volume_mm3'):
        assert numbers[name] == volume
    assert (numbers['lesion_mask_unfilled_mm3'], numbers['lesion_count']) == (0, 1)
    assert (numbers['lesion_mask_notes'], numbers['problems']) == ('none', 'none')
    blind = qc_of(out, BLIND)
    assert blind['model'] == 'fill'
    assert not any(name.startswith('lesion_mask') for name in blind)


@pytest.mark.usefixtures('both_networks')
def test_sidecars_tell_the_mask_and_the_network(linear, draw_mask, out):
    draw_mask()
    assert main(linear('--dilate-mask', '1')) == 0
    images = [p.with_name(f'{p.name[:-7]}.json') for p in out.rglob('*.nii.gz')]
    assert len(images) == 24
    for path in images:
        content = json.loads(path.read_text())
        steps = {step['step']: step for step in content['Steps']}
        if 'sub-01' in path.name:
            assert content['Sources'] == [f'bids:raw:{MASKED}_T1w.nii.gz', URI]
            assert steps['inpaint']['model'] == 'fill_mask'
            assert steps['conform']['lesion_mask'] == URI
            assert steps['fill_region']['dilate_vox'] == 1
            assert steps['composite']['within'] == 'lesion mask'
        else:
            assert content['Sources'] == [f'bids:raw:{BLIND}_T1w.nii']
            assert steps['inpaint']['model'] == 'fill'
            assert 'fill_region' not in steps


@pytest.mark.usefixtures('both_networks')
def test_a_dilated_mask_is_filled_and_the_lesion_map_is_not_dilated(linear, draw_mask, out):
    mask = draw_mask()
    assert main(linear('--dilate-mask', '2', '--participant-label', '01')) == 0
    changed = stored(out / f'{MASKED}_desc-change_mask.nii.gz') == 1
    grown = np.zeros_like(mask)
    for axis_shift in np.argwhere(np.abs(np.indices((5, 5, 5)) - 2).sum(0) <= 2) - 2:
        grown |= np.roll(mask, axis_shift, (0, 1, 2))
    np.testing.assert_array_equal(changed, grown)
    np.testing.assert_array_equal(stored(out / f'{MASKED}_label-lesion_mask.nii.gz') == 1, mask)
    numbers = qc_of(out, MASKED)
    for name in ('lesion_volume_mm3', 'lesion_mask_volume_mm3'):
        assert numbers[name] == pytest.approx(64 * mask.sum())
    assert numbers['change_volume_mm3'] == pytest.approx(64 * grown.sum())


def test_off_needs_no_network_for_masks_and_changes_nothing(linear, draw_mask, out, tmp_path):
    assert main(linear('--participant-label', '01')) == 0
    product = f'{MASKED}_desc-inpainted_T1w.nii.gz'
    expected = (out / product).read_bytes()
    draw_mask()
    out.rename(tmp_path / 'before')
    assert main(linear('--participant-label', '01', '--lesion-mask', 'off')) == 0
    assert (out / product).read_bytes() == expected
    assert 'lesion_mask' not in qc_of(out, MASKED)


def test_a_mask_without_a_network_for_it_ends_the_run_before_it_begins(
    linear, draw_mask, out, capsys
):
    draw_mask()
    assert main(linear()) == 2
    error = capsys.readouterr().err
    for fact in ('models/nonblind', 'card.json', '1 of 2 T1w images', '--lesion-mask off'):
        assert fact in error
    assert f'{out.parent}/raw/{MASKED}_label' in error
    assert not list(out.glob('sub-*'))


def test_masks_alone_need_no_blind_network(line, draw_mask, tmp_path):
    draw_mask()
    models = tiny_app.write_models(tmp_path / 'others', 'nonblind')
    (tmp_path / 'linear.yml').write_text('plugin: Linear')
    plugin = ('--use-plugin', str(tmp_path / 'linear.yml'))
    required = ('--lesion-mask', 'required', '--participant-label', '01')
    assert main(line(*plugin, *required, models=models)) == 0
    assert main(line(*plugin, models=models)) == 2  # the other image has no mask


@pytest.mark.usefixtures('both_networks')
def test_a_mask_on_another_grid_fails_its_image_only(linear, draw_mask, out, capsys):
    affine = grid_of('RAS').affine.copy()
    affine[:3, 3] += 3
    draw_mask(affine=affine)
    assert main(linear()) == 1
    error = capsys.readouterr().err
    assert '1 of 2 T1w images failed' in error
    mask = f'{MASKED}_label-lesion_roi.nii.gz'
    assert f'{mask}: expected the grid of {out.parent}/raw/{MASKED}_T1w' in error
    assert error.count('42 x 48 x 40 voxels of 4 x 4 x 4 mm, RAS, affine') == 2
    assert not list(out.glob('sub-01/**/*.nii.gz'))
    assert (out / f'{BLIND}_desc-inpainted_T1w.nii.gz').exists()


@pytest.mark.usefixtures('both_networks')
def test_an_empty_mask_gives_the_source_back_and_says_so(
    linear, draw_mask, out, tiny_dataset, caplog, monkeypatch
):
    draw_mask(lambda points: np.zeros(points.shape[:-1]))
    monkeypatch.setattr('bids_inpaint.cli.app.configure_logging', lambda _: None)
    with caplog.at_level(logging.WARNING):
        assert main(linear('--participant-label', '01')) == 0
    assert 'lesion_roi.nii.gz: the mask is empty' in caplog.text
    product = out / f'{MASKED}_desc-inpainted_T1w.nii.gz'
    assert stored(product).tobytes() == stored(tiny_dataset / f'{MASKED}_T1w.nii.gz').tobytes()
    numbers = qc_of(out, MASKED)
    assert 'mask is empty' in numbers['lesion_mask_notes']
    assert (numbers['change_volume_mm3'], numbers['lesion_count']) == (0, 0)
    assert numbers['problems'] == 'none'


@pytest.mark.usefixtures('both_networks')
def test_what_of_a_mask_is_outside_the_brain_is_left_and_told(
    linear, draw_mask, out, tiny_dataset
):
    within, beyond = sphere(tiny_app.LESION_MM, 8), sphere(np.array([0, -17, 77]), 12)
    mask = draw_mask(lambda points: within(points) | beyond(points))
    options = ('--participant-label', '01')
    assert main(linear(*options)) == 0
    changed = stored(out / f'{MASKED}_desc-change_mask.nii.gz') == 1
    points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid_of('RAS')))
    assert not (changed & ~mask).any()
    assert changed[within(points)].all()
    assert not changed[tiny_app.radius(points) > 1.3].any()
    product = out / f'{MASKED}_desc-inpainted_T1w.nii.gz'
    source = stored(tiny_dataset / f'{MASKED}_T1w.nii.gz')
    np.testing.assert_array_equal(stored(product)[~changed], source[~changed])
    lesions = stored(out / f'{MASKED}_label-lesion_mask.nii.gz') == 1
    np.testing.assert_array_equal(lesions, changed)
    numbers = qc_of(out, MASKED)
    unfilled = 64.0 * (mask & ~changed).sum()
    assert numbers['lesion_mask_unfilled_mm3'] == pytest.approx(unfilled)
    assert numbers['problems'].startswith(f'{unfilled:.0f} mm3 of the lesion mask')


@pytest.mark.usefixtures('both_networks')
def test_a_mask_that_was_redrawn_is_filled_anew(linear, draw_mask, out):
    draw_mask()
    options = ('--participant-label', '01', '--keep-work-dir', '--no-lesion-map')
    assert main(linear(*options)) == 0
    mask = draw_mask(sphere(tiny_app.LESION_MM, 14))
    assert main(linear(*options)) == 0
    changed = stored(out / f'{MASKED}_desc-change_mask.nii.gz') == 1
    np.testing.assert_array_equal(changed, mask)
    assert not list(out.rglob('*label-lesion*'))
    assert 'lesion_count' not in qc_of(out, MASKED)


@pytest.mark.usefixtures('both_networks')
def test_masks_of_another_dataset_are_linked(linear, draw_mask, out, tmp_path):
    path = tmp_path / f'lst/{MASKED}_label-lesion_mask.nii'
    path.parent.mkdir(parents=True)
    mask = draw_mask(path=path)
    options = ('--participant-label', '01', '--derivatives', str(tmp_path / 'lst'))
    assert main(linear(*options, '--lesion-mask', 'required')) == 0
    uri = f'bids:lst:{MASKED}_label-lesion_mask.nii'
    assert qc_of(out, MASKED)['lesion_mask'] == uri
    description = json.loads((out / 'dataset_description.json').read_text())
    assert description['DatasetLinks']['lst'] == (tmp_path / 'lst').as_uri()
    sidecar = json.loads((out / f'{MASKED}_desc-inpainted_T1w.json').read_text())
    assert sidecar['Sources'] == [f'bids:raw:{MASKED}_T1w.nii.gz', uri]
    changed = stored(out / f'{MASKED}_desc-change_mask.nii.gz') == 1
    np.testing.assert_array_equal(changed, mask)
