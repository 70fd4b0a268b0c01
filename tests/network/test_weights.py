import json

import numpy as np
import pytest

from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import sha256
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
    with pytest.raises(BidsInpaintError, match=r'weights\.npz.*sha256'):
        read_card(folder)


@pytest.mark.parametrize('name', [CARD_FILE, WEIGHTS_FILE])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BidsInpaintError, match=f'{name} is missing'):
        read_card(folder)


@pytest.mark.parametrize(
    'changed',
    [
        {'change_core_threshold': 'high'},
        {'lesion_threshold': None},
        {'architecture': {'levels': 1000}},
        {'architecture': {'filters': 2.5}},
        {'architecture': 3},
        {'training': []},
        {'name': 3},
    ],
    ids=str,
)
def test_a_card_with_values_of_other_types_is_refused(folder, changed):
    fields = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(fields | changed))
    with pytest.raises(BidsInpaintError, match=r'card\.json is not a valid card'):
        read_card(folder)


def test_weights_that_are_none_are_refused_though_the_card_is_theirs(folder):
    fields = json.loads((folder / CARD_FILE).read_text())
    whole = (folder / WEIGHTS_FILE).read_bytes()
    with np.load(folder / WEIGHTS_FILE) as arrays:
        stored = dict(arrays)
    for content in (whole[:500], b'weights', stored | {next(iter(stored)): np.zeros(3)}, {}):
        if isinstance(content, bytes):
            (folder / WEIGHTS_FILE).write_bytes(content)
        else:
            np.savez(folder / WEIGHTS_FILE, **content)
        fields['sha256'] = sha256(folder / WEIGHTS_FILE)
        (folder / CARD_FILE).write_text(json.dumps(fields))
        with pytest.raises(BidsInpaintError, match=r'weights\.npz must hold an array'):
            load_weights(folder)


@pytest.mark.parametrize('text', ['{', '[]', '{}', '{"architecture": {"depth": 3}}'])
def test_a_card_that_is_none_is_refused(folder, text):
    (folder / CARD_FILE).write_text(text)
    with pytest.raises(BidsInpaintError, match=r'card\.json'):
        read_card(folder)


def test_shipped_networks_match_their_cards():
    folders = [path.parent for path in models_folder().glob(f'*/{CARD_FILE}')]
    assert 'blind' in {read_card(folder).name for folder in folders}
    for folder in folders:
        assert (folder / WEIGHTS_FILE).stat().st_size < 20e6
        json.loads((folder / CARD_FILE).read_text())
