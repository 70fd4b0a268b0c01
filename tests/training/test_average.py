import keras
import numpy as np
import pytest

from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import load_weights, save_weights
from bids_inpaint.training.__main__ import main

TINY = UNetConfig(filters=2, levels=1, reconstruction_filters=2, window_vox=16)


def write_network(folder, value, architecture=TINY, patients=()):
    network = build_unet(architecture)
    for variable in network.trainable_variables:
        variable.assign(keras.ops.full(variable.shape, value))
    card = {'name': 'blind', 'architecture': architecture, 'metrics': {'test': 1}}
    card['training'] = {'brains': ['a'], 'patients': list(patients), 'config': value}
    return save_weights(network, folder, card)


def average(folder, *names, shares):
    models = [str(folder / name) for name in names]
    return main(['average', '--models', *models, '--shares', *shares, '--out', f'{folder}/out'])


def test_average_is_weighted_and_says_of_what(tmp_path):
    cards = [
        write_network(tmp_path / 'a', 0.0, patients=['x', 'w']),
        write_network(tmp_path / 'b', 1.0, patients=['w', 'v']),
    ]
    assert average(tmp_path, 'a', 'b', shares=['3', '1']) == 0
    network, card = load_weights(tmp_path / 'out')
    for variable in network.trainable_variables:
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), 0.25)
    assert card.metrics == {}
    assert card.training.keys() == {'brains', 'patients', 'averaged'}
    assert card.training['patients'] == ['v', 'w', 'x']
    assert card.training['averaged'] == [
        {'sha256': cards[0].sha256, 'share': 0.75, 'training': cards[0].training},
        {'sha256': cards[1].sha256, 'share': 0.25, 'training': cards[1].training},
    ]


def test_one_share_for_each(tmp_path):
    write_network(tmp_path / 'a', 0.0)
    with pytest.raises(ValueError, match='1 networks, shares'):
        average(tmp_path, 'a', shares=['1', '1'])
    with pytest.raises(ValueError, match='positive share'):
        average(tmp_path, 'a', shares=['0'])


def test_architectures_must_agree(tmp_path):
    write_network(tmp_path / 'a', 0.0)
    other = UNetConfig(filters=4, levels=1, reconstruction_filters=2, window_vox=16)
    write_network(tmp_path / 'b', 0.0, other)
    with pytest.raises(ValueError, match='one architecture'):
        average(tmp_path, 'a', 'b', shares=['1', '1'])
