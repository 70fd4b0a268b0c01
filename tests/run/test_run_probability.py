"""The app with a network that tells the probability of lesion."""

import json

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import grid_of
from planned import planned_paths

from bids_inpaint.bids.names import OUTPUT_SPACES
from bids_inpaint.cli import main
from bids_inpaint.image.resample import Grid
from bids_inpaint.settings import DEFAULT_LESION_THRESHOLD

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
SPACE = 'space-MNI152NLin2009aSym_'


@pytest.fixture
def tiny_models(tmp_path):
    return tiny_app.write_models(tmp_path / 'models', tells_probability=True)


def _prefix(scan, out):
    return out / scan.folder / scan.name


def _load(scan, out, name):
    return nb.load(f'{_prefix(scan, out)}_{name}.nii.gz')


def _sidecar(scan, out, name):
    return json.loads((out / scan.folder / f'{scan.name}_{name}.json').read_text())


def _composite(sidecar):
    return next(step for step in sidecar['Steps'] if step['step'] == 'composite')


def test_the_probability_is_written_in_both_spaces_and_mapped(linear, scans, tmp_path):
    assert main(linear()) == 0
    out = tmp_path / 'out'
    for scan in scans:
        planned = planned_paths(
            scan, output_spaces=OUTPUT_SPACES, lesion_map=True, lesion_probability=True
        )
        assert all((out / path).is_file() for path in planned)
        source = nb.load(scan.t1w)
        native = _load(scan, out, 'label-lesion_probseg')
        np.testing.assert_allclose(native.affine, source.affine, atol=1e-5)
        assert native.get_data_dtype() == np.uint8
        probability = native.get_fdata()
        assert 0 <= probability.min() <= probability.max() <= 1
        grid = Grid(source.shape, source.affine)
        points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))
        share = tiny_app.lesion_share(points)
        assert probability[share == 1].mean() > 0.8
        assert probability[share == 0].mean() < 0.02
        on_template = _load(scan, out, f'{SPACE}label-lesion_probseg').get_fdata()
        mask = _load(scan, out, f'{SPACE}label-lesion_mask').get_fdata()
        np.testing.assert_array_equal(mask == 1, on_template > 0.4)
        changed = _load(scan, out, f'{SPACE}desc-change_mask').get_fdata()
        assert changed[on_template > 0.2].all()
        sidecar = _sidecar(scan, out, 'label-lesion_probseg')
        assert sidecar['Sources'] == [f'bids:raw:{scan.relative_path}']
        assert 'robability' in sidecar['Description']
        composite = _composite(sidecar)
        assert composite['decided_by'] == composite['lesion_map_from'] == 'probability'
        assert composite['lesion_threshold'] == 0.4


def test_the_page_shows_it_with_a_scale(linear, tmp_path):
    assert main(linear('--participant-label', '01')) == 0
    page = (tmp_path / 'out/sub-01.html').read_text()
    volume = f'sub-01/anat/sub-01_{SPACE}label-lesion_probseg.nii.gz'
    assert f'data-probability="{volume}"' in page
    assert 'data-action="probability"' in page
    assert 'Probability of lesion' in page
    figure = (tmp_path / 'out/sub-01/figures/sub-01_desc-probability_T1w.svg').read_text()
    assert 'probability of lesion' in figure
    assert all(f'>{tick}<' in figure for tick in ('0.0', '1.0'))
    methods = (tmp_path / 'out/logs/CITATION.md').read_text()
    assert 'the probability of lesion' in methods
    assert 'probability exceeded 0.2' in methods
    assert 'a probability above 0.4' in methods
    assert 'in at most two voxels around them' in methods


def test_reports_are_made_anew_with_it_and_without(linear, tmp_path):
    assert main(linear('--participant-label', '01')) == 0
    out = tmp_path / 'out'
    assert main(linear('--reports-only')) == 0
    assert 'Probability of lesion' in (out / 'sub-01.html').read_text()
    for path in (out / 'sub-01/anat').glob('*probseg*'):
        path.unlink()
    assert main(linear('--reports-only')) == 0
    assert 'Probability of lesion' not in (out / 'sub-01.html').read_text()
    assert not list(out.glob('sub-01/figures/*probability*'))


@pytest.fixture
def draw_mask(tiny_dataset, tmp_path):
    """Give the first head a lesion mask, and the network that fills it."""

    def draw():
        tiny_app.write_models(tmp_path / 'models', 'nonblind')
        path = tiny_dataset / 'sub-01/anat/sub-01_label-lesion_roi.nii.gz'
        tiny_app.write_head(path, grid_of('RAS'), noise=0, draw=tiny_app.lesion_share)

    return draw


