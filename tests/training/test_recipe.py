"""The file that makes the shipped networks: its commands are those that the programs know."""

import hashlib
from pathlib import Path

import pytest

from bids_inpaint.network.card import WEIGHTS_FILE, Card, write_card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.training import __main__ as command
from bids_inpaint.training import recipe, tasks
from bids_inpaint.training.configs.override import override
from bids_inpaint.training.recipe import STAGES, Average, Calibration, Places, Training

TINY = UNetConfig(filters=2, levels=2, reconstruction_filters=2, window_vox=16)


@pytest.fixture
def places(tmp_path) -> Places:
    """Folders with nothing in them."""
    return Places(tmp_path / 'data', tmp_path / 'derivatives', tmp_path / 'work')


def begun_with(stage: Training | Average | Calibration) -> set[str]:
    """Names of the networks that a stage needs."""
    if isinstance(stage, Average):
        return {name for name, _ in stage.shares}
    if isinstance(stage, Calibration):
        return {stage.name}
    return {stage.start} if stage.start else set()


def test_every_stage_needs_only_what_was_made_before():
    made: set[str] = set()
    for stage in STAGES:
        assert begun_with(stage) <= made
        assert isinstance(stage, Calibration) or stage.name not in made
        made.add(stage.name)


@pytest.mark.parametrize('stage', [s for s in STAGES if isinstance(s, Training)])
def test_every_config_knows_the_choices(stage, places):
    config = tasks.load_config(stage.config)
    for choice in stage.choices:
        config = override(config, choice)
    assert stage.command(places)[0] == config.task


@pytest.fixture
def given(monkeypatch):
    """Commands that were run; a network is made by each that has a folder for it."""
    commands = []

    def run(argv):
        arguments = command._parse(argv)
        commands.append(arguments)
        calibrated = {'calibrated': [{}]} if arguments.task == 'calibrate' else {}
        if arguments.task in {'blind', 'nonblind', 'average', 'calibrate'}:
            arguments.out.mkdir(parents=True, exist_ok=True)
            empty = hashlib.sha256(b'').hexdigest()
            card = Card(name='blind', architecture=TINY, sha256=empty, training=calibrated)
            write_card(card, arguments.out)
            (arguments.out / WEIGHTS_FILE).touch()

    monkeypatch.setattr(recipe, 'run_command', run)
    return commands


def test_commands_are_parsed_and_run_in_order(places, given):
    made = recipe.make(places)
    assert [a.task for a in given[:2]] == ['masks', 'labels']
    assert [a.out.name for a in given[2:-1]] == [stage.name for stage in STAGES]
    assert (given[-1].task, given[-1].out) == ('score', made['blind'])
    assert [path.name for path in given[-1].brains] == list(recipe.VALIDATE)


def test_what_is_there_is_not_made_again(places, given):
    recipe.make(places)
    (places.derivatives / 'ms-mni-masks').mkdir(parents=True)
    (places.derivatives / 'label-maps').mkdir()
    given.clear()
    recipe.make(places)
    assert [a.task for a in given] == ['score']


def test_networks_land_where_asked(places, given, tmp_path):
    options = [f'--{name}={folder}' for name, folder in places._asdict().items()]
    assert recipe.main([*options, f'--out={tmp_path / "models"}']) == 0
    for name in ('blind', 'nonblind'):
        assert (tmp_path / 'models' / name / recipe.CARD_FILE).is_file()
    assert given


def test_folders_must_be_named(capsys):
    with pytest.raises(SystemExit):
        recipe.main(['--work', str(Path())])
    assert '--derivatives' in capsys.readouterr().err
