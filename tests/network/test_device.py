import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.network.device import choose_device, visible_gpus

GPUS = ['/physical_device:GPU:0']


@pytest.mark.parametrize(
    ('requested', 'gpus', 'taken'),
    [
        ('auto', [], 'cpu'),
        ('auto', GPUS, 'gpu'),
        ('cpu', [], 'cpu'),
        ('cpu', GPUS, 'cpu'),
        ('gpu', GPUS, 'gpu'),
    ],
)
def test_device_follows_request_and_what_is_there(requested, gpus, taken):
    assert choose_device(requested, gpus) == taken


def test_a_gpu_that_is_not_there_is_an_error_that_names_the_container_options():
    with pytest.raises(BidsInpaintError, match=r'no GPU is visible.*--gpus all.*--nv'):
        choose_device('gpu', [])


def test_gpus_of_torch_are_asked_of_torch(monkeypatch):
    torch = SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: 2))
    monkeypatch.setitem(sys.modules, 'torch', torch)
    monkeypatch.setattr(keras.backend, 'backend', lambda: 'torch')
    assert visible_gpus() == ['cuda:0', 'cuda:1']


@pytest.mark.parametrize('asked', [None, '0'])
def test_onednn_is_chosen_before_anything_can_load_tensorflow(asked):
    environ = dict(os.environ)
    environ.pop('TF_ENABLE_ONEDNN_OPTS', None)
    if asked is not None:
        environ['TF_ENABLE_ONEDNN_OPTS'] = asked
    code = (
        'import os, sys, bids_inpaint\n'
        'print(os.environ["TF_ENABLE_ONEDNN_OPTS"], "tensorflow" in sys.modules)'
    )
    said = subprocess.run(
        [sys.executable, '-c', code], env=environ, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [asked or '1', 'False']
