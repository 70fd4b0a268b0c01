"""Configs, and choices of them replaced from the command line."""

import importlib
import pkgutil
from dataclasses import replace

import pytest

from bids_inpaint.training import configs
from bids_inpaint.training.configs import TrainingConfig, short
from bids_inpaint.training.configs.override import override

NOT_CONFIGS = {'override'}


@pytest.mark.parametrize(
    'name', sorted({m.name for m in pkgutil.iter_modules(configs.__path__)} - NOT_CONFIGS)
)
def test_each_config_can_be_trained(name):
    config = importlib.import_module(f'bids_inpaint.training.configs.{name}').get_config()
    assert isinstance(config, TrainingConfig)
    untils = [stage.until for stage in config.stages]
    assert untils == sorted(set(untils))
    assert all(stage.crop_vox % config.architecture.multiple == 0 for stage in config.stages)
    assert config.stages[-1].crop_vox == config.architecture.window_vox


def test_choices_are_replaced_and_all_others_kept():
    config = override(short.get_config(), 'architecture.head=direct')
    config = override(config, 'lesions.healthy_share=0')
    config = override(config, 'lesions.intensity=(0.5, 0.9)')
    config = override(config, 'patience=3')
    config = override(config, 'stages.0.lesion_weight=1')
    assert config.architecture.head == 'direct'
    assert config.architecture.filters == short.get_config().architecture.filters
    assert config.lesions.healthy_share == 0.0
    assert config.lesions.intensity == (0.5, 0.9)
    assert config.patience == 3
    assert config.stages == (replace(short.get_config().stages[0], lesion_weight=1.0),)


@pytest.mark.parametrize(
    ('assignment', 'message'),
    [
        ('filters=40', r"'filters=40': filters is none of task, architecture"),
        ('architecture.filter=40', 'filter is none of filters, levels'),
        ('architecture.filters=many', 'must be a int, is a str'),
        ('stages.1.until=3', '1 is none of no choices'),
        ('seed.x=1', 'x is none of no choices'),
        ('seed', 'must be NAME=VALUE'),
    ],
)
def test_what_is_no_choice_is_told(assignment, message):
    with pytest.raises(ValueError, match=message):
        override(short.get_config(), assignment)
