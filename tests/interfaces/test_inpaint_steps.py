"""What is made in template space lands where it should on the grid of the source."""

from copy import deepcopy

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import GRIDS, grid_of
from nipype.interfaces.base import isdefined
from scipy import ndimage

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256
from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.volume import Volume, load, save
from bids_inpaint.interfaces.base import INTENSITY_STEP
from bids_inpaint.interfaces.inpaint import AddChange, Composite
from bids_inpaint.interfaces.quality import ToNative

TEMPLATE_PLACES = tiny_app.places(Grid(tiny_app.SHAPE, tiny_app.AFFINE))
STEP = 100.0


def blob(points, width_mm=10.0):
    """A bump of height 1 in the place of the lesion; template mm."""
    return np.exp(-0.5 * (((points - tiny_app.LESION_MM) / width_mm) ** 2).sum(-1))


def in_template(folder, name, data):
    return str(save(Volume(data.astype(np.float32), tiny_app.AFFINE), folder / f'{name}.nii'))


@pytest.fixture
def xfm_file(tmp_path):
    """The transform as ITK programs take it: from points of the template to those of the T1w."""
    return str(write_xfm(tiny_app.anat2std_xfm(), tmp_path / 'xfm.txt'))


@pytest.fixture
def coarse(monkeypatch):
    """Put a template of few voxels in the place of the true one, and return it."""
    maps = deepcopy(tiny_app.coarse_template())  # tests change it
    monkeypatch.setattr(template, 'SHAPE', tiny_app.SHAPE)
    monkeypatch.setattr(template, 'AFFINE', tiny_app.AFFINE)
    monkeypatch.setattr('bids_inpaint.interfaces.inpaint.load_template', lambda: maps)
    return maps


def native_points(grid):
    return nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))


def centroid(weights, grid):
    points = tiny_app.places(grid)
    return (points * weights[..., None]).sum((0, 1, 2)) / weights.sum()


def run(interface, tmp_path, **inputs):
    folder = tmp_path / 'node'
    folder.mkdir(exist_ok=True)
    for name, value in inputs.items():
        setattr(interface.inputs, name, value)
    return interface.run(cwd=str(folder)).outputs


@pytest.mark.parametrize('name', GRIDS)
@pytest.mark.parametrize(('dtype', 'slope'), [('i2', None), ('u1', 2.5), ('f4', None)])
def test_a_change_lands_in_its_place_and_nowhere_else(tmp_path, xfm_file, name, dtype, slope):
    grid = grid_of(name)
    source = tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid, dtype=dtype, slope=slope)
    out = run(
        AddChange(),
        tmp_path,
        in_file=str(source),
        source_sha256=sha256(source),
        anat2std_xfm=xfm_file,
        change=in_template(tmp_path, 'change', STEP * blob(TEMPLATE_PLACES)),
        weights=in_template(tmp_path, 'weights', blob(TEMPLATE_PLACES)),
        difference=in_template(tmp_path, 'difference', blob(TEMPLATE_PLACES)),
    )
    before, after = nb.load(source), nb.load(out.out_file)
    mask = np.asarray(nb.load(out.change_mask).dataobj) == 1
    stored = [np.asarray(img.dataobj.get_unscaled()) for img in (before, after)]
    assert stored[0][~mask].tobytes() == stored[1][~mask].tobytes()
    expected = blob(native_points(grid))
    # Weights of less than 0.05 are left out.
    assert mask[expected > 0.07].all()
    assert not mask[expected < 0.03].any()
    # Linear interpolation of this bump on voxels of 4 mm is off by 3 x (4 / 10)^2 / 8 = 6 % at
    # most; integers are rounded to their step.
    added = after.get_fdata() - before.get_fdata()
    tolerance = 0.06 * STEP + 0.51 * (slope or 1)
    np.testing.assert_allclose(added[mask], STEP * expected[mask], atol=tolerance)
    difference = nb.load(out.difference).get_fdata()
    np.testing.assert_allclose(difference[mask], expected[mask], atol=0.06)
    assert not difference[~mask].any()
    # Within a tenth of the smallest voxel.
    place = nb.affines.apply_affine(np.linalg.inv(tiny_app.anat2std_xfm()), tiny_app.LESION_MM)
    smallest = nb.affines.voxel_sizes(grid.affine).min()
    np.testing.assert_allclose(centroid(difference, grid), place, atol=0.1 * smallest)


