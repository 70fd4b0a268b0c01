"""The Boutiques descriptor is that of the parser."""

import argparse
import importlib.util
import json
import shlex
from pathlib import Path

import pytest

from bids_inpaint.cli.parser import build_parser

CONTAINERS = Path(__file__).parents[2] / 'containers'


@pytest.fixture(scope='module')
def boutiques():
    spec = importlib.util.spec_from_file_location('boutiques_made', CONTAINERS / 'boutiques.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def descriptor():
    return json.loads((CONTAINERS / 'bids_inpaint.json').read_text())


def test_the_descriptor_is_up_to_date(boutiques):
    written = (CONTAINERS / 'bids_inpaint.json').read_text()
    assert written == boutiques.render(), 'run: python containers/boutiques.py'


def test_every_option_is_described_once(descriptor):
    described = [one['command-line-flag'] for one in descriptor['inputs'] if _is_option(one)]
    actions = [a for a in build_parser()._actions if a.dest not in {'help', 'version'}]
    flags = {flag for a in actions for flag in a.option_strings if flag.startswith('--')}
    assert sorted(described) == sorted(flags)
    keys = [one['value-key'] for one in descriptor['inputs']]
    assert len(keys) == len(set(keys))
    assert descriptor['command-line'].split() == ['bids_inpaint', *keys]


def test_types_are_those_that_the_parser_takes(descriptor):
    actions = {a.dest: a for a in build_parser()._actions}
    for one in descriptor['inputs']:
        action = actions.get(one['id'])
        if action is None or isinstance(action, argparse.BooleanOptionalAction):
            assert one['type'] == 'Flag'
            continue
        assert (one['type'] == 'Flag') == (action.nargs == 0)
        assert one.get('list', False) == (action.nargs == '+')
        if one['type'] == 'Number':
            valid = '0.3' if 'maximum' in one else '3'
            action.type(valid)
            if one['integer'] or 'maximum' in one:
                with pytest.raises(argparse.ArgumentTypeError):
                    action.type('3.5')
            else:
                action.type('3.5')
        elif one['type'] == 'String' and callable(action.type):
            action.type('abc')


def test_the_package_accepts_it_and_makes_the_command(tmp_path):
    boutiques = pytest.importorskip('boutiques', reason='boutiques is not installed')
    path = CONTAINERS / 'bids_inpaint.json'
    boutiques.validate(str(path))  # raises if it is not valid
    invocation = {
        'bids_dir': str(tmp_path),
        'output_dir': 'out',
        'analysis_level': 'participant',
        'participant_label': ['05', '12'],
        'nprocs': 2,
        'no_lesion_map': True,
    }
    given = json.dumps(invocation)
    command = boutiques.execute('simulate', '-i', given, str(path)).stdout
    arguments = build_parser().parse_args(shlex.split(command)[1:])
    assert arguments.participant_label == ['05', '12']
    assert (arguments.nprocs, arguments.lesion_map) == (2, False)
    assert arguments.analysis_level == 'participant'


def _is_option(described):
    return 'command-line-flag' in described
