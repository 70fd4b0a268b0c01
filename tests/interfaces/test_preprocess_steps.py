from importlib import import_module

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import GRIDS, grid_of
from nitransforms.linear import Affine

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.bias import expand_field
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.volume import Volume, load, save
from bids_inpaint.interfaces.base import INTENSITY_STEP
from bids_inpaint.interfaces.preprocess import (
    BiasField,
    BrainMask,
    Conform,
    Denoise,
    Normalise,
    Register,
    ToTemplate,
)

PLACES = tiny_app.places(Grid(tiny_app.SHAPE, tiny_app.AFFINE))


@pytest.fixture(autouse=True)
def tiny_steps(monkeypatch):
    for module, name, value in tiny_app.replacements():
        monkeypatch.setattr(import_module(module), name, value)


@pytest.fixture
def transforms(tmp_path):
    """Files that bring the T1w to the template, and back."""
    xfm = tiny_app.anat2std_xfm()
    forward = write_xfm(xfm, tmp_path / 'anat2std.txt')
    backward = write_xfm(xfm, tmp_path / 'std2anat.txt', back=True)
    return {'anat2std': str(forward), 'std2anat': str(backward)}


def run(node, tmp_path):
    return node.run(cwd=str(tmp_path)).outputs


def in_template(folder, name, data):
    return str(save(Volume(data.astype(np.float32), tiny_app.AFFINE), folder / f'{name}.nii'))


def test_lesions_at_the_edge_are_brain(tmp_path):
    files = {
        'in_file': in_template(tmp_path, 'std', np.ones(tiny_app.SHAPE)),
        'fill_mask': in_template(tmp_path, 'fill', PLACES[..., 2] > 0),
    }
    plain = load(run(BrainMask(in_file=files['in_file'], skull_stripped=False), tmp_path).out_file)
    grown = load(run(BrainMask(**files, skull_stripped=False), tmp_path).out_file)
    brain, added = plain.data > 0, (grown.data > 0) & (plain.data == 0)
    assert (grown.data > 0)[brain].all()
    assert added.sum() > 1000
    assert PLACES[added][:, 2].min() > 0


def test_known_lesions_have_no_part_in_field_and_mean(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    brain, lesions = rng.random((2, *tiny_app.SHAPE)) > 0.5
    fitted = []

    def note(t1w, mask):
        fitted.append(mask)
        return np.ones_like(t1w.data)

    monkeypatch.setattr('bids_inpaint.interfaces.preprocess.estimate_bias_field', note)
    monkeypatch.setattr('bids_inpaint.interfaces.preprocess.tissue_contrast', lambda *_: 0.4)
    files = {
        'in_file': in_template(tmp_path, 'std', np.where(lesions, 100, 200)),
        'brain_mask': in_template(tmp_path, 'brain', brain),
        'fill_mask': in_template(tmp_path, 'fill', lesions),
    }
    field = run(BiasField(**files), tmp_path).out_file
    np.testing.assert_array_equal(fitted[0], brain & ~lesions)
    out = run(Normalise(**files, bias_field=field), tmp_path)
    assert out.brain_mean == pytest.approx(200)
    expected = np.where(brain, np.where(lesions, 0.5, 1), 0)
    np.testing.assert_allclose(load(out.out_file).data, expected, atol=1e-6)
    del files['fill_mask']
    assert 100 < run(Normalise(**files, bias_field=field), tmp_path).brain_mean < 200


@pytest.mark.parametrize('name', GRIDS)
def test_conform_turns_to_ras(tmp_path, name):
    grid = grid_of(name)
    source = tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid, dtype='u1', slope=2.5, noise=0)
    out = run(Conform(in_file=str(source)), tmp_path)
    t1w = load(out.out_file)
    assert nb.aff2axcodes(t1w.affine) == ('R', 'A', 'S')
    points = nb.affines.apply_affine(
        tiny_app.anat2std_xfm(), tiny_app.places(Grid(t1w.data.shape, t1w.affine))
    )
    expected = tiny_app.GAIN * tiny_app.head(points) * tiny_app.bias_field(points)
    # Half a step of the stored integers; rounding of positions moves some voxels over an edge.
    assert (np.abs(t1w.data - expected) < 1.26).mean() > 0.995
    assert out.facts.shape == list(grid.shape)
    assert out.facts.zooms_mm == pytest.approx(nb.affines.voxel_sizes(grid.affine), abs=1e-3)


