"""Any path that the file system allows, for every option that takes one."""

import pytest
import tiny_app
from image_grids import grid_of

from bids_inpaint.cli import dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
NAMES = [
    'out 100% of %(x)s',
    """it's "q" [a]*? {x} #&;$HOME ü\nx""",
]


@pytest.mark.parametrize('name', NAMES, ids=['per cent', 'others'])
def test_paths_of_all_options(run_tiny, tmp_path, name):
    top = tmp_path / name
    raw, out, more = top / 'raw', top / 'out', top / 'more'
    tiny_app.write_head(raw / 'sub-01/anat/sub-01_T1w.nii.gz', grid_of('RAS'))
    (raw / 'dataset_description.json').write_text('{"Name": "m", "BIDSVersion": "1.9.0"}')
    more.mkdir()
    (more / 'dataset_description.json').write_text(
        '{"Name": "m", "BIDSVersion": "1.9.0", "DatasetType": "derivative",'
        ' "GeneratedBy": [{"Name": "m"}]}'
    )
    (top / 'filter.json').write_text('{"t1w": {}}')
    (top / 'plugin.yml').write_text('plugin: MultiProc')
    options = {
        '--work-dir': top / 'work',
        '--models': tiny_app.write_models(top / 'models'),
        '--derivatives': more,
        '--bids-database-dir': top / 'index',
        '--bids-filter-file': top / 'filter.json',
        '--use-plugin': top / 'plugin.yml',
    }
    arguments = [str(word) for pair in options.items() for word in pair]
    folders = [str(raw), str(out)]
    ran = run_tiny([*folders, 'participant', *arguments, '--write-graph'])
    assert ran.returncode == 0, ran.stderr
    assert (out / 'sub-01.html').is_file()
    ran = run_tiny([*folders, 'group'])
    assert ran.returncode == 0, ran.stderr
    assert dataset.main([*folders, str(top / 'new')]) == 0
    assert (top / 'new/sub-01/anat/sub-01_T1w.nii.gz').is_file()


def test_failures_are_told_and_kept_where_a_path_has_a_per_cent_sign(run_tiny, tmp_path):
    top = tmp_path / '100%'
    (top / 'raw/sub-01/anat').mkdir(parents=True)
    (top / 'raw/sub-01/anat/sub-01_T1w.nii.gz').write_text('no image')
    (top / 'raw/dataset_description.json').write_text('{"Name": "m", "BIDSVersion": "1.9.0"}')
    models = ['--models', str(tiny_app.write_models(top / 'models'))]
    folders = [str(top / 'raw'), str(top / 'out'), 'participant', '-w', str(top / 'work')]
    ran = run_tiny([*folders, *models])
    assert ran.returncode == 1, ran.stderr
    assert 'Traceback' not in ran.stderr
    assert len(list(top.glob('out/logs/*/crash*.txt'))) == 1
    assert (top / 'out/sub-01.html').is_file()
