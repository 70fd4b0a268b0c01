"""A lesion mask is filled wholly, and nothing else changes, on every grid and in every type."""

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import GRIDS, grid_of

from bids_inpaint.files import sha256
from bids_inpaint.image import template
from bids_inpaint.image.ants_bridge import write_xfm
from bids_inpaint.image.native import conform
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.source import read_source
from bids_inpaint.image.volume import Volume, load, save
from bids_inpaint.interfaces.base import INTENSITY_STEP
from bids_inpaint.interfaces.inpaint import AddFill, Composite
from bids_inpaint.interfaces.preprocess import Conform, FillRegion

STD_PLACES = tiny_app.places(Grid(tiny_app.SHAPE, tiny_app.AFFINE))
MEAN = 250.0


@pytest.fixture(autouse=True)
def coarse_grid(monkeypatch):
    monkeypatch.setattr(template, 'SHAPE', tiny_app.SHAPE)
    monkeypatch.setattr(template, 'AFFINE', tiny_app.AFFINE)


@pytest.fixture
def xfm_file(tmp_path):
    return str(write_xfm(tiny_app.anat2std_xfm(), tmp_path / 'xfm.txt'))


def in_template(folder, name, data):
    return str(save(Volume(data.astype(np.float32), tiny_app.AFFINE), folder / f'{name}.nii'))


def run(node, tmp_path):
    return node.run(cwd=str(tmp_path)).outputs


def native_points(grid):
    """Position of each voxel in the template, mm."""
    return nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))


def scattered(grid):
    """Single voxels and some together, all in the head."""
    mask = np.random.default_rng(3).random(grid.shape) > 0.997
    mask[20:24, 24:27, 20:23] = True
    return mask & (tiny_app.radius(native_points(grid)) < 1)


@pytest.mark.parametrize('name', GRIDS)
@pytest.mark.parametrize(
    ('dtype', 'slope', 'voxels'), [('i2', None, 0), ('u1', 2.5, 1), ('f4', None, 0)]
)
def test_a_mask_is_filled_wholly_and_nothing_else(tmp_path, xfm_file, name, dtype, slope, voxels):
    grid = grid_of(name)
    t1w = tiny_app.write_head(tmp_path / 'T1w.nii.gz', grid, dtype=dtype, slope=slope)
    source = nb.load(t1w)
    mask = scattered(grid)
    mask_file = tmp_path / 'mask.nii.gz'
    nb.Nifti1Image(mask.astype('u1'), source.affine).to_filename(mask_file)
    conformed = run(
        Conform(in_file=str(t1w), lesion_mask=str(mask_file), lesion_mask_uri='bids:x'), tmp_path
    )
    assert conformed.facts.lesion_mask == 'bids:x'
    region = run(
        FillRegion(in_file=conformed.lesion_mask, anat2std_xfm=xfm_file, dilate_vox=voxels),
        tmp_path,
    )
    hidden = load(region.fill_mask).data > 0
    # Where it is filled, the volume is 1; if a voxel of it read anything else, that would show.
    inpainted = np.where(hidden, 1, np.random.default_rng(0).uniform(3, 9, tiny_app.SHAPE))
    field = tiny_app.bias_field(STD_PLACES)
    out = run(
        AddFill(
            in_file=str(t1w),
            source_sha256=sha256(t1w),
            denoised=conformed.out_file,
            lesion_mask=conformed.lesion_mask,
            fill_mask=region.fill_mask_native,
            anat2std_xfm=xfm_file,
            inpainted=in_template(tmp_path, 'inpainted', inpainted),
            weights=in_template(tmp_path, 'weights', hidden),
            bias_field=in_template(tmp_path, 'field', field),
            brain_mean=MEAN,
        ),
        tmp_path,
    )
    before, after = source, nb.load(out.out_file)
    stored = [np.asarray(img.dataobj.get_unscaled()) for img in (before, after)]
    changed = np.asarray(nb.load(out.change_mask).dataobj) == 1
    assert stored[0][~changed].tobytes() == stored[1][~changed].tobytes()
    assert after.header.binaryblock == before.header.binaryblock
    if not voxels:
        np.testing.assert_array_equal(changed, mask)
    assert changed[mask].all()
    assert (changed.sum() > mask.sum()) == (voxels > 0)
    white = MEAN * tiny_app.bias_field(native_points(grid))
    # The denoised image is the source here, so that what is left is the rounding of integers.
    tolerance = 0.51 * (slope or 1)
    np.testing.assert_allclose(after.get_fdata()[changed], white[changed], atol=tolerance)
    difference = nb.load(out.difference).get_fdata()
    expected = (white - before.get_fdata()) / white
    np.testing.assert_allclose(difference[changed], expected[changed], atol=0.01)
    assert not difference[~changed].any()
    lesions = np.asarray(nb.load(out.lesion_mask_native).dataobj) == 1
    np.testing.assert_array_equal(lesions, mask)
    assert out.facts.unfilled_mm3 == 0
    assert region.facts.volume_mm3 == pytest.approx(
        changed.sum() * abs(np.linalg.det(grid.affine))
    )


