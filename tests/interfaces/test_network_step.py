import subprocess
import sys

import numpy as np
import pytest
import tiny_app
from nipype.interfaces.base import isdefined

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.image.thresholds import Prediction
from bids_inpaint.image.volume import Volume, load, save
from bids_inpaint.interfaces import inpaint
from bids_inpaint.interfaces.base import PROBABILITY_STEP
from bids_inpaint.interfaces.inpaint import Inpaint, find_network


def test_a_network_is_found_by_its_name(tmp_path, monkeypatch):
    models = tiny_app.write_models(tmp_path / 'models')
    folder, card = find_network(models, 'blind')
    assert (folder, card.name) == (models / 'blind', 'stub')
    monkeypatch.setattr(inpaint, 'models_folder', lambda: models)
    assert find_network(None, 'blind') == (folder, card)


@pytest.mark.parametrize('name', ['card.json', 'weights.npz'])
def test_a_network_that_is_not_whole_is_refused(tmp_path, name):
    models = tiny_app.write_models(tmp_path)
    (models / 'blind' / name).unlink()
    with pytest.raises(BidsInpaintError, match=f'{name} is missing'):
        find_network(models, 'blind')


def test_the_step_gives_the_network_what_it_was_told(tmp_path, monkeypatch):
    session = tiny_app.stub_session()
    told = {}

    def double(t1w, brain, **options):
        told.update(options, brain=brain)
        probability = None if options['fill_mask'] is not None else t1w / 2
        return Prediction(2 * t1w, probability), {'model': 'double'}

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
    rounded = load(out.probability).data
    np.testing.assert_allclose(rounded, data / 2, atol=PROBABILITY_STEP / 2 + 1e-6)
    assert out.facts.model == 'double'
    np.testing.assert_array_equal(told.pop('brain'), data > 0.5)
    assert told.pop('fill_mask') is None
    assert told == {'model': tmp_path, 'device': 'cpu', 'num_threads': 3, 'flip_averaging': True}
    node.inputs.fill_mask = str(
        save(Volume((data > 0.9).astype('u1'), affine), tmp_path / 'c.nii')
    )
    filled = Inpaint(**node.inputs.get_traitsfree()).run(cwd=str(tmp_path)).outputs
    np.testing.assert_array_equal(told['fill_mask'], data > 0.9)
    assert not isdefined(filled.probability)


@pytest.mark.slow
def test_no_network_is_loaded_by_the_process_that_makes_graphs():
    code = 'import sys, bids_inpaint.run.execute; sys.exit("keras" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
