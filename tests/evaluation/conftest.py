"""A template of 24 voxels a side, and cases on it."""

import numpy as np
import pytest
from tiny_brains import SHAPE, WHITE, healthy_brain, tissue_maps, write_mask, write_scan

from bids_inpaint.evaluation import cases, lesions, segmenters
from bids_inpaint.evaluation.cases import Case, Setup
from bids_inpaint.evaluation.memory import Memory
from bids_inpaint.evaluation.tables import reconstruction
from bids_inpaint.image.template import Template
from bids_inpaint.network import session
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.network.unet import build_unet
from bids_inpaint.network.weights import save_weights
from bids_inpaint.training import data, thresholds
from bids_inpaint.training.examples import simulate, ventricles


@pytest.fixture
def small_template(monkeypatch):
    brain, grey, white = tissue_maps()
    probabilities = grey.astype(np.float32), white.astype(np.float32)
    template = Template(healthy_brain(), *probabilities, brain)
    for module in (
        thresholds,
        cases,
        lesions,
        simulate,
        data,
        reconstruction,
        segmenters,
        session,
    ):
        monkeypatch.setattr(module, 'load_template', lambda: template)
    monkeypatch.setattr(ventricles, '_near_ventricles', lambda: np.ones(SHAPE, bool))
    return template


@pytest.fixture
def make_case(small_template):
    """Maker of cases: given, truth (None for a patient) and share."""

    def make(given, share, truth=None, participant='p'):
        return Case(
            name='p 1',
            participant=participant,
            side='test',
            given=given.astype(np.float32),
            truth=truth,
            share=share.astype(np.float32),
            brain_mask=small_template.brain_mask,
            white_matter=WHITE,
            anat2std_xfm=np.eye(4),
        )

    return make


@pytest.fixture
def make_network(tmp_path):
    """Maker of networks that have learnt nothing."""

    def make(name):
        config = UNetConfig(filters=2, levels=2, reconstruction_filters=2, window_vox=16)
        card = {
            'name': name,
            'architecture': config,
            'change_core_threshold': 0.15,
            'change_edge_threshold': 0.06,
            'lesion_threshold': 0.1,
        }
        save_weights(build_unet(config), tmp_path / 'models' / name, card)
        return tmp_path / 'models' / name

    return make


@pytest.fixture
def setup(tmp_path, small_template, make_network):  # noqa: ARG001
    """Two healthy brains, a test patient and a validation patient, and the blind network."""
    mask = np.zeros(SHAPE, bool)
    mask[9:13, 10:13, 10:14] = True
    for number, name in enumerate(('sub-06', 'sub-46')):
        write_scan(tmp_path / 'ds002748', name, healthy_brain(number))
    for name in ('sub-openms26', 'sub-mslesseg14_ses-1'):
        write_mask(tmp_path / 'masks', name, mask)
        t1w = np.where(mask, np.float32(1.0), healthy_brain(3))
        write_scan(tmp_path / 'patients', name, t1w)
    make_network('blind')
    return Setup(
        brains=(tmp_path / 'ds002748',),
        masks=tmp_path / 'masks',
        patients=tmp_path / 'patients',
        models=tmp_path / 'models',
        out=tmp_path / 'out',
        memory=Memory(tmp_path / 'work'),
    )