def test_noise_stays_in_what_is_filled(tmp_path, xfm_file):
    t1w = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of('LAS'), dtype='f4', noise=20)
    clean = tiny_app.write_head(tmp_path / 'clean.nii', grid_of('LAS'), dtype='f4', noise=0)
    denoised = conform(read_source(clean))
    mask = scattered(Grid(denoised.data.shape, denoised.affine))
    mask_file = str(save(Volume(mask.astype(np.float32), denoised.affine), tmp_path / 'm.nii'))
    ones = np.ones(tiny_app.SHAPE)
    out = run(
        AddFill(
            in_file=str(t1w),
            source_sha256=sha256(t1w),
            denoised=str(save(denoised, tmp_path / 'denoised.nii')),
            lesion_mask=mask_file,
            fill_mask=mask_file,
            anat2std_xfm=xfm_file,
            inpainted=in_template(tmp_path, 'inpainted', ones),
            weights=in_template(tmp_path, 'weights', ones),
            bias_field=in_template(tmp_path, 'field', ones),
            brain_mean=MEAN,
        ),
        tmp_path,
    )
    noise = conform(read_source(t1w)).data - denoised.data
    filled = conform(nb.load(out.out_file)).data
    np.testing.assert_allclose(filled[mask], (MEAN + noise)[mask], atol=0.01)
    assert 10 < filled[mask].std() < 30


def test_filled_lesions_come_to_the_template(tmp_path, xfm_file):
    t1w = tiny_app.write_head(tmp_path / 'T1w.nii', grid_of('LPS'))
    head = conform(read_source(t1w))
    points = native_points(Grid(head.data.shape, head.affine))
    mask = np.linalg.norm(points - tiny_app.LESION_MM, axis=-1) < 14
    mask_file = str(save(Volume(mask.astype(np.float32), head.affine), tmp_path / 'm.nii'))
    ones = in_template(tmp_path, 'ones', np.ones(tiny_app.SHAPE))
    left = in_template(tmp_path, 'left', STD_PLACES[..., 0] < tiny_app.LESION_MM[0])
    node = AddFill(
        in_file=str(t1w),
        source_sha256=sha256(t1w),
        denoised=str(save(head, tmp_path / 'head.nii')),
        lesion_mask=mask_file,
        fill_mask=mask_file,
        anat2std_xfm=xfm_file,
        inpainted=ones,
        weights=ones,
        bias_field=ones,
        brain_mean=MEAN,
    )
    lesions = load(run(node, tmp_path).lesion_mask)
    np.testing.assert_array_equal(lesions.affine, tiny_app.AFFINE)
    places = STD_PLACES[lesions.data > 0]
    np.testing.assert_allclose(places.mean(0), tiny_app.LESION_MM, atol=1)
    # Half of the brain was not filled: half of the lesions is left, and told.
    node.inputs.weights = left
    out = run(node, tmp_path)
    places = STD_PLACES[load(out.lesion_mask).data > 0]
    assert places[:, 0].max() <= tiny_app.LESION_MM[0] + 2
    kept = np.asarray(nb.load(out.lesion_mask_native).dataobj).sum()
    assert 0.2 * mask.sum() < kept < 0.6 * mask.sum()
    assert out.facts.unfilled_mm3 == pytest.approx(64 * (mask.sum() - kept))


def test_composite_takes_the_mask_and_no_threshold(tmp_path, monkeypatch):
    monkeypatch.setattr('bids_inpaint.interfaces.inpaint.load_template', tiny_app.coarse_template)
    monkeypatch.setattr('bids_inpaint.image.template.AFFINE', tiny_app.AFFINE)
    rng = np.random.default_rng(0)
    given = rng.random(tiny_app.SHAPE, dtype=np.float32)
    predicted = given + rng.uniform(-1, 1, tiny_app.SHAPE).astype(np.float32)
    brain, fill = tiny_app.radius(STD_PLACES) < 1, rng.random(tiny_app.SHAPE) > 0.9
    names = {'in_file': predicted, 'preproc': given, 'brain_mask': brain, 'fill_mask': fill}
    files = {name: in_template(tmp_path, name, data) for name, data in names.items()}
    field = in_template(tmp_path, 'field', np.ones(tiny_app.SHAPE))
    out = run(
        Composite(
            edge_threshold=0.1, core_threshold=0.2, brain_mean=MEAN, bias_field=field, **files
        ),
        tmp_path,
    )
    inpainted = load(out.out_file).data
    filled = brain & fill
    expected = np.where(filled, predicted, given)
    np.testing.assert_allclose(inpainted, expected, atol=INTENSITY_STEP / 2 + 1e-6)
    np.testing.assert_array_equal(load(out.weights).data, filled)
    assert out.facts.within == 'lesion mask'
    assert out.facts.edge_threshold is None
