import nibabel as nb
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bids_inpaint.image.fill import brain_with_lesions, change_to_fill, hidden_region
from bids_inpaint.image.resample import Grid, inverse, resample
from bids_inpaint.image.volume import Volume

STD = Grid((24, 25, 26), np.diag([1.0, 1, 1, 1]))


@st.composite
def placements(draw):
    """A mask on a grid of any voxel size that is turned against the template's, and the map."""
    zooms = draw(st.tuples(*[st.sampled_from([0.4, 0.8, 1.0, 1.7, 3.5])] * 3))
    angles = draw(st.tuples(*[st.floats(-0.4, 0.4)] * 3))
    shift = draw(st.tuples(*[st.floats(-2, 2)] * 3))
    shape = tuple(int(np.ceil(18 / zoom)) for zoom in zooms)
    affine = np.diag([*zooms, 1.0])
    xfm = np.eye(4)
    xfm[:3, :3] = nb.eulerangles.euler2mat(*angles) * draw(st.floats(0.8, 1.2))
    xfm[:3, 3] = np.array([12, 12, 12]) - xfm[:3, :3] @ [9, 9, 9] + shift
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    mask = rng.random(shape) > draw(st.sampled_from([0.5, 0.99, 0.9995]))
    return mask, affine, xfm


def fill_back(mask, affine, xfm, brain):
    """Bring 1 from all of the region, and 0 from elsewhere, to where it is read."""
    region = hidden_region(Volume(mask, affine), STD, xfm) & brain
    share = resample(Volume(region, STD.affine), Grid(mask.shape, affine), inverse(xfm))
    return region, share


@given(placements())
def test_a_voxel_of_the_mask_is_filled_wholly_wherever_voxels_lie(placement):
    mask, affine, xfm = placement
    _, share = fill_back(mask, affine, xfm, np.ones(STD.shape, bool))
    places = nb.affines.apply_affine(xfm @ affine, np.argwhere(mask))
    within = ((places >= 0) & (places <= np.array(STD.shape) - 1)).all(axis=1)
    np.testing.assert_allclose(share[mask][within], 1, atol=1e-4)


@given(placements())
def test_what_lesions_contribute_to_is_hidden_and_no_more_than_their_neighbours(placement):
    mask, affine, xfm = placement
    region = hidden_region(Volume(mask, affine), STD, xfm)
    contributes = resample(Volume(mask, affine), STD, xfm)
    assert region[contributes >= 0.1].all()
    places = nb.affines.apply_affine(np.linalg.inv(xfm @ affine), np.argwhere(region))
    lesions = np.argwhere(mask)
    zooms = nb.affines.voxel_sizes(xfm @ affine)
    reach = np.maximum(1, np.sqrt(3) / zooms) + 1e-6  # in voxels of the mask
    for place in places[:50]:
        assert (np.abs(lesions - place) <= reach).all(axis=1).any()


def test_no_lesion_hides_nothing():
    empty = Volume(np.zeros((5, 6, 7), bool), np.eye(4))
    assert not hidden_region(empty, STD, np.eye(4)).any()


def test_voxels_of_one_grid_hide_themselves_alone():
    mask = np.random.default_rng(0).random(STD.shape) > 0.9
    region = hidden_region(Volume(mask, STD.affine), STD, np.eye(4))
    np.testing.assert_array_equal(region, mask)


def test_lesions_at_the_edge_are_brain_and_far_ones_are_not():
    brain = np.zeros((20, 5, 5), bool)
    brain[:8] = True
    region = np.zeros_like(brain)
    region[6:12, 2, 2] = region[15, 2, 2] = True
    found = brain_with_lesions(brain, region)
    assert found[brain].all()
    np.testing.assert_array_equal(np.flatnonzero(found[:, 2, 2]), np.arange(11))
    assert found.sum() == brain.sum() + 3


@given(placements())
def test_nothing_but_the_mask_changes_and_noise_stays(placement):
    mask, affine, xfm = placement
    brain = np.zeros(STD.shape, bool)
    brain[5:, 3:, 4:] = True
    region, _ = fill_back(mask, affine, xfm, brain)
    rng = np.random.default_rng(0)
    source, denoised = rng.random((2, *mask.shape), dtype=np.float32)
    inpainted, scale = rng.random((2, *STD.shape), dtype=np.float32) + np.float32(1)
    grid = Grid(mask.shape, affine)
    change, changed, difference = change_to_fill(
        Volume(inpainted, STD.affine),
        region.astype(np.float32),
        scale,
        denoised,
        mask,
        onto=grid,
        std2anat_xfm=inverse(xfm),
    )
    filled, unit = (
        resample(Volume(data, STD.affine), grid, inverse(xfm))
        for data in (inpainted * scale, scale)
    )
    np.testing.assert_allclose(difference[changed] * unit[changed], change[changed], atol=1e-5)
    assert not change[~changed].any()
    assert not changed[~mask].any()
    expected = filled + (source - denoised)
    np.testing.assert_allclose((source + change)[changed], expected[changed], atol=1e-5)
    # What is left out is what a voxel outside the brain would have a part in.
    corners = nb.affines.apply_affine(xfm @ affine, np.argwhere(mask & ~changed))
    first, last = (np.array([5, 3, 4]), np.array(STD.shape) - 1)
    outside = (corners < first + 1e-3) | (corners > last - 1e-3)
    assert outside.any(axis=1).all()