def test_a_source_that_was_changed_since_it_was_first_read_is_refused(tmp_path, xfm_file):
    source = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of('LAS'))
    files = {'source_sha256': sha256(source), 'anat2std_xfm': xfm_file}
    tiny_app.write_head(source, grid_of('LAS'), noise=8)
    zero = in_template(tmp_path, 'zero', np.zeros(tiny_app.SHAPE))
    with pytest.raises(BidsInpaintError, match='changed during the run'):
        run(
            AddChange(),
            tmp_path,
            in_file=str(source),
            **dict.fromkeys(('change', 'weights', 'difference'), zero),
            **files,
        )
    with pytest.raises(BidsInpaintError, match='changed during the run'):
        run(ToNative(), tmp_path, reference=str(source), in_file=zero, **files)
    source.unlink()
    with pytest.raises(BidsInpaintError, match='expected a file, found none'):
        run(ToNative(), tmp_path, reference=str(source), in_file=zero, **files)


def test_no_change_gives_the_source_back(tmp_path, xfm_file):
    source = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of('oblique'), dtype='u1', slope=2.5)
    zero = in_template(tmp_path, 'zero', np.zeros(tiny_app.SHAPE))
    out = run(
        AddChange(),
        tmp_path,
        in_file=str(source),
        source_sha256=sha256(source),
        anat2std_xfm=xfm_file,
        change=zero,
        weights=zero,
        difference=zero,
    )
    with open(out.out_file, 'rb') as result, source.open('rb') as given:  # noqa: PTH123
        assert result.read() == given.read()


@pytest.mark.parametrize('name', GRIDS)
def test_a_mask_lands_in_its_place(tmp_path, xfm_file, name):
    grid = grid_of(name)
    source = tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid)
    out = run(
        ToNative(),
        tmp_path,
        reference=str(source),
        source_sha256=sha256(source),
        anat2std_xfm=xfm_file,
        in_file=in_template(tmp_path, 'mask', blob(TEMPLATE_PLACES) > 0.3),
    )
    img = nb.load(out.out_file)
    assert img.get_data_dtype() == np.uint8
    np.testing.assert_allclose(img.affine, grid.affine, atol=1e-4)
    mask = img.get_fdata()
    expected = blob(native_points(grid))
    assert mask[expected > 0.45].all()
    assert not mask[expected < 0.2].any()
    place = nb.affines.apply_affine(np.linalg.inv(tiny_app.anat2std_xfm()), tiny_app.LESION_MM)
    # Half of the smallest voxel: a mask of so few voxels has no finer position.
    smallest = nb.affines.voxel_sizes(grid.affine).min()
    np.testing.assert_allclose(centroid(mask, grid), place, atol=0.5 * smallest)


@pytest.mark.usefixtures('coarse')
def test_composite_gives_the_change_in_units_of_the_source(tmp_path):
    rng = np.random.default_rng(0)
    given = rng.random(tiny_app.SHAPE, dtype=np.float32)
    predicted = given + np.float32(0.5) * blob(TEMPLATE_PLACES).astype(np.float32)
    field = tiny_app.bias_field(TEMPLATE_PLACES)
    brain = tiny_app.radius(TEMPLATE_PLACES) < 1
    out = run(
        Composite(edge_threshold=0.1, core_threshold=0.2, brain_mean=250.0),
        tmp_path,
        in_file=in_template(tmp_path, 'predicted', predicted),
        preproc=in_template(tmp_path, 'given', given),
        brain_mask=in_template(tmp_path, 'brain', brain),
        bias_field=in_template(tmp_path, 'field', field),
    )
    weights, difference, change, inpainted = (
        load(getattr(out, name)).data for name in ('weights', 'difference', 'change', 'out_file')
    )
    np.testing.assert_allclose(difference, weights * (predicted - given), atol=1e-5)
    np.testing.assert_allclose(change, difference * field * 250, rtol=1e-5)
    np.testing.assert_allclose(inpainted, given + difference, atol=INTENSITY_STEP / 2 + 1e-6)
    np.testing.assert_array_equal(load(out.change_mask).data > 0, weights > 0)
    assert out.facts.edge_threshold == 0.1
    assert out.facts.core_threshold == 0.2


