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
