import json

import numpy as np
import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.network.card import CARD_FILE, WEIGHTS_FILE, models_folder, read_card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights, save_weights

TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2, head='direct')


@pytest.fixture
def folder(tmp_path):
    save_weights(
        build_unet(TINY),
        tmp_path / 'tiny',
        {
            'name': 'tiny',
            'architecture': TINY,
            'change_core_threshold': 0.1,
            'change_edge_threshold': 0.05,
            'lesion_threshold': 0.2,
        },
    )
    return tmp_path / 'tiny'


def test_saved_network_predicts_the_same(folder):
    t1w = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    first, card = load_weights(folder)
    second, _ = load_weights(folder)
    assert card.architecture == TINY
    np.testing.assert_array_equal(
        first.predict_on_batch(t1w)['reconstructed'],
        second.predict_on_batch(t1w)['reconstructed'],
    )


def test_saved_network_differs_by_half_precision_only(tmp_path):
    network = build_unet(TINY)
    t1w = np.random.default_rng(0).random((1, 8, 8, 8, 1), dtype=np.float32)
    before = network.predict_on_batch(t1w)['reconstructed']
    thresholds = dict.fromkeys(
        ('change_core_threshold', 'change_edge_threshold', 'lesion_threshold'), 0.1
    )
    save_weights(network, tmp_path, {'name': 'x', 'architecture': TINY, **thresholds})
    after = load_weights(tmp_path)[0].predict_on_batch(t1w)['reconstructed']
    # 0.0003 to 0.002 with twelve networks; 8 times as much with bfloat16.
    assert 0 < np.std(after - before) < 4e-3 * np.std(before)


def test_weights_hold_numbers_only(folder):
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays} == {np.dtype('float16')}


def test_weights_of_another_network_are_refused(folder):
    with (folder / WEIGHTS_FILE).open('ab') as stream:
        stream.write(b'x')
    with pytest.raises(BidsInpaintError, match=r'weights\.npz.*sha256 should be'):
        read_card(folder)


@pytest.mark.parametrize('name', [CARD_FILE, WEIGHTS_FILE])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BidsInpaintError, match=f'{name} is missing'):
        read_card(folder)


@pytest.mark.parametrize('text', ['{', '[]', '{}', '{"architecture": {"depth": 3}}'])
def test_a_card_that_is_none_is_refused(folder, text):
    (folder / CARD_FILE).write_text(text)
    with pytest.raises(BidsInpaintError, match='is not the card of a network'):
        read_card(folder)


def test_shipped_networks_match_their_cards():
    folders = [path.parent for path in models_folder().glob(f'*/{CARD_FILE}')]
    assert 'blind' in {read_card(folder).name for folder in folders}
    for folder in folders:
        assert (folder / WEIGHTS_FILE).stat().st_size < 20e6
        json.loads((folder / CARD_FILE).read_text())
