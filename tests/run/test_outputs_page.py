"""docs/outputs.md names all that the app writes, and nothing that it does not."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_app
from image_grids import grid_of

from bids_inpaint.bids.group import COLUMNS
from bids_inpaint.cli import main

PAGE = (Path(__file__).parents[2] / 'docs' / 'outputs.md').read_text()
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('tiny_steps', 'stub_network')]
CODE = re.compile('`([^`]+)`')


def rows(heading: str) -> Iterator[list[str]]:
    """Cells of the tables below a heading, the first of each line without its header."""
    section = re.split(r'^#+ ', PAGE.split(f'# {heading}\n', 1)[1], maxsplit=1, flags=re.M)[0]
    for line in section.splitlines():
        if line.startswith('| `'):
            yield [cell.strip() for cell in re.split(r'(?<!\\)\|', line.strip('|'))]


def first_codes(*headings: str) -> set[str]:
    return {CODE.search(cells[0])[1] for heading in headings for cells in rows(heading)}


@pytest.fixture(scope='module')
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('kept') / 'out'


@pytest.fixture
def tiny_models(tmp_path) -> Path:
    """A network that tells the probability of lesion."""
    return tiny_app.write_models(tmp_path / 'models', tells_probability=True)


@pytest.fixture
def out(linear, tiny_dataset, tmp_path, kept) -> Path:
    """Of two heads, one of them with a lesion mask; both levels."""
    if not kept.exists():
        mask = tiny_dataset / 'sub-02/ses-a/anat/sub-02_ses-a_run-1_label-lesion_roi.nii.gz'
        tiny_app.write_head(mask, grid_of('oblique'), noise=0, draw=tiny_app.lesion_share)
        tiny_app.write_models(tmp_path / 'models', 'nonblind')
        assert main(linear()) == 0
        assert main([str(tiny_dataset), str(tmp_path / 'out'), 'group']) == 0
        shutil.copytree(tmp_path / 'out', kept)
    return kept


def general(path: Path) -> str:
    """Name of a file with what differs between datasets and runs replaced."""
    name = re.sub(r'^sub-02_ses-a_run-1_|^sub-01_', '<source>_', path.name)
    name = re.sub(r'^sub-\w+(?=\.html)', 'sub-<label>', name)
    folders = path.parts[:-1]
    if 'figures' in folders:
        return f'sub-<label>/figures/{name}'
    if folders[:1] == ('logs',):
        return '/'.join(['logs', *('<run>' for _ in folders[1:]), name])
    return name


def test_every_file_is_on_the_page_and_there(out):
    files = {path.relative_to(out) for path in out.rglob('*') if path.is_file()}
    sidecars = {path for path in files if path.suffix == '.json' and 'anat' in path.parts}
    sidecars = {path for path in sidecars if not path.name.endswith('_qc.json')}
    documented = first_codes('Images and transforms', 'Pages', 'The dataset')
    fields = first_codes_of_description()
    assert {general(path) for path in files - sidecars} == documented - fields
    images = {path for path in files if path.name.endswith(('.nii.gz', '.txt'))}
    assert len(sidecars) == len(images)


def first_codes_of_description() -> set[str]:
    """Fields in the second table of the section on the dataset."""
    return {
        name for name in first_codes('The dataset') if re.fullmatch('[A-Z][a-zA-Z]+', name)
    } - {'README'}


def test_every_field_of_a_sidecar_is_on_the_page_and_there(out):
    found = set()
    for path in out.glob('sub-*/**/anat/*.json'):
        if not path.name.endswith('_qc.json'):
            found |= json.loads(path.read_text()).keys()
    assert found == first_codes('Sidecar fields')


def test_every_field_of_a_step_is_on_the_page_and_there(out):
    found: dict[str, set[str]] = {}
    for path in out.glob('sub-*/**/anat/*_xfm.json'):
        for step in json.loads(path.read_text())['Steps']:
            found.setdefault(step['step'], set()).update(step)
    found['conform'] |= {'zero', 'background'}  # no signal is 0 in these images
    common = {'step', 'seconds', 'peak_memory_mb'}
    documented = {}
    for name, fields, *_ in rows('Steps'):
        words = [word for word in CODE.findall(fields) if word != 'add_change']
        documented[CODE.search(name)[1]] = common | set(words)
    assert found == documented


def test_every_qc_number_is_described(out):
    found = {'problems'}
    for path in out.glob('sub-*/**/anat/*_qc.json'):
        found |= json.loads(path.read_text()).keys()
    # This head has no ventricles.
    assert found | {'ventricle_change', 'participant_id', 'session_id', 'source'} == set(COLUMNS)


def test_every_field_of_the_description_is_on_the_page_and_there(out):
    found = set(json.loads((out / 'dataset_description.json').read_text()))
    assert found == first_codes_of_description()