@pytest.mark.parametrize(
    'options', [('--lesion-map-from', 'probability'), ('--lesion-probability', '0.5')]
)
def test_images_with_a_mask_do_not_mind_what_others_are_mapped_from(
    linear, draw_mask, tmp_path, capsys, options
):
    draw_mask()
    assert main(linear(*options, '--dry-run')) == 0
    planned = capsys.readouterr().out
    assert main(linear(*options)) == 0
    written = [path.name for path in sorted((tmp_path / 'out').rglob('*probseg.nii.gz'))]
    assert written == [
        f'sub-02_ses-a_run-1_{space}label-lesion_probseg.nii.gz' for space in ('', SPACE)
    ]
    assert [name for name in written if name in planned] == written
    assert 'sub-01_label-lesion_probseg' not in planned


def test_what_an_earlier_run_told_is_not_on_the_page_of_a_mask(linear, draw_mask, tmp_path):
    options = ('--participant-label', '01')
    assert main(linear(*options)) == 0
    page = tmp_path / 'out/sub-01.html'
    assert 'data-probability' in page.read_text()
    draw_mask()
    assert main(linear(*options)) == 0
    assert 'data-probability' not in page.read_text()
    assert 'Probability of lesion' not in page.read_text()


def test_what_an_earlier_run_told_of_another_grid_spoils_no_page(
    linear, tiny_dataset, tmp_path, capsys
):
    options = ('--participant-label', '01')
    assert main(linear(*options)) == 0
    tiny_app.write_head(tiny_dataset / 'sub-01/anat/sub-01_T1w.nii.gz', grid_of('PSR'))
    plain = tiny_app.write_models(tmp_path / 'plain')
    assert main(linear(*options, '--models', str(plain))) == 0, capsys.readouterr().err
    assert 'Probability of lesion' not in (tmp_path / 'out/sub-01.html').read_text()


def test_the_map_of_the_paper_is_from_the_difference(linear, scans, tmp_path):
    options = ('--participant-label', '01', '--lesion-map-from', 'difference')
    assert main(linear(*options)) == 0
    out = tmp_path / 'out'
    composite = _composite(_sidecar(scans[0], out, 'label-lesion_mask'))
    assert composite['decided_by'] == 'probability'
    assert composite['lesion_map_from'] == 'difference'
    assert composite['lesion_threshold'] == DEFAULT_LESION_THRESHOLD
    difference = _load(scans[0], out, f'{SPACE}desc-difference_T1w').get_fdata()
    mask = _load(scans[0], out, f'{SPACE}label-lesion_mask').get_fdata() == 1
    assert mask.any()
    assert (np.abs(difference[mask]) > DEFAULT_LESION_THRESHOLD).all()
    assert 'Changes above 0.1' in (out / 'logs/CITATION.md').read_text()
    assert (out / 'sub-01/anat/sub-01_label-lesion_probseg.nii.gz').is_file()


def test_a_threshold_of_the_probability_is_the_users(linear, scans, tmp_path):
    assert main(linear('--participant-label', '01', '--lesion-probability', '0.8')) == 0
    out = tmp_path / 'out'
    said = _load(scans[0], out, f'{SPACE}label-lesion_probseg').get_fdata()
    mask = _load(scans[0], out, f'{SPACE}label-lesion_mask').get_fdata()
    np.testing.assert_array_equal(mask == 1, said > 0.8)


def test_without_a_lesion_map_there_is_none(linear, tmp_path):
    assert main(linear('--participant-label', '01', '--no-lesion-map')) == 0
    assert not list((tmp_path / 'out').rglob('*label-lesion*'))


def test_a_scan_whose_probability_is_gone_is_done_again(linear, tmp_path, capsys):
    options = ('--participant-label', '01')
    assert main(linear(*options)) == 0
    assert main(linear(*options, '--skip-existing')) == 0
    assert '0 of 1 T1w images are left' in capsys.readouterr().err
    lost = tmp_path / 'out/sub-01/anat/sub-01_label-lesion_probseg.nii.gz'
    lost.unlink()
    assert main(linear(*options, '--skip-existing', '--dry-run')) == 0
    assert f'  sub-01/anat/{lost.name}' in capsys.readouterr().out.splitlines()
    assert main(linear(*options, '--skip-existing')) == 0
    assert lost.is_file()


def test_a_network_that_tells_none_says_what_to_do(linear, tmp_path, capsys):
    plain = tiny_app.write_models(tmp_path / 'plain')
    options = ('--models', str(plain), '--lesion-probability', '0.5')
    assert main(linear(*options)) == 2
    error = ' '.join(capsys.readouterr().err.split())
    assert f'the network in {plain}/blind does not give: use --lesion-map-from difference' in error
    assert not list((tmp_path / 'out').glob('sub-*'))
    assert main(linear(*options, '--dry-run')) == 2
