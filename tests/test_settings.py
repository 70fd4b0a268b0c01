import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
import tomli_w

from bids_inpaint.settings import Settings, new_run_uuid


def test_settings_do_not_change(settings):
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.nprocs = 3


def test_toml_gives_every_choice_back(settings):
    chosen = dataclasses.replace(
        settings,
        participant_label=('01', '02'),
        bids_filters={'run': [1, None], 'ceagent': None},
        lesion_threshold=0.25,
        models_dir=Path('/models'),
    )
    read = tomllib.loads(tomli_w.dumps(chosen.to_dict()))
    assert read.keys() == {item.name for item in dataclasses.fields(Settings)} - {
        'bids_database_dir',
        'lesion_map_from',
        'lesion_probability',
        'plugin_file',
    }
    assert read['bids_filters'] == {'run': [1, 'Query.NONE'], 'ceagent': 'Query.NONE'}
    assert read['participant_label'] == ['01', '02']
    assert read['models_dir'] == '/models'
    assert read['lesion_threshold'] == 0.25
    assert read['bids_dir'] == str(settings.bids_dir)


def test_threshold_of_the_network_is_left_out(settings):
    assert settings.lesion_threshold is None
    assert 'lesion_threshold' not in settings.to_dict()


def test_every_run_has_a_name_of_its_own(settings):
    assert settings.run_log_dir == settings.output_dir / 'logs' / settings.run_uuid
    assert new_run_uuid() != new_run_uuid()
    assert re.fullmatch(r'\d{8}-\d{6}_[0-9a-f-]{36}', settings.run_uuid)


SAME_WORK = {
    'nprocs': 7,
    'omp_nthreads': 7,
    'mem_gb': 7.0,
    'device': 'cpu',
    'run_uuid': 'other',
    'verbosity': 2,
    'keep_work_dir': True,
    'stop_on_first_crash': True,
    'plugin_file': Path('/plugin.yml'),
    'write_graph': True,
    'fail_on_qc': True,
    'skip_bids_validation': True,
    'skip_existing': True,
    'bids_database_dir': Path('/database'),
    'dry_run': True,
    'analysis_level': 'group',
}
OTHER_WORK = {
    'bids_dir': Path('/other'),
    'output_dir': Path('/other'),
    'participant_label': ('01',),
    'session_label': ('a',),
    'bids_filters': {'run': 1},
    'output_spaces': ('T1w',),
    'uncompressed': True,
    'lesion_mask': 'off',
    'derivatives': (Path('/masks'),),
    'dilate_mask_vox': 1,
    'reports_only': True,  # its folder is removed: not that of a run that was interrupted
    'lesion_map': False,
    'lesion_map_from': 'difference',
    'lesion_probability': 0.5,
    'lesion_threshold': 0.5,
    'min_lesion_size_mm3': 5.0,
    'flip_averaging': True,
    'models_dir': Path('/models'),
    'random_seed': 1,
}


def test_every_setting_is_judged():
    judged = {*SAME_WORK, *OTHER_WORK, 'work_dir'}
    assert judged == {item.name for item in dataclasses.fields(Settings)}


@pytest.mark.parametrize('name', SAME_WORK)
def test_run_goes_on_in_its_folder_with_another(settings, name):
    other = dataclasses.replace(settings, **{name: SAME_WORK[name]})
    assert getattr(other, name) != getattr(settings, name)
    assert other.run_work_dir == settings.run_work_dir
    assert settings.run_work_dir.parent == settings.work_dir


@pytest.mark.parametrize('name', OTHER_WORK)
def test_run_has_another_folder_with_another(settings, name):
    other = dataclasses.replace(settings, **{name: OTHER_WORK[name]})
    assert other.run_work_dir != settings.run_work_dir
