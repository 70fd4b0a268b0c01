"""What a run reads does not depend on how many others there are, or were."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_app
from image_grids import grid_of

from benchmarks.scaling import make_dataset, read_notes, stand_in

SCANS = 20
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def template(tmp_path_factory) -> Path:
    """Output of the tiny app for one participant."""
    folder = tmp_path_factory.mktemp('template')
    tiny_app.write_head(folder / 'raw/sub-01/anat/sub-01_T1w.nii.gz', grid_of('RAS'))
    description = {'Name': 'made', 'BIDSVersion': '1.9.0'}
    (folder / 'raw/dataset_description.json').write_text(json.dumps(description))
    models = tiny_app.write_models(folder / 'models')
    command = [sys.executable, tiny_app.__file__, folder / 'raw', folder / 'out', 'participant']
    subprocess.run([*command, '--models', models, '-w', folder / 'work'], check=True)
    return folder / 'out'


@pytest.mark.parametrize('index', [True, False])
def test_each_of_many_runs_opens_and_lists_as_much_as_the_first(template, tmp_path, index):
    data = make_dataset(tmp_path / 'data', SCANS)
    options = [f'--bids-database-dir={tmp_path / "index"}'] if index else []
    with stand_in(template, 1, tmp_path) as command:
        app = [*command.split(), data, tmp_path / 'out']
        subprocess.run([*app, 'participant', '--dry-run', *options], check=True)
        for number in range(1, SCANS + 1):
            chosen = ('--participant-label', f'{number:06}', '-w', tmp_path / 'work')
            subprocess.run([*app, 'participant', *chosen, '--skip-existing', *options], check=True)
        subprocess.run([*app, 'group'], check=True)
    _, *runs, _ = read_notes(tmp_path)
    assert len(runs) == SCANS
    # The first finds no README and no figures.
    asked = {(run['opened'], run['listed']) for run in runs[1:]}
    assert len(asked) == 1, asked
    table = (tmp_path / 'out/group_T1w.tsv').read_text().splitlines()
    assert len(table) == 1 + SCANS
    assert len(list((tmp_path / 'out').glob('sub-*.html'))) == SCANS
