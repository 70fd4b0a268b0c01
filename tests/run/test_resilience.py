"""The app as a process of its own: bad scans, kills, full disks."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
import tiny_app
from conftest import tiny_command
from image_grids import grid_of
from planned import planned_paths
from waiting import PATIENCE_S

from bids_inpaint.bids.names import OUTPUT_SPACES
from bids_inpaint.bids.scan import parse_t1w

pytestmark = pytest.mark.slow

GOOD, BAD = 'sub-01', 'sub-02_ses-a_run-1'


def all_written(out, root):
    """Scans of which all derivatives are there and can be read to their end."""
    whole = []
    for path in sorted(root.rglob('*_T1w.nii*')):
        scan = parse_t1w(path)
        planned = planned_paths(scan, output_spaces=OUTPUT_SPACES, lesion_map=True)
        if all((out / name).exists() for name in planned):
            whole.append(scan.name)
    for path in out.rglob('sub-*.nii*'):
        np.asarray(nb.load(path).dataobj)
    for path in out.rglob('sub-*.json'):
        json.loads(path.read_text())
    return whole


def hidden(out):
    return [path.name for path in out.rglob('.*') if path.name != '.bidsignore']


def spoil(name, path):
    content = path.read_bytes()
    match name:
        case 'truncated':
            path.write_bytes(content[: len(content) // 2])
        case 'text':
            path.write_text('this is not an image\n' * 40)
        case 'zero bytes':
            path.write_bytes(b'')
        case 'not finite':
            data = nb.load(path).get_fdata()
            data[20, 20, 20] = np.nan
            nb.Nifti1Image(data.astype('f4'), nb.load(path).affine).to_filename(path)
        case 'four dimensions':
            nb.Nifti1Image(np.ones((30, 30, 30, 5), 'f4'), np.diag([4, 4, 4, 1])).to_filename(path)
        case 'link to nothing':
            path.unlink()
            path.symlink_to('../../.git/annex/objects/a.nii.gz')
        case 'empty':
            nb.Nifti1Image(np.zeros((30, 30, 30), 'i2'), np.diag([4, 4, 4, 1])).to_filename(path)


SPOILT = {
    'truncated': 'expected a whole NIfTI image',
    'text': 'expected a NIfTI image',
    'zero bytes': 'an empty file of 0 bytes',
    'not finite': '1 voxels with NaN',
    'four dimensions': 'found the shape (30, 30, 30, 5)',
    'link to nothing': 'link',
    'empty': 'found the value 0 in every voxel',
}


def test_bad_scans_do_not_stop_the_good_one(line, run_tiny, tiny_dataset, tmp_path):
    shutil.rmtree(tiny_dataset / 'sub-02')
    paths = {
        kind: tiny_dataset / f'sub-{label}/anat/sub-{label}_T1w.nii.gz'
        for label, kind in enumerate(SPOILT, start=10)
    }
    for kind, path in paths.items():
        tiny_app.write_head(path, grid_of('RAS'))
        spoil(kind, path)
    result = run_tiny(line('--nprocs', '2'))
    assert result.returncode == 1
    assert f'{len(SPOILT)} of {len(SPOILT) + 1} T1w images failed' in result.stderr
    rows = {row.split()[0]: row for row in result.stderr.splitlines() if row.startswith('sub-1')}
    assert len(rows) == len(SPOILT)
    for kind, path in paths.items():
        row = rows[path.name.removesuffix('_T1w.nii.gz')]
        assert row.split()[1] == 'conform'
        assert f'{path}: ' in row
        assert SPOILT[kind] in row
        assert Path(row.split()[-1]).read_text().startswith('Node: ')
    assert 'Traceback' not in result.stderr
    assert all_written(tmp_path / 'out', tiny_dataset) == [GOOD]
    # What was done is kept for the next time.
    assert len(list((tmp_path / 'work').iterdir())) == 1


def test_progress_reaches_its_end(line, run_tiny):
    result = run_tiny(line('--nprocs', '2'))
    assert result.returncode == 0
    counts = [row.split(', ')[1] for row in result.stderr.splitlines() if ' steps] ' in row]
    assert counts[0].startswith('0 of ')
    done, total = counts[-1].split(' steps')[0].split(' of ')
    assert done == total
    assert f'{GOOD}: inpaint done' in result.stderr


def test_a_scan_that_wants_too_much_memory_fails_alone(line, run_tiny, tiny_dataset, tmp_path):
    size = np.prod(nb.load(next(tiny_dataset.rglob(f'{BAD}_T1w.nii'))).shape)
    result = run_tiny(line('--nprocs', '2'), TINY_KILL=str(size), TINY_SLEEP='0.5')
    assert result.returncode == 1
    (row,) = [row for row in result.stderr.splitlines() if row.startswith(BAD)]
    assert 'out of memory: had ' in row
    assert 'needs 1.2 GB' in row
    assert all_written(tmp_path / 'out', tiny_dataset) == [GOOD]


def test_a_killed_run_goes_on_where_it_stopped(line, run_tiny, tiny_dataset, tmp_path):
    arguments = line('--nprocs', '1', '--keep-work-dir')
    process = subprocess.Popen(
        tiny_command(arguments),
        env={**os.environ, 'TINY_SLEEP': '1'},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    conformed = wait_for(tmp_path / 'work', 'result_conform.pklz', 1)
    wait_for(tmp_path / 'work', '**/denoise', 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    times = [path.stat().st_mtime_ns for path in conformed]
    assert len(all_written(tmp_path / 'out', tiny_dataset)) < 2
    result = run_tiny(arguments)
    assert result.returncode == 0, result.stderr
    assert [path.stat().st_mtime_ns for path in conformed] == times
    assert len(all_written(tmp_path / 'out', tiny_dataset)) == 2
    assert hidden(tmp_path / 'out') == []


@pytest.mark.parametrize('alone', [True, False])
def test_a_terminated_run_ends_at_once_and_leaves_nothing_half_written(
    line, tiny_dataset, tmp_path, alone
):
    process = subprocess.Popen(
        tiny_command(line('--nprocs', '2')),
        env={**os.environ, 'TINY_SLEEP': '60' if alone else '0'},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path / 'work', '**/denoise', 1)
    if not alone:
        wait_for(tmp_path / 'out', 'sub-*_T1w.nii.gz', 1)
    asked = time.monotonic()
    process.terminate()
    told = process.communicate(timeout=PATIENCE_S)[1]
    assert time.monotonic() - asked < 10
    assert process.returncode == 143, told
    assert 'terminated; the same command' in told
    assert 'Traceback' not in told
    assert hidden(tmp_path / 'out') == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    all_written(tmp_path / 'out', tiny_dataset)


def test_a_run_killed_at_any_time_leaves_no_half_of_a_file(line, run_tiny, tiny_dataset, tmp_path):
    for seconds in (0.3, 0.8, 1.5):
        process = subprocess.Popen(
            tiny_command(line('--nprocs', '2')),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(tmp_path / 'out', 'sub-*_T1w.nii.gz', 1)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        all_written(tmp_path / 'out', tiny_dataset)
    assert run_tiny(line('--nprocs', '2')).returncode == 0
    assert len(all_written(tmp_path / 'out', tiny_dataset)) == 2


def wait_for(folder, pattern, count):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = sorted(folder.rglob(pattern)) if folder.exists() else []
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise TimeoutError(pattern)


@pytest.mark.parametrize(('name', 'size_kb'), [('out', 150), ('work', 3000)])
def test_a_full_disk_is_named_and_leaves_no_half_of_a_file(
    line, run_tiny, tiny_dataset, tmp_path, small_disk, name, size_kb
):
    small_disk(name, f'size={size_kb}k')
    result = run_tiny(line('--nprocs', '2'))
    assert result.returncode == 1, result.stderr
    assert 'No space left on device' in result.stderr
    assert 'T1w images failed' in result.stderr
    assert 'Traceback' not in result.stderr
    assert len(all_written(tmp_path / 'out', tiny_dataset)) < 2
    assert hidden(tmp_path / 'out') == []
    assert [path for path in tmp_path.glob('out/logs/*/crash*') if not path.stat().st_size] == []


def test_models_that_are_missing_or_damaged_end_with_status_2(line, run_tiny, tmp_path):
    (tmp_path / 'none').mkdir()
    result = run_tiny(line(models=tmp_path / 'none'))
    assert result.returncode == 2, result.stderr
    assert f'no network in {tmp_path}/none/blind: card.json' in result.stderr
    (tmp_path / 'models/blind/weights.npz').write_bytes(b'other')
    result = run_tiny(line())
    assert result.returncode == 2
    assert 'sha256' in result.stderr
    assert 'Traceback' not in result.stderr


def test_a_gpu_that_is_not_there_ends_with_status_2(line, run_tiny):
    result = run_tiny(line('--device', 'gpu'), CUDA_VISIBLE_DEVICES='-1')
    assert result.returncode == 2, result.stderr
    assert 'no GPU is visible' in result.stderr
    assert '--gpus all' in result.stderr
    assert '--nv' in result.stderr
