"""Make both networks from the data: every command, in the order it was given.

`SHIPPED` says which stages made those in `models`.

`python -m bids_inpaint.training.recipe --data DIR --derivatives DIR --work DIR --out DIR`. What is
there is not made again, and a part that was stopped goes on where it was. On two cores this takes
days, and weeks without a GPU for the stage `replay`.
"""

import argparse
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bids_inpaint.network.card import CARD_FILE, read_card
from bids_inpaint.training.__main__ import main as run_command
from bids_inpaint.training.tasks import load_config

LOGGER = logging.getLogger(__name__)
TRAIN = ('ds002748', 'ds000011')
VALIDATE = (*TRAIN, 'other-scanners')


class Places(NamedTuple):
    """Folders: downloaded data, what this app made of their T1w, and where networks go."""

    data: Path
    derivatives: Path
    work: Path

    def network(self, name: str) -> Path:
        """Folder of a network."""
        return self.work / name

    def seen(self, *datasets: str) -> list[str]:
        """Return the options of healthy brains, expert masks and label maps."""
        made = self.derivatives
        return [
            *('--brains', *(str(made / name) for name in datasets)),
            *('--masks', str(made / 'ms-mni-masks')),
            *('--label-maps', str(made / 'label-maps')),
        ]


@dataclass(frozen=True)
class Training:
    """A training of a config of `bids_inpaint.training.configs`.

    Attributes
    ----------
    name : str
        Of the network that comes of it.
    config : str
        Module of the config.
    start : str, optional
        Network that it begins with.
    choices : tuple of str
        What `--set` replaces in the config.
    workers : int
        That make examples.

    """

    name: str
    config: str
    start: str | None = None
    choices: tuple[str, ...] = ()
    workers: int = 1

    def command(self, places: Places) -> list[str]:
        """Return the arguments of `python -m bids_inpaint.training`."""
        return [
            load_config(self.config).task,
            *places.seen(*TRAIN),
            *('--shapes', str(places.data / 'lesion-shapes')),
            *('--config', self.config),
            *(('--start', str(places.network(self.start))) if self.start else ()),
            *('--work', str(places.work / f'{self.name}.checkpoints')),
            *('--out', str(places.network(self.name))),
            *('--workers', str(self.workers)),
            *(('--set', *self.choices) if self.choices else ()),
        ]

    def is_done(self, places: Places) -> bool:
        """Whether the network is there."""
        return has_network(places, self.name)


@dataclass(frozen=True)
class Average:
    """Networks averaged, number by number, each with its share."""

    name: str
    shares: tuple[tuple[str, float], ...]

    def command(self, places: Places) -> list[str]:
        """Return the arguments of `python -m bids_inpaint.training`."""
        names, shares = zip(*self.shares, strict=True)
        return [
            'average',
            *('--models', *(str(places.network(name)) for name in names)),
            *('--shares', *(f'{share:g}' for share in shares)),
            *('--out', str(places.network(self.name))),
        ]

    def is_done(self, places: Places) -> bool:
        """Whether the network is there."""
        return has_network(places, self.name)


@dataclass(frozen=True)
class Calibration:
    """A network calibrated, in place."""

    name: str

    def command(self, places: Places) -> list[str]:
        """Return the arguments of `python -m bids_inpaint.training`."""
        return ['calibrate', *places.seen(*TRAIN), '--out', str(places.network(self.name))]

    def is_done(self, places: Places) -> bool:
        """Whether the card of the network has it."""
        card = read_card(places.network(self.name)) if has_network(places, self.name) else None
        return card is not None and bool(card.training.get('calibrated'))


def has_network(places: Places, name: str) -> bool:
    """Whether a network is complete; its card is written last."""
    return (places.network(name) / CARD_FILE).is_file()


# The first networks used neither label maps nor a probability of lesion; the reasons are in
# docs/training.md.
STAGES: tuple[Training | Average | Calibration, ...] = (
    Training('first', 'blind'),
    Training(
        'second', 'clinical', 'first', ('stages.0.until=13000', 'lesions.caps_probability=0')
    ),
    Average('third', (('first', 0.3), ('second', 0.7))),
    Training(
        'caps',
        'clinical',
        'third',
        ('stages.0.until=1400', 'learning_rate=3e-4', 'decay_share=0.9'),
    ),
    Average('fifth', (('caps', 1), ('third', 2))),
    Training(
        'absolute',
        'clinical',
        'fifth',
        (
            'stages.0.until=6000',
            'learning_rate=4e-4',
            'average=0.999',
            'huber_delta=0.05',
            'seed=11',
        ),
    ),
    Training('finish', 'finish', 'absolute', ('seed=12',)),
    Average('real', (('finish', 6), ('absolute', 4))),
    Calibration('real'),
    Training(
        'anatomy', 'anatomy', 'real', ('stages.0.until=1000', 'decay_share=0.6', 'average=0.99')
    ),
    Training('long', 'anatomy', 'anatomy', ('stages.0.until=2250', 'seed=21')),
    Training('replay', 'replay', 'long', workers=15),
    Training('hidden', 'nonblind', 'first'),
    Training(
        'surroundings',
        'surroundings',
        'hidden',
        ('stages.0.until=700', 'decay_share=1', 'validation_volumes=2'),
    ),
)
SHIPPED = {'blind': 'replay', 'nonblind': 'surroundings'}


def prepare(places: Places) -> Iterator[list[str]]:
    """Yield the commands that bring masks and label maps to the template grid."""
    made = places.derivatives
    if not (made / 'ms-mni-masks').is_dir():
        yield [
            'masks',
            *('--source', str(places.data / 'ms-mni')),
            *('--derivatives', str(made / 'ms-mni')),
            *('--out', str(made / 'ms-mni-masks')),
        ]
    if not (made / 'label-maps').is_dir():
        yield [
            'labels',
            *('--source', str(places.data / 'label-maps')),
            *('--out', str(made / 'label-maps')),
        ]


def score(places: Places) -> list[str]:
    """Return the command that chooses what decides in the blind network."""
    return [
        'score',
        *places.seen(*VALIDATE),
        *('--scans', str(places.derivatives / 'openms')),
        *('--out', str(places.network(SHIPPED['blind']))),
    ]


def make(places: Places) -> dict[str, Path]:
    """Run what is left to do, and return the folders of the networks that are shipped."""
    for command in prepare(places):
        _run(command)
    for stage in STAGES:
        if not stage.is_done(places):
            _run(stage.command(places))
    _run(score(places))
    return {shipped: places.network(name) for shipped, name in SHIPPED.items()}


def _run(command: list[str]) -> None:
    LOGGER.info('python -m bids_inpaint.training %s', ' '.join(command))
    run_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the networks, and copy them to where they are shipped from."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format='%(asctime)s %(message)s')
    parser = argparse.ArgumentParser(
        prog='python -m bids_inpaint.training.recipe', description='Make both networks.'
    )
    parser.add_argument(
        '--data', type=Path, required=True, help='with ms-mni, label-maps and lesion-shapes'
    )
    parser.add_argument(
        '--derivatives', type=Path, required=True, help='what this app made of the T1w images'
    )
    parser.add_argument('--work', type=Path, required=True, help='of every stage')
    parser.add_argument('--out', type=Path, required=True, help='folder of both networks')
    arguments = parser.parse_args(argv)
    made = make(Places(arguments.data, arguments.derivatives, arguments.work))
    for name, folder in made.items():
        shutil.copytree(folder, arguments.out / name, dirs_exist_ok=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
