"""Write the Boutiques descriptor from the parser: ``python containers/boutiques.py``.

Boutiques (Glatard et al. 2018, GigaScience 7:giy016) describes a command line to platforms such as
CBRAIN, and to ``bosh``: ``bosh validate containers/bids_inpaint.json``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bids_inpaint import __version__
from bids_inpaint.cli.options import existing_file, probability
from bids_inpaint.cli.parser import build_parser

DESCRIPTOR = Path(__file__).with_name('bids_inpaint.json')
_NOT_INPUTS = {'help', 'version'}
# Options that take a number; whether it is an integer.
_NUMBERS = {
    'dilate_mask': True,
    'random_seed': True,
    'nprocs': True,
    'omp_nthreads': True,
    'mem': False,
    'lesion_probability': False,
    'lesion_threshold': False,
    'min_lesion_size': False,
}
_BETWEEN = {'minimum': 0, 'maximum': 1, 'exclusive-minimum': True, 'exclusive-maximum': True}
# Boutiques has no folders: it takes them for files, which must exist.
_FOLDERS = {'bids_dir', 'bids_database_dir', 'derivatives', 'models'}


def main() -> int:
    """Write the descriptor."""
    DESCRIPTOR.write_text(render(), encoding='utf-8')
    return 0


def render() -> str:
    """Make the text of the descriptor."""
    return json.dumps(describe(build_parser()), indent=2, ensure_ascii=False) + '\n'


def describe(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Describe a parser: its positional arguments first, then its options."""
    actions = [action for action in parser._actions if action.dest not in _NOT_INPUTS]
    # An option with a list of values would swallow positional arguments after it.
    actions.sort(key=lambda action: bool(action.option_strings))
    inputs = [described for action in actions for described in _inputs(action)]
    keys = ' '.join(described['value-key'] for described in inputs)
    return {
        'name': 'bids_inpaint',
        'description': parser.description,
        'tool-version': __version__,
        'schema-version': '0.5',
        'author': 'the bids_inpaint developers',
        'command-line': f'bids_inpaint {keys}',
        'container-image': {'type': 'docker', 'image': 'bids_inpaint'},
        'inputs': inputs,
        'output-files': [
            {
                'id': 'output_folder',
                'name': 'derivative dataset',
                'description': 'T1w images with lesions filled, and what belongs to them',
                'path-template': '[OUTPUT_DIR]',
                'optional': False,
            }
        ],
        'tags': {'domain': ['neuroinformatics', 'mri'], 'purpose': ['lesion inpainting']},
        'error-codes': [
            {'code': 1, 'description': 'a scan or a page failed; all others were finished'},
            {'code': 2, 'description': 'nothing was processed: an input or option cannot be used'},
            {'code': 143, 'description': 'ended by SIGTERM'},
        ],
    }


def _inputs(action: argparse.Action) -> list[dict[str, Any]]:
    """Describe one argument; an option with a negative form is two flags."""
    if isinstance(action, argparse.BooleanOptionalAction):
        return [
            _input(action, flag.removeprefix('--').replace('-', '_'), flag) | {'type': 'Flag'}
            for flag in action.option_strings
        ]
    flag = action.option_strings[-1] if action.option_strings else None
    described = _input(action, action.dest, flag)
    if action.nargs == 0:
        described['type'] = 'Flag'
    elif action.dest in _NUMBERS:
        described |= {'type': 'Number', 'integer': _NUMBERS[action.dest]}
        described |= _BETWEEN if action.type is probability else {}
    elif action.dest in _FOLDERS or action.type is existing_file:
        described['type'] = 'File'
    if action.choices:
        described['value-choices'] = list(action.choices)
    if action.nargs == '+':
        described['list'] = True
    return [described]


def _input(action: argparse.Action, name: str, flag: str | None) -> dict[str, Any]:
    text = (action.help or '') % {**vars(action), 'prog': 'bids_inpaint'}
    described = {
        'id': name,
        'name': name.replace('_', ' '),
        'description': text,
        'value-key': f'[{name.upper()}]',
        'type': 'String',
        'optional': flag is not None,
    }
    return described | ({'command-line-flag': flag} if flag else {})


if __name__ == '__main__':
    sys.exit(main())