@pytest.mark.parametrize('masked', [False, True])
def test_ventricles_are_left_alone_and_what_was_asked_is_told(tmp_path, coarse, masked):
    radius = tiny_app.radius(TEMPLATE_PLACES)
    ventricle, brain = radius < 0.5, radius < 1
    coarse.white_matter[ventricle] = 0
    given = np.where(ventricle, 0.2, np.where(coarse.grey_matter > 0, 1.0, 1.4)) * brain
    lesion = brain & ~ventricle & (TEMPLATE_PLACES[..., 0] > 0)
    given[lesion] = 0.9
    asked = np.where(ventricle, 0.5, np.where(lesion, 0.4, 0.05)) * brain
    files = {'fill_mask': in_template(tmp_path, 'mask', brain)} if masked else {}
    out = run(
        Composite(edge_threshold=0.1, core_threshold=0.2, brain_mean=250.0),
        tmp_path,
        in_file=in_template(tmp_path, 'predicted', given + asked),
        preproc=in_template(tmp_path, 'given', given),
        brain_mask=in_template(tmp_path, 'brain', brain),
        bias_field=in_template(tmp_path, 'field', np.ones(tiny_app.SHAPE)),
        **files,
    )
    difference = load(out.difference).data
    np.testing.assert_allclose(difference[lesion], 0.4, atol=1e-5)
    # Who gives a mask is obeyed; the network is not.
    inside = ndimage.binary_erosion(ventricle)
    np.testing.assert_allclose(difference[inside], 0.5 if masked else 0, atol=1e-5)
    assert out.facts.ventricle_change == pytest.approx(0.5, abs=1e-5)


def _lesion_files(tmp_path, **more):
    """A head with one lesion, and what a network says of it."""
    given = tiny_app.head(TEMPLATE_PLACES)
    healthy = np.where(tiny_app.lesion_share(TEMPLATE_PLACES) > 0, tiny_app.WHITE, 0)
    healthy = np.maximum(given, healthy)
    brain = tiny_app.radius(TEMPLATE_PLACES) < 1
    files = {
        'in_file': in_template(tmp_path, 'healthy', healthy),
        'preproc': in_template(tmp_path, 'given', given),
        'brain_mask': in_template(tmp_path, 'b', brain),
        'bias_field': in_template(tmp_path, 'field', np.ones(tiny_app.SHAPE)),
    }
    files |= {name: in_template(tmp_path, name, data) for name, data in more.items()}
    return files, healthy - given


def _composite(**options):
    return Composite(edge_threshold=0.1, core_threshold=0.2, brain_mean=1.0, **options)


@pytest.mark.usefixtures('coarse')
def test_lesions_are_mapped_in_white_matter_with_a_size_in_mm3(tmp_path):
    files, difference = _lesion_files(tmp_path)
    # 64 mm3 a voxel.
    out = run(_composite(lesion_threshold=0.2, min_size_mm3=64.0), tmp_path, **files)
    lesions = load(out.lesion_mask).data > 0
    expected = difference > 0.2
    assert expected.sum() > 20
    np.testing.assert_array_equal(lesions, expected)
    labels, _ = ndimage.label(expected, np.ones((3, 3, 3)))
    size = 64.0 * np.bincount(labels[labels > 0]).max()
    kept = run(_composite(lesion_threshold=0.2, min_size_mm3=size - 1), tmp_path, **files)
    assert load(kept.lesion_mask).data.any()
    none = run(_composite(lesion_threshold=0.2, min_size_mm3=size + 1), tmp_path, **files)
    assert not load(none.lesion_mask).data.any()
    assert none.facts.lesion_map_from == 'difference'
    assert none.facts.lesion_threshold == 0.2
    assert none.facts.min_size_mm3 == size + 1


