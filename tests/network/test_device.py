import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.network.device import choose_device

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
