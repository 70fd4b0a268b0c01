"""The app on a dataset of tiny heads, all steps in this process."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from image_grids import grid_of
from nitransforms.linear import Affine
from nitransforms.resampling import apply
from planned import planned_paths

from bids_inpaint import qc
from bids_inpaint.bids.names import OUTPUT_SPACES, sidecar_path
from bids_inpaint.cli import main
from bids_inpaint.image.bias import expand_field
from bids_inpaint.image.resample import Grid
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.image.volume import Volume
from bids_inpaint.interfaces import derivatives

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
STEPS = [
    'conform', 'register', 'denoise', 'to_template', 'brain_mask', 'bias_field', 'normalise',
    'inpaint', 'composite', 'add_change',
]  # fmt: skip


def of_report(path):
    """Whether a file is of a report; test_reports.py tells what there is of them."""
    return path.parent.name == 'figures' or path.suffix == '.html'


def files_of(folder, *, logs=False):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and (logs or 'logs' not in path.parts) and not of_report(path)
    }


def stored(path):
    return np.asarray(nb.load(path).dataobj.get_unscaled())


DATASET_FILES = {'dataset_description.json', 'README', '.bidsignore'}


def test_a_run_writes_what_is_planned_and_leaves_nothing_else(linear, scans, tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work/of_another_run').touch()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'raw').rglob('*')}
    assert main(linear()) == 0
    out = tmp_path / 'out'
    planned = {
        path for scan in scans
        for path in planned_paths(scan, output_spaces=OUTPUT_SPACES, lesion_map=True)
    }  # fmt: skip
    expected = {str(path) for path in planned} | {str(sidecar_path(path)) for path in planned}
    assert files_of(out) == expected | DATASET_FILES
    assert [path.name for path in (tmp_path / 'work').iterdir()] == ['of_another_run']
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / 'raw').rglob('*')}
    for scan in scans:
        assert_lesion_filled(scan, out)
        assert_sidecars(scan, out)
        assert_transforms_agree(scan, out)
        assert_quality(scan, out)


def assert_lesion_filled(scan, out):
    """The lesion is gone, within the change mask, and all else is the source."""
    result, mask, lesions = (
        out / scan.folder / f'{scan.name}_{name}.nii.gz'
        for name in ('desc-inpainted_T1w', 'desc-change_mask', 'label-lesion_mask')
    )
    changed = stored(mask) == 1
    assert stored(result)[~changed].tobytes() == stored(scan.t1w)[~changed].tobytes()
    source, filled = nb.load(scan.t1w), nb.load(result)
    for field in ('dim', 'pixdim', 'datatype', 'qform_code', 'sform_code', 'xyzt_units'):
        np.testing.assert_array_equal(filled.header[field], source.header[field])
    assert filled.dataobj.slope == source.dataobj.slope
    grid = Grid(source.shape, source.affine)
    points = nb.affines.apply_affine(tiny_app.anat2std_xfm(), tiny_app.places(grid))
    share = tiny_app.lesion_share(points)
    assert changed[share == 1].all()
    assert not changed[share == 0][tiny_app.radius(points)[share == 0] > 0.9].any()
    gain = tiny_app.GAIN * tiny_app.bias_field(points)
    healthy = tiny_app.WHITE * gain
    sick = (healthy - source.get_fdata())[share == 1].mean()
    left = (healthy - filled.get_fdata())[share == 1].mean()
    # The grid of this template is coarse: some of the edge's lesion is left.
    assert abs(left) < 0.2 * sick
    assert (stored(lesions) == 1)[share == 1].mean() > 0.9
    assert (share[stored(lesions) == 1] > 0).mean() > 0.8


def assert_sidecars(scan, out):
    for path in planned_paths(scan, output_spaces=OUTPUT_SPACES, lesion_map=True):
        content = json.loads((out / sidecar_path(path)).read_text())
        if path.name.endswith('qc.json'):
            continue
        assert content['Sources'] == [f'bids:raw:{scan.relative_path}']
        assert [step['step'] for step in content['Steps']] == STEPS
        assert all(step['seconds'] >= 0 for step in content['Steps'])
        assert all(step['peak_memory_mb'] > 0 for step in content['Steps'])
        steps = {step['step']: step for step in content['Steps']}
        assert steps['inpaint']['model'] == 'fill'
        assert {'sha256', 'device', 'backend', 'flip_averaging'} <= steps['inpaint'].keys()
        assert steps['composite']['core_threshold'] == 0.2
        if path.name.endswith(('T1w.nii.gz', 'mask.nii.gz')):
            assert content['SpatialReference']
            native_product = path.name.endswith(f'{scan.name}_desc-inpainted_T1w.nii.gz')
            assert content['SkullStripped'] is not native_product


def assert_transforms_agree(scan, out):
    """nitransforms takes the T1w to the template with our file as we do, and back."""
    folder, src = out / scan.folder, scan.name
    forward = folder / f'{src}_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt'
    preproc, field = (
        nb.load(folder / f'{src}_space-MNI152NLin2009aSym_desc-{name}_T1w.nii.gz')
        for name in ('preproc', 'biasfield')
    )
    mean = json.loads((folder / f'{src}_desc-inpaint_qc.json').read_text())['brain_mean']
    field = Volume(field.get_fdata(dtype=np.float32), field.affine)
    assert field.data.size < np.prod(preproc.shape) / 40
    grid = Grid(preproc.shape, preproc.affine)
    ours = preproc.get_fdata() * expand_field(field, grid) * mean
    source = nb.load(scan.t1w)
    source = nb.Nifti1Image(source.get_fdata(dtype=np.float32), source.affine)
    theirs = apply(Affine.from_filename(forward, fmt='itk'), source, preproc).get_fdata()
    inside = preproc.get_fdata() > 0
    np.testing.assert_allclose(theirs[inside], ours[inside], atol=0.01 * tiny_app.GAIN)
    assert np.corrcoef(theirs[inside], ours[inside])[0, 1] > 0.999
    backward = folder / f'{src}_from-MNI152NLin2009aSym_to-T1w_mode-image_xfm.txt'
    change = nb.load(folder / f'{src}_space-MNI152NLin2009aSym_desc-difference_T1w.nii.gz')
    native = nb.load(folder / f'{src}_desc-difference_T1w.nii.gz')
    moved = apply(Affine.from_filename(backward, fmt='itk'), change, native, order=1).get_fdata()
    changed = stored(folder / f'{src}_desc-change_mask.nii.gz') == 1
    np.testing.assert_allclose(moved[changed], native.get_fdata()[changed], atol=0.005)


def assert_quality(scan, out):
    numbers = json.loads((out / scan.folder / f'{scan.name}_desc-inpaint_qc.json').read_text())
    assert numbers['problems'] == 'none'
    assert numbers['lesion_count'] == 1
    assert numbers['outside_correlation'] == pytest.approx(1)
    assert 0.9 < numbers['control_correlation'] < 0.9999
    assert numbers['change_volume_mm3'] > numbers['lesion_volume_mm3'] > 500
    assert numbers['affine_determinant'] == pytest.approx(1.08 * 0.95 * 1.04)


def test_options_of_output(linear, scans, tmp_path):
    options = ('--output-spaces', 'T1w', '--uncompressed', '--no-lesion-map', '--keep-work-dir')
    assert main(linear(*options, '--participant-label', '01', '--write-graph')) == 0
    out = tmp_path / 'out'
    planned = planned_paths(scans[0], output_spaces=('T1w',), lesion_map=False, extension='.nii')
    expected = {str(path) for path in planned} | {str(sidecar_path(path)) for path in planned}
    assert files_of(out) == expected | DATASET_FILES
    assert len(list(out.glob('logs/*/graph*.dot'))) >= 1
    assert not list(out.glob('logs/*/crash*'))
    # The same again: nothing is computed twice, and what was deleted is written again.
    steps = sorted((tmp_path / 'work').rglob('conformed.nii'))
    steps += sorted((tmp_path / 'work').rglob('inpainted_native.nii'))
    times = [path.stat().st_mtime_ns for path in steps]
    assert len(steps) == 2
    product = out / f'sub-01/anat/{scans[0].name}_desc-inpainted_T1w.nii'
    content = product.read_bytes()
    product.unlink()
    assert main(linear(*options, '--participant-label', '01')) == 0
    assert [path.stat().st_mtime_ns for path in steps] == times
    assert product.read_bytes() == content


def test_an_image_that_was_replaced_is_computed_anew(linear, scans, tmp_path):
    options = ('--participant-label', '01', '--keep-work-dir')
    assert main(linear(*options)) == 0
    tiny_app.write_head(scans[0].t1w, grid_of('LPS'), dtype='f4')
    assert main(linear(*options)) == 0
    product = nb.load(tmp_path / 'out/sub-01/anat/sub-01_desc-inpainted_T1w.nii.gz')
    assert nb.aff2axcodes(product.affine) == ('L', 'P', 'S')
    assert product.get_data_dtype() == np.float32


def test_working_files_take_little_disk(linear, tmp_path):
    """Of a scan of few voxels: what is on the template grid is as large for all scans."""
    assert main(linear('--participant-label', '01', '--keep-work-dir')) == 0
    files = [path for path in (tmp_path / 'work').rglob('*') if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 125e6


def test_a_network_that_changes_nothing_gives_back_the_source(
    linear, scans, tmp_path, monkeypatch
):
    def same(t1w, brain, **options):
        return Prediction(t1w.copy()), tiny_app.fill(t1w, brain, **options)[1]

    monkeypatch.setattr(sys.modules['bids_inpaint.network.session'], 'inpaint_on_device', same)
    assert main(linear()) == 0
    for scan in scans:
        prefix = tmp_path / 'out' / scan.folder / f'{scan.name}_'
        product = f'{prefix}desc-inpainted_T1w.nii.gz'
        assert stored(product).tobytes() == stored(scan.t1w).tobytes()
        assert nb.load(product).header.binaryblock == nb.load(scan.t1w).header.binaryblock
        assert not stored(f'{prefix}desc-change_mask.nii.gz').any()
        assert not stored(f'{prefix}label-lesion_mask.nii.gz').any()
        numbers = json.loads(Path(f'{prefix}desc-inpaint_qc.json').read_text())
        assert (numbers['lesion_count'], numbers['change_volume_mm3']) == (0, 0)


def test_a_scan_that_is_not_whole_has_no_qc_and_is_not_counted(
    linear, scans, tmp_path, monkeypatch
):
    assert main(linear()) == 0
    out, copy = tmp_path / 'out', derivatives.copy_image
    quality = out / 'sub-01/anat/sub-01_desc-inpaint_qc.json'
    written = [path.stat().st_mtime_ns for path in quality.parent.iterdir()]
    assert quality.stat().st_mtime_ns == max(written)

    def copy_some(source, target):
        if 'sub-01_desc-change' in target.name:
            raise OSError(28, 'No space left on device')
        copy(source, target)

    monkeypatch.setattr(derivatives, 'copy_image', copy_some)
    # The same images again are those of one run: the scan is still whole.
    assert main(linear('--participant-label', '01')) == 1
    assert quality.exists()
    tiny_app.write_head(scans[0].t1w, grid_of('RAS'), dtype='f4')
    assert main(linear('--participant-label', '01')) == 1
    assert not quality.exists()
    monkeypatch.undo()
    assert main([str(tmp_path / 'raw'), str(out), 'group']) == 0
    rows = [row.split('\t') for row in (out / 'group_T1w.tsv').read_text().splitlines()]
    assert [(row[0], row[-1]) for row in rows[1:]] == [
        ('sub-01', 'not processed'),
        ('sub-02', 'none'),
    ]


def test_problems_end_with_a_warning_and_are_no_failure(linear, monkeypatch, capsys):
    (changed,) = (number for number in qc.CHANGE if number.name == 'change_volume_mm3')
    monkeypatch.setattr(qc, 'CHANGE', [replace(changed, high=100.0)])
    assert main(linear()) == 0
    error = capsys.readouterr().err
    for name in ('sub-01', 'sub-02_ses-a_run-1'):
        assert re.search(rf'WARNING {name}: \d+ mm3 were changed, more than 100 mm3', error)
    assert 'WARNING 2 of 2 T1w images have problems' in error


def test_what_cannot_be_a_brain_fails_and_has_no_product(linear, tmp_path, scans, capsys):
    def ball(points):
        return (tiny_app.radius(points) < 1).astype(np.float32)

    tiny_app.write_head(scans[0].t1w, grid_of('RAS'), draw=ball)
    assert main(linear()) == 1
    error = capsys.readouterr().err
    assert re.search(r'sub-01 +normalise +the image must be a T1w image of a brain', error)
    assert not list((tmp_path / 'out/sub-01').rglob('*_desc-inpainted_T1w.nii.gz'))
    assert list((tmp_path / 'out/sub-02').rglob('*_desc-inpainted_T1w.nii.gz'))


def test_bad_quality_fails_only_if_asked_for(linear, tmp_path, monkeypatch, capsys):
    (changed,) = (number for number in qc.CHANGE if number.name == 'change_volume_mm3')
    monkeypatch.setattr(qc, 'CHANGE', [replace(changed, high=100.0)])
    assert main(linear('--participant-label', '01')) == 0
    assert main(linear('--participant-label', '01', '--fail-on-qc')) == 1
    error = capsys.readouterr().err
    assert re.search(r'sub-01 +gate +QC: \d+ mm3 were changed, more than 100 mm3', error)
    # All was saved all the same.
    assert len(list((tmp_path / 'out/sub-01').rglob('*.nii.gz'))) == 12
