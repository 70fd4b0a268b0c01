"""Give the app images drawn at random, and count the outcomes: `try_inputs.py --count 2000`.

Valid images must have products with all their properties, others a refusal that says why. Steps
that take long are stood in for as in `tiny_app.py`; with `--real` they are not, and the heads are
made-up ones. The same seed draws the same images.
"""

import argparse
import contextlib
import faulthandler
import importlib
import io
import logging
import multiprocessing
import re
import secrets
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

if __name__ == '__main__':  # processes of the pool inherit it
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import drawn as drawn_images
import tiny_app
from drawn import FAULTS, Drawn
from product import check_place, check_product, check_real_place

BATCH = 25
REAL_BATCH = 3
# A batch takes a minute, or ten on a busy machine; what takes this long hangs.
HANGS_S = 7200
_CALLED_ERROR = re.compile(r'\w*(Error|Exception|Warning): ')


class Outcome(NamedTuple):
    """What became of an image: `wrong` says what should not be, empty if all is well."""

    drawn: Drawn
    done: bool
    reason: str
    wrong: str


def try_batch(
    numbers: Sequence[int], seed: int, folder: Path, *, real: bool = False
) -> list[Outcome]:
    """Draw images and run the app on them; with stand-ins all in this process."""
    images = [drawn_images.draw(number, seed, real=real) for number in numbers]
    raw, out = folder / 'raw', folder / 'out'
    head = importlib.import_module('real_head').brightness if real else drawn_images.tiny_head
    paths = {image.label: drawn_images.write(image, raw, head) for image in images}
    (raw / 'dataset_description.json').write_text('{"Name": "drawn", "BIDSVersion": "1.9.0"}')
    line = [raw, out, 'participant', '-w', folder / 'work', '--participant-label', *paths]
    if real:
        line += ['--nprocs', '1', '--device', 'cpu']
    else:
        (folder / 'linear.yml').write_text('plugin: Linear')
        line += ['--models', tiny_app.write_models(folder / 'models')]
        line += ['--use-plugin', folder / 'linear.yml']
    said = run_app([str(word) for word in line])
    told = reasons(said)
    outcomes = []
    for image in images:
        reason = told.get(image.label, '')
        product = next(out.glob(f'sub-{image.label}/anat/*_desc-inpainted_T1w.nii*'), None)
        done = product is not None
        wrong = _judge(image, paths[image.label], out, reason, done=done, real=real)
        outcomes.append(Outcome(image, product is not None, reason, wrong))
    if 'Traceback' in said and outcomes:
        outcomes[0] = outcomes[0]._replace(wrong=f'a traceback: {said[-3000:]}')
    return outcomes


def run_app(line: Sequence[str]) -> str:
    """Run the app in this process; return what it says."""
    from bids_inpaint.cli import main

    said = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    with contextlib.redirect_stderr(said), without_pages():
        main(line)
    logging.getLogger().handlers[:] = handlers
    return said.getvalue()


@contextlib.contextmanager
def without_pages() -> Iterator[None]:
    """Make no pages, which take longer than all else and have tests of their own."""
    pages = importlib.import_module('bids_inpaint.run.pages')
    make = pages.report_run
    pages.report_run = lambda *_: []
    yield
    pages.report_run = make


def reasons(said: str) -> dict[str, str]:
    """Why images were refused, by their label, from what the app says at its end."""
    rows = re.findall(r'^sub-(\d+) +(\w+ .+)$', said, re.MULTILINE)
    missing = re.findall(
        r'(no T1w image to process) for \d+ of \d+ [^:]+: (.+)$', said, re.MULTILINE
    )
    told = dict(rows)
    for what, names in missing:
        told |= {
            label: f'{what}: {found}' for label, found in re.findall(r'(\d+) (\([^)]+\))', names)
        }
    return told


def _judge(image: Drawn, path: Path, out: Path, reason: str, *, done: bool, real: bool) -> str:
    """Say what is wrong with what was done with an image; empty if nothing."""
    if image.fault and done:
        return 'accepted, and should be refused'
    if image.fault:
        return _judge_refusal(image, path, reason)
    if not done:
        return f'refused, and should not be: {reason or "without a word"}'
    try:
        check_product(image, path, out, probability=real)
        (check_real_place if real else check_place)(image, path, out)
    except AssertionError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - a product that cannot be read is one that is wrong
        return traceback.format_exc()
    return ''