@pytest.mark.usefixtures('coarse')
def test_without_a_threshold_no_lesion_is_mapped(tmp_path):
    files, _ = _lesion_files(tmp_path)
    out = run(_composite(), tmp_path, **files)
    assert not isdefined(out.lesion_mask)
    assert out.facts.lesion_threshold is None
    assert out.facts.decided_by == 'difference'
    assert out.facts.unchanged_lesion_std_mm3 is None
    assert out.facts.change_probability is None
    assert out.facts.change_far_std_mm3 is not None


@pytest.mark.usefixtures('coarse')
def test_the_probability_decides_where_there_is_one(tmp_path):
    share = tiny_app.lesion_share(TEMPLATE_PLACES)
    files, difference = _lesion_files(tmp_path, probability=0.9 * (share > 0.5))
    out = run(_composite(lesion_threshold=0.5, lesion_from='probability'), tmp_path, **files)
    np.testing.assert_array_equal(load(out.lesion_mask).data > 0, share > 0.5)
    assert out.facts.decided_by == 'probability'
    assert out.facts.lesion_map_from == 'probability'
    changed = load(out.change_mask).data > 0
    mean = (0.9 * (share > 0.5))[changed].mean()
    assert out.facts.change_probability == pytest.approx(mean, abs=0.01)
    assert out.facts.unchanged_lesion_std_mm3 == 0
    files, _ = _lesion_files(tmp_path, probability=0.15 * (share > 0.5))
    out = run(_composite(), tmp_path, **files)
    assert difference.max() > 0.2, 'the difference alone would have been taken'
    assert not load(out.change_mask).data.any()


@pytest.mark.parametrize(('said', 'told'), [(0.05, 0.0), (0.15, 0.5), (0.9, 0.5)])
def test_what_a_probability_asks_for_in_ventricles_is_told_and_not_done(
    tmp_path, coarse, said, told
):
    radius = tiny_app.radius(TEMPLATE_PLACES)
    ventricle, brain = radius < 0.5, radius < 1
    coarse.white_matter[ventricle] = 0
    given = np.where(ventricle, 0.2, np.where(coarse.grey_matter > 0, 1.0, 1.4)) * brain
    out = run(
        Composite(edge_threshold=0.1, core_threshold=0.2, brain_mean=250.0),
        tmp_path,
        in_file=in_template(tmp_path, 'predicted', given + 0.5 * ventricle),
        probability=in_template(tmp_path, 'probability', said * ventricle),
        preproc=in_template(tmp_path, 'given', given),
        brain_mask=in_template(tmp_path, 'brain', brain),
        bias_field=in_template(tmp_path, 'field', np.ones(tiny_app.SHAPE)),
    )
    assert out.facts.ventricle_change == pytest.approx(told, abs=1e-5)
    assert not load(out.difference).data[ndimage.binary_erosion(ventricle)].any()


@pytest.mark.parametrize('name', GRIDS)
def test_a_probability_lands_in_its_place(tmp_path, xfm_file, name):
    grid = grid_of(name)
    source = tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid)
    out = run(
        ToNative(binary=False),
        tmp_path,
        reference=str(source),
        source_sha256=sha256(source),
        anat2std_xfm=xfm_file,
        in_file=in_template(tmp_path, 'probability', blob(TEMPLATE_PLACES)),
    )
    img = nb.load(out.out_file)
    assert img.get_data_dtype() == np.uint8
    np.testing.assert_allclose(img.affine, grid.affine, atol=1e-4)
    found = img.get_fdata()
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found, blob(native_points(grid)), atol=0.07)
