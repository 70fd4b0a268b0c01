"""The app on a tiny head with true networks of the shipped architecture, but tiny."""

from dataclasses import replace
from pathlib import Path

import keras
import nibabel as nb
import numpy as np
import pytest
import tiny_app

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.cli import main
from bids_inpaint.image.resample import Grid
from bids_inpaint.network import session
from bids_inpaint.network.config import WHITE_MATTER, UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import save_weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps')]

TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2)
BRIGHTER = 0.25


@pytest.fixture
def run(line, tmp_path):
    """Run the app in this process with a network that adds so much to the whole brain.

    With `logit` it also tells the probability of lesion: the same everywhere.
    """

    def run_with(
        change: float, *options: str, name: str = 'blind', logit: float | None = None
    ) -> tuple[Path, Path]:
        architecture = replace(TINY, lesion_output=logit is not None)
        network = build_unet(architecture)
        said = {'full_resolution/bias': change, 'lesion_subvolumes/bias': logit}
        for variable in network.variables:
            if variable.path in said:
                variable.assign(keras.ops.full_like(variable, said[variable.path]))
        card = {
            'name': 'tiny',
            'architecture': architecture,
            'change_core_threshold': 0.2,
            'change_edge_threshold': 0.1,
            'lesion_threshold': 0.15,
        }
        save_weights(network, tmp_path / f'nets{change}' / name, card)
        (tmp_path / 'linear.yml').write_text('plugin: Linear')
        options = ('--use-plugin', str(tmp_path / 'linear.yml'), *options)
        assert main(line(*options, models=tmp_path / f'nets{change}')) == 0
        source = next((tmp_path / 'raw').rglob('sub-02*_T1w.nii'))
        scan = parse_t1w(source)
        return source, tmp_path / 'out' / scan.folder / f'{scan.name}_'

    return run_with


def stored(path):
    return np.asarray(nb.load(path).dataobj.get_unscaled())


@pytest.mark.parametrize('flip', [(), ('--flip-averaging',)])
def test_a_new_residual_network_gives_back_the_source(run, flip):
    source, prefix = run(0.0, '--participant-label', '02', *flip)
    product = f'{prefix}desc-inpainted_T1w.nii.gz'
    assert stored(product).tobytes() == stored(source).tobytes()
    assert nb.load(product).header.binaryblock == nb.load(source).header.binaryblock
    assert not stored(f'{prefix}desc-change_mask.nii.gz').any()


def test_what_a_network_adds_is_added_in_the_units_of_the_source(run):
    source, prefix = run(BRIGHTER, '--participant-label', '02')
    brain = stored(f'{prefix}desc-brain_mask.nii.gz') == 1
    changed = stored(f'{prefix}desc-change_mask.nii.gz') == 1
    difference = nb.load(f'{prefix}desc-difference_T1w.nii.gz').get_fdata()
    added = nb.load(f'{prefix}desc-inpainted_T1w.nii.gz').get_fdata()
    added -= nb.load(source).get_fdata()
    assert changed[brain].mean() > 0.95
    assert not added[~changed].any()
    img = nb.load(source)
    points = tiny_app.places(Grid(img.shape, tiny_app.anat2std_xfm() @ img.affine))
    # Voxels of the template, of 4 mm, at the ventricle's edge hold tissue, too.
    fluid = np.linalg.norm(points - tiny_app.VENTRICLE_MM, axis=-1) < 5
    assert fluid.any()
    assert not added[fluid].any()
    inside = changed & (difference > 0.99 * BRIGHTER)
    assert inside.sum() > 10_000
    assert difference.max() == pytest.approx(BRIGHTER, rel=0.001)
    # 0.25 of the mean of the brain, about 280, and the field's 15 % to each side.
    assert 0.25 * 280 * 0.8 < added[inside].min() < added[inside].max() < 0.25 * 280 * 1.2


@pytest.mark.parametrize(('logit', 'changed'), [(-4.0, 0.0), (2.0, 1.0)])
def test_a_network_that_tells_the_probability_decides_by_it(run, logit, changed):
    source, prefix = run(BRIGHTER, '--participant-label', '02', logit=logit)
    brain = stored(f'{prefix}desc-brain_mask.nii.gz') == 1
    probability = nb.load(f'{prefix}label-lesion_probseg.nii.gz').get_fdata()
    assert probability[brain].max() == pytest.approx(1 / (1 + np.exp(-logit)), abs=1 / 255)
    mask = stored(f'{prefix}desc-change_mask.nii.gz') == 1
    # All of the brain but its ventricle, or nothing, though as much is filled.
    assert mask[brain].mean() == pytest.approx(changed, abs=0.05)
    product = stored(f'{prefix}desc-inpainted_T1w.nii.gz')
    assert product[~mask].tobytes() == stored(source)[~mask].tobytes()
    lesions = stored(f'{prefix}label-lesion_mask.nii.gz') == 1
    assert lesions[brain].mean() == pytest.approx(changed, abs=0.05)


def test_a_network_that_fills_masks_changes_the_mask_and_sees_none_of_it(
    run, tmp_path, monkeypatch
):
    # The true template would be cut to the tiny grid, and be kept so for all other tests.
    monkeypatch.setattr(session, 'load_template', tiny_app.coarse_template)
    monkeypatch.setattr(session, 'tissue_median', lambda *_: WHITE_MATTER)
    anat = tmp_path / 'raw/sub-02/ses-a/anat'
    source = nb.load(next(anat.glob('*_T1w.nii')))
    mask = np.zeros(source.shape, 'u1')
    mask[18:23, 30:35, 25:31] = 1
    roi = nb.Nifti1Image(mask, source.affine)
    roi.to_filename(anat / 'sub-02_ses-a_run-1_label-lesion_roi.nii.gz')
    # A new residual network adds so much to what it is shown, which is -1 in the mask.
    path, prefix = run(BRIGHTER, '--participant-label', '02', name='nonblind')
    product = nb.load(f'{prefix}desc-inpainted_T1w.nii.gz')
    np.testing.assert_array_equal(stored(f'{prefix}desc-change_mask.nii.gz'), mask)
    outside = mask == 0
    assert stored(product.get_filename())[outside].tobytes() == stored(path)[outside].tobytes()
    inpainted = nb.load(f'{prefix}space-MNI152NLin2009aSym_desc-inpainted_T1w.nii.gz').get_fdata()
    hidden = nb.load(f'{prefix}space-MNI152NLin2009aSym_desc-change_mask.nii.gz').get_fdata() > 0
    np.testing.assert_allclose(inpainted[hidden], BRIGHTER - 1, atol=1e-3)
    # Below zero in the units of the source, which its type does not hold.
    assert (stored(product.get_filename())[mask == 1] == 0).all()