def _judge_refusal(image: Drawn, path: Path, reason: str) -> str:
    """Say what is wrong with a refusal."""
    if not reason:
        return 'refused without a word'
    _, _, text = reason.partition(' ')
    if _CALLED_ERROR.match(text.strip()):
        return f'an error instead of a refusal: {reason}'
    if not re.search(FAULTS[image.fault].reason, reason):
        return f'refused for another reason than {FAULTS[image.fault].reason!r}: {reason}'
    return '' if path.name in reason else f'refused without the name of the file: {reason}'


def try_in_pool(count: int, seed: int, *, processes: int, real: bool = False) -> Iterator[Outcome]:
    """Try images in batches, each in a new process."""
    size = REAL_BATCH if real else BATCH
    batches = [range(first, min(first + size, count)) for first in range(0, count, size)]
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(processes, spawn, max_tasks_per_child=1) as pool:
        for outcomes in pool.map(partial(_try_apart, seed=seed, real=real), batches):
            yield from outcomes


def _try_apart(numbers: Sequence[int], *, seed: int, real: bool) -> list[Outcome]:
    """Try a batch in a process of its own, which ends if it hangs."""
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    if not real:
        tiny_app.replace_all()
    with tempfile.TemporaryDirectory() as folder:
        return try_batch(numbers, seed, Path(folder), real=real)


def table(outcomes: Sequence[Outcome], seed: int, *, real: bool = False) -> str:
    """Count outcomes, as a table of a page."""
    valid = [outcome for outcome in outcomes if not outcome.drawn.fault]
    counts = Counter(outcome.drawn.fault for outcome in outcomes if outcome.drawn.fault)
    refused = Counter(
        o.drawn.fault for o in outcomes if o.drawn.fault and not o.done and not o.wrong
    )
    steps = 'the real steps and the shipped network' if real else 'stand-ins for what takes long'
    command = f'make test-inputs {"REAL" if real else "COUNT"}={len(outcomes)} SEED={seed}'
    lines = [
        '# Images drawn at random',
        '',
        f'Made by `{command}`, with {steps}.',
        '',
        '| images | drawn | done, and right | refused, by reason and file | wrong |',
        '|---|--:|--:|--:|--:|',
    ]

    def row(name: str, drawn: int, done: int, refused: int, wrong: int) -> str:
        return f'| {name} | {drawn} | {done} | {refused} | {wrong} |'

    right = sum(outcome.done and not outcome.wrong for outcome in valid)
    wrong = sum(bool(outcome.wrong) for outcome in outcomes)
    lines.append(row('all', len(outcomes), right, sum(refused.values()), wrong))
    lines.append(row('valid', len(valid), right, 0, len(valid) - right))
    for fault in FAULTS:
        if counts[fault]:
            told = refused[fault]
            lines.append(row(fault, counts[fault], 0, told, counts[fault] - told))
    return '\n'.join(lines) + '\n'


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=2000)
    parser.add_argument('--real', action='store_true', help='real steps, on valid images only')
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--table', type=Path, help='file to write the table to')
    return parser.parse_args()


def main() -> int:
    """Try images, print what was wrong and the table."""
    options = parse()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    sys.stdout.write(f'seed {seed}\n')
    outcomes = []
    tried = try_in_pool(options.count, seed, processes=options.processes, real=options.real)
    for outcome in tried:
        outcomes.append(outcome)
        if outcome.wrong:
            sys.stdout.write(f'{outcome.drawn}: {outcome.wrong}\n')
        if len(outcomes) % (1 if options.real else BATCH) == 0:
            sys.stdout.write(f'{len(outcomes)} tried\n')
        sys.stdout.flush()
    made = table(outcomes, seed, real=options.real)
    sys.stdout.write(made)
    if options.table:
        options.table.write_text(made)
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == '__main__':
    sys.exit(main())
