"""What is chosen for one image."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_app

from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.workflows import choices
from bids_inpaint.workflows.choices import Choices, read_network


@pytest.fixture
def scan():
    return parse_t1w(Path('/data/sub-01/anat/sub-01_T1w.nii.gz'))


@pytest.mark.parametrize(
    ('device', 'driver', 'queued'),
    [('auto', True, True), ('auto', False, False), ('cpu', True, False), ('gpu', True, True)],
)
def test_the_network_is_queued_where_there_may_be_a_gpu(
    settings, tmp_path, monkeypatch, scan, device, driver, queued
):
    models = tiny_app.write_models(tmp_path / 'models', tells_probability=True)
    settings = replace(settings, device=device, models_dir=models)
    monkeypatch.setattr(choices, '_NVIDIA_DRIVER', tmp_path if driver else tmp_path / 'none')
    network = read_network(settings, 'blind')
    assert network.folder == models / 'blind'
    assert network.card.change_core_threshold == 0.2
    assert Choices(settings, scan, network).use_gpu is queued


@pytest.mark.parametrize('tells', [True, False])
@pytest.mark.parametrize('mapped', [True, False])
@pytest.mark.parametrize('given', [True, False])
def test_lesions_are_found_or_given(settings, tmp_path, scan, tells, mapped, given):
    models = tiny_app.write_models(tmp_path / 'models', tells_probability=tells)
    settings = replace(settings, models_dir=models, lesion_map=mapped)
    scan = replace(scan, lesion_mask=tmp_path / 'mask.nii') if given else scan
    chosen = Choices(settings, scan, read_network(settings, 'blind'))
    assert chosen.fills == given
    assert chosen.maps_lesions == (mapped and not given)
    assert chosen.maps_probability == (mapped and not given and tells)
    written = {kind for kind, _ in chosen.written}
    assert ('lesion_mask' in written, 'lesion_probability' in written) == (
        mapped,
        chosen.maps_probability,
    )
    assert len(chosen.paths) == len(set(chosen.paths)) == len(chosen.written)