def test_register_writes_the_map_and_its_inverse_as_itk_wants_them(tmp_path):
    t1w = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of('RAS'))
    out = run(Register(in_file=str(t1w)), tmp_path)
    # To take an image somewhere one needs the map of points from there.
    points = np.random.default_rng(0).normal(0, 50, (20, 3))
    there = nb.affines.apply_affine(tiny_app.anat2std_xfm(), points)
    forward, backward = (
        Affine.from_filename(path, fmt='itk') for path in (out.anat2std_xfm, out.std2anat_xfm)
    )
    np.testing.assert_allclose(forward.map(there), points, atol=1e-4)
    np.testing.assert_allclose(backward.map(points), there, atol=1e-4)
    assert out.skull_stripped is False
    assert out.facts.similarity == 0.9
    assert out.facts.strategy == 'known'
    assert out.facts.problems == []
    assert out.facts.determinant == pytest.approx(1.08 * 0.95 * 1.04)
    assert out.facts.rotation_deg == pytest.approx(11.6, abs=0.5)


@pytest.mark.parametrize('name', GRIDS)
def test_to_template_puts_the_head_where_the_template_is(tmp_path, transforms, name):
    source = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of(name), noise=0, dtype='f4')
    out = run(ToTemplate(in_file=str(source), anat2std_xfm=transforms['anat2std']), tmp_path)
    moved = load(out.out_file)
    np.testing.assert_array_equal(moved.affine, tiny_app.AFFINE)
    expected = tiny_app.GAIN * tiny_app.head(PLACES) * tiny_app.bias_field(PLACES)
    inside = tiny_app.radius(PLACES) < 0.6
    assert np.corrcoef(moved.data[inside], expected[inside])[0, 1] > 0.97
    # Beyond the head there is nothing.
    np.testing.assert_allclose(moved.data[tiny_app.radius(PLACES) > 1.4], 0, atol=15)


def half_in_fog(points):
    """A head with no zero around it, but nothing at all to its left."""
    return np.where(points[..., 0] > -20, tiny_app.head(points) + np.float32(0.1), 0)


@pytest.mark.parametrize('name', ['LPS', 'oblique'])
def test_denoising_is_asked_for_where_the_brain_is_and_not_in_zeros(
    tmp_path, transforms, monkeypatch, name
):
    grid = grid_of(name)
    asked = []

    def note(t1w, mask):
        asked.append(mask)
        return t1w

    monkeypatch.setattr('bids_inpaint.interfaces.preprocess.denoise', note)
    source = tiny_app.write_head(tmp_path / 'T1w.nii', grid, dtype='f4', draw=half_in_fog)
    conformed = run(Conform(in_file=str(source)), tmp_path).out_file
    run(Denoise(in_file=conformed, std2anat_xfm=transforms['std2anat']), tmp_path)
    (mask,) = asked
    t1w = load(conformed)
    radius = tiny_app.radius(
        nb.affines.apply_affine(
            tiny_app.anat2std_xfm(), tiny_app.places(Grid(t1w.data.shape, t1w.affine))
        )
    )
    assert mask.shape == t1w.data.shape
    assert mask[(radius < 1) & (t1w.data != 0)].all()
    assert not mask[t1w.data == 0].any()
    # Four voxels of this template are 16 mm, and the brain's radius at least 55.
    beyond = mask[t1w.data != 0][radius[t1w.data != 0] > 1]
    assert beyond.any()
    assert not mask[radius > 1 + 18 / 55].any()


