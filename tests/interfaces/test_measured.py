import time

import numpy as np
import pytest

from bids_inpaint.image.volume import load_mask
from bids_inpaint.interfaces import base
from bids_inpaint.interfaces.base import Facts, MeasuredInterface, peak_memory_mb, save_mask


class Allocate(MeasuredInterface):
    """Take memory and time."""

    step = 'allocate'
    megabytes = 0

    def _run_step(self, folder):
        block = np.ones(self.megabytes * 2**20, np.uint8)
        time.sleep(0.05)
        return Facts(model=str(folder), volume_mm3=float(block.sum()))


def test_facts_hold_step_findings_time_and_memory(tmp_path):
    facts = Allocate().run(cwd=str(tmp_path)).outputs.facts
    assert facts.step == 'allocate'
    assert facts.model == str(tmp_path)
    told = {'step', 'model', 'volume_mm3', 'seconds', 'peak_memory_mb'}
    assert facts.as_dict().keys() == told
    assert 0.05 <= facts.seconds < 5
    assert facts.peak_memory_mb > 10


def test_the_peak_is_that_of_the_step_and_not_of_those_before(tmp_path):
    if not base._RESET_PEAK.exists():
        pytest.skip('this system does not let a process reset its peak')
    small, large = Allocate(), Allocate()
    large.megabytes = 400
    peaks = [
        node.run(cwd=str(tmp_path)).outputs.facts.peak_memory_mb for node in (small, large, small)
    ]
    assert peaks[1] > peaks[0] + 350
    assert peaks[2] < peaks[1] - 300


def test_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(base, '_STATUS', tmp_path / 'none')
    monkeypatch.setattr(base, '_RESET_PEAK', tmp_path / 'no/such/folder')
    assert peak_memory_mb() == 0
    assert Allocate().run(cwd=str(tmp_path)).outputs.facts.peak_memory_mb == 0


def test_a_step_must_be_written():
    with pytest.raises(TypeError, match='_run_step'):
        MeasuredInterface()


def test_a_mask_is_saved_and_loaded(tmp_path):
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.5
    found = load_mask(save_mask(mask, np.diag([1, 2, 3, 1.0]), tmp_path / 'mask.nii'))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)
