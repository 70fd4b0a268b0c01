import subprocess
import sys

import numpy as np
import pytest
import tiny_app

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.volume import Volume, load, save
from bids_inpaint.interfaces import network
from bids_inpaint.interfaces.network import Inpaint, check_device, find_network


@pytest.fixture
def answer(monkeypatch, tmp_path):
    """Make the process that is asked for a device answer with a text and a status."""

    def make(text, status):
        program = tmp_path / 'python'
        program.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho "{text}"\nexit {status}\n'
        )
        program.chmod(0o755)
        monkeypatch.setattr(network.sys, 'executable', str(program))

    return make


def test_a_device_that_is_there(answer, tmp_path):
    answer('gpu', 0)
    check_device('gpu')
    assert (tmp_path / 'asked').read_text() == '-m bids_inpaint.network.session gpu\n'


def test_a_device_that_is_not_there_is_told_with_its_reason(answer):
    answer('no GPU is visible', network._NO_SUCH_DEVICE)
    with pytest.raises(BidsInpaintError, match=r'^no GPU is visible$'):
        check_device('gpu')


def test_a_backend_that_does_not_start_is_told(monkeypatch, tmp_path):
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\necho "no libcudart" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(network.sys, 'executable', str(program))
    with pytest.raises(BidsInpaintError, match="device 'gpu':\nno libcudart"):
        check_device('gpu')


def test_a_network_is_found_by_its_name(tmp_path, monkeypatch):
    models = tiny_app.write_models(tmp_path / 'models')
    folder, card = find_network(models, 'blind')
    assert (folder, card.name) == (models / 'blind', 'stub')
    monkeypatch.setattr(network, 'models_folder', lambda: models)
    assert find_network(None, 'blind') == (folder, card)


@pytest.mark.parametrize('name', ['card.json', 'weights.npz'])
def test_a_network_that_is_not_whole_is_refused(tmp_path, name):
    models = tiny_app.write_models(tmp_path)
    (models / 'blind' / name).unlink()
    with pytest.raises(BidsInpaintError, match=f'the file {name} is missing'):
        find_network(models, 'blind')


def test_the_step_gives_the_network_what_it_was_told(tmp_path, monkeypatch):
    session = tiny_app.stub_session()
    told = {}

    def double(t1w, brain, **options):
        told.update(options, brain=brain)
        return 2 * t1w, {'model': 'double'}

    session.inpaint_on_device = double
    monkeypatch.setitem(sys.modules, session.__name__, session)
    data = np.random.default_rng(0).random((5, 6, 7), dtype=np.float32)
    affine = np.diag([1, 2, 3, 1.0])
    node = Inpaint(
        in_file=str(save(Volume(data, affine), tmp_path / 'a.nii')),
        brain_mask=str(save(Volume((data > 0.5).astype('u1'), affine), tmp_path / 'b.nii')),
        model=str(tmp_path),
        sha256='abc',
        flip_averaging=True,
        device='cpu',
        num_threads=3,
    )
    out = node.run(cwd=str(tmp_path)).outputs
    found = load(out.out_file)
    np.testing.assert_array_equal(found.data, 2 * data)
    np.testing.assert_array_equal(found.affine, affine)
    assert out.facts['model'] == 'double'
    np.testing.assert_array_equal(told.pop('brain'), data > 0.5)
    assert told.pop('fill_mask') is None
    assert told == {'model': tmp_path, 'device': 'cpu', 'num_threads': 3, 'flip_averaging': True}
    node.inputs.fill_mask = str(
        save(Volume((data > 0.9).astype('u1'), affine), tmp_path / 'c.nii')
    )
    node.run(cwd=str(tmp_path))
    np.testing.assert_array_equal(told['fill_mask'], data > 0.9)


@pytest.mark.slow
def test_no_network_is_loaded_by_the_process_that_makes_graphs():
    code = 'import sys, bids_inpaint.workflows.execute; sys.exit("keras" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