@pytest.mark.parametrize(('reduce', 'voxel_mm'), [(True, 1.0), (False, 0.5)])
def test_fine_voxels_are_averaged_before_denoising_if_asked_for(
    tmp_path, transforms, monkeypatch, reduce, voxel_mm
):
    fine = save(
        Volume(np.ones((40, 44, 48), 'f4'), np.diag([0.5, 0.5, 0.5, 1])), tmp_path / 'a.nii'
    )
    monkeypatch.setattr('bids_inpaint.interfaces.preprocess.denoise', lambda t1w, _: t1w)
    step = Denoise(in_file=str(fine), std2anat_xfm=transforms['std2anat'], reduce=reduce)
    found = load(run(step, tmp_path).out_file)
    np.testing.assert_allclose(nb.affines.voxel_sizes(found.affine), voxel_mm)
    np.testing.assert_allclose(np.array(found.data.shape) * voxel_mm, [20, 22, 24])


def test_normalise_undoes_field_and_gain(tmp_path):
    brain = tiny_app.radius(PLACES) < 1
    field = tiny_app.bias_field(PLACES)
    files = {
        'bias_field': in_template(tmp_path, 'field', field),
        'brain_mask': in_template(tmp_path, 'brain', brain),
    }
    given = in_template(tmp_path, 'given', 300 * tiny_app.head(PLACES) * field)
    out = run(Normalise(in_file=given, **files), tmp_path)
    scaled = load(out.out_file).data
    assert scaled[brain].mean() == pytest.approx(1, abs=INTENSITY_STEP / 2)
    assert not scaled[~brain].any()
    normalised = load(given).data / (field * out.brain_mean)
    step = INTENSITY_STEP / 2 + 1e-6
    np.testing.assert_allclose(scaled[brain], normalised[brain], atol=step)
    assert out.facts.brain_mean == out.brain_mean


@pytest.mark.parametrize(('white', 'refused'), [(1.0, True), (1.01, True), (1.1, False)])
def test_a_brain_without_two_tissues_is_refused(tmp_path, white, refused):
    brain, inner = (tiny_app.radius(PLACES) < edge for edge in (1, 0.7))
    files = {
        'in_file': in_template(tmp_path, 'std', np.where(inner, white, 1.0) * brain),
        'bias_field': in_template(tmp_path, 'field', np.ones(tiny_app.SHAPE)),
        'brain_mask': in_template(tmp_path, 'brain', brain),
    }
    if refused:
        with pytest.raises(BidsInpaintError, match=r'must be below -0\.02 or above 0\.02'):
            run(Normalise(**files), tmp_path)
    else:
        assert run(Normalise(**files), tmp_path).facts.tissue_contrast > 0.05


@pytest.mark.parametrize('similarity', [0.19, -0.7, float('nan')])
def test_what_is_not_like_the_template_is_refused(tmp_path, monkeypatch, similarity):
    def register(t1w, *, random_seed):
        found = tiny_app.register(t1w, random_seed=random_seed)
        return found._replace(similarity=similarity)

    monkeypatch.setattr('bids_inpaint.interfaces.preprocess.register_to_template', register)
    with pytest.raises(BidsInpaintError, match=r'similarity to the template is .* at least 0\.2'):
        run(Register(in_file=in_template(tmp_path, 't1w', PLACES[..., 0])), tmp_path)


def test_field_and_mask_are_kept_with_what_tells_of_them(tmp_path):
    given = in_template(tmp_path, 'given', tiny_app.head(PLACES))
    brain = run(BrainMask(in_file=given, skull_stripped=False), tmp_path)
    mask = load(brain.out_file).data > 0
    assert brain.facts.volume_ml == pytest.approx(mask.sum() / 1000, abs=0.1)
    field = run(BiasField(in_file=given, brain_mask=brain.out_file), tmp_path)
    whole = expand_field(load(field.out_file), Grid(tiny_app.SHAPE, tiny_app.AFFINE))
    assert whole[mask].mean() == pytest.approx(1, abs=1e-4)
    assert load(field.out_file).data.size < mask.size / 40
    assert 0.8 < field.facts.percentile_1 < 1 < field.facts.percentile_99 < 1.2
