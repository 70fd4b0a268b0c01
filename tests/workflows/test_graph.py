"""The graph in every combination of options, built and expanded but not run."""

from dataclasses import replace
from itertools import product

import pytest
from nipype.interfaces.base import isdefined
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine.utils import generate_expanded_graph
from planned import planned_paths

from bids_inpaint.bids.names import OUTPUT_SPACES
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.interfaces.inpaint import Network
from bids_inpaint.network.card import Card
from bids_inpaint.network.config import UNetConfig
from bids_inpaint.settings import DEFAULT_LESION_THRESHOLD, Settings
from bids_inpaint.workflows import choices
from bids_inpaint.workflows.base import init_bids_inpaint_wf

SPACES = [('T1w',), ('MNI152NLin2009aSym',), OUTPUT_SPACES]
SOURCES = ('sub-01/anat/sub-01_T1w.nii.gz', 'sub-02/ses-a/anat/sub-02_ses-a_acq-x+y_run-1_T1w.nii')


@pytest.fixture
def scans(make_dataset):
    root = make_dataset(*SOURCES)
    return [parse_t1w(root / name) for name in SOURCES]


@pytest.fixture
def build(tmp_path, scans, monkeypatch):
    """Maker of the expanded graph's nodes, by full name, from settings."""
    (tmp_path / 'model').mkdir()

    def make(*, scans=scans, use_gpu=False, omp_nthreads=3, tells=False, **options):
        settings = Settings(
            bids_dir=tmp_path / 'raw',
            output_dir=tmp_path / 'out',
            analysis_level='participant',
            work_dir=tmp_path / 'work',
            nprocs=4,
            omp_nthreads=omp_nthreads,
            mem_gb=8,
            **{'output_spaces': OUTPUT_SPACES, **options},
        )
        monkeypatch.setattr(choices, '_NVIDIA_DRIVER', tmp_path if use_gpu else tmp_path / 'none')
        card = Card(
            name='stub',
            architecture=UNetConfig(lesion_output=tells),
            sha256='abc',
            change_edge_threshold=0.1,
            change_core_threshold=0.2,
            lesion_threshold=0.15,
        )
        network = Network(tmp_path / 'model', card)
        nonblind = network._replace(
            card=replace(card, sha256='def', architecture=UNetConfig(lesion_output=False))
        )
        networks = {'blind': network, 'nonblind': nonblind}
        workflow = init_bids_inpaint_wf(settings, scans, networks)
        graph = generate_expanded_graph(workflow._create_flat_graph())
        return {node.fullname: node for node in graph.nodes()}, graph

    return make


def named(nodes, scan, name):
    return next(
        node for full, node in nodes.items() if scan.workflow_name in full and node.name == name
    )


@pytest.mark.parametrize(
    ('spaces', 'lesion_map', 'tells', 'uncompressed', 'fail_on_qc'),
    list(product(SPACES, (True, False), (True, False), (True, False), (True, False))),
)
def test_each_combination_saves_what_is_planned(
    build, scans, spaces, lesion_map, tells, uncompressed, fail_on_qc
):
    nodes, graph = build(
        tells=tells,
        output_spaces=spaces,
        lesion_map=lesion_map,
        uncompressed=uncompressed,
        fail_on_qc=fail_on_qc,
    )
    assert not any(isinstance(node.interface, IdentityInterface) for node in nodes.values())
    extension = '.nii' if uncompressed else '.nii.gz'
    for scan in scans:
        ours = {name: node for name, node in nodes.items() if scan.workflow_name in name}
        saved = [node for node in ours.values() if node.name.startswith('ds_')]
        planned = planned_paths(
            scan, output_spaces=spaces, lesion_map=lesion_map, lesion_probability=tells
        )
        assert len(saved) == len(planned)
        probabilities = [node for node in saved if 'probability' in node.name]
        assert len(probabilities) == (len(spaces) if lesion_map and tells else 0)
        sinks = [node for node in saved if node.name != 'ds_qc']
        assert {node.inputs.extension for node in sinks} == {extension}
        assert {node.inputs.space for node in sinks} >= set(spaces)
        assert any(node.name == 'gate' for node in ours.values()) == fail_on_qc
        mapped = [n.inputs.lesion_threshold for n in ours.values() if n.name == 'composite']
        assert [isdefined(threshold) for threshold in mapped] == [lesion_map]
        for node in saved:
            (*_, edge) = graph.in_edges(node, data=True)
            fields = {
                target for *_, data in graph.in_edges(node, data=True)
                for _, target in data['connect']
            }  # fmt: skip
            assert fields >= ({'numbers'} if node.name == 'ds_qc' else {'in_file', 'facts'}), edge


@pytest.fixture
def masked(scans):
    """The same scans, the first with a lesion mask."""
    mask = scans[0].t1w.with_name('sub-01_label-lesion_roi.nii.gz')
    mask.touch()
    return [replace(scans[0], lesion_mask=mask), scans[1]]


def steps_of(nodes, scan):
    return [node.name for name, node in nodes.items() if scan.workflow_name in name]


@pytest.mark.parametrize('lesion_map', [True, False])
def test_a_mask_adds_one_step_and_spares_the_search(build, masked, lesion_map):
    nodes, graph = build(scans=masked, lesion_map=lesion_map)
    filled, blind = (set(steps_of(nodes, scan)) for scan in masked)
    assert filled - blind == {'fill_region', 'add_fill'}
    searched = {'lesion_mask_to_native'} if lesion_map else set()
    assert blind - filled == searched | {'add_change'}
    assert ('ds_lesion_mask' in filled) == lesion_map
    for node in (
        named(nodes, masked[0], 'measure_quality'),
        named(nodes, masked[1], 'measure_quality'),
    ):
        fields = {
            target for *_, data in graph.in_edges(node, data=True) for _, target in data['connect']
        }
        assert ('lesion_mask' in fields) == lesion_map


def test_scans_without_mask_have_the_graph_that_they_have_alone(build, scans, masked):
    alone, among = build()[0], build(scans=masked)[0]
    assert steps_of(alone, scans[1]) == steps_of(among, scans[1])
    for name in steps_of(alone, scans[1]):
        ours, theirs = (named(nodes, scans[1], name).inputs for nodes in (alone, among))
        assert ours.get_hashval()[1] == theirs.get_hashval()[1]


def test_a_mask_and_its_network_reach_their_nodes(build, masked):
    nodes, _ = build(scans=masked, dilate_mask_vox=2)
    conform = named(nodes, masked[0], 'conform').inputs
    assert conform.lesion_mask == str(masked[0].lesion_mask)
    uri = 'bids:raw:sub-01/anat/sub-01_label-lesion_roi.nii.gz'
    assert conform.lesion_mask_uri == uri
    assert named(nodes, masked[0], 'fill_region').inputs.dilate_vox == 2
    hashes = [named(nodes, scan, 'inpaint').inputs.sha256 for scan in masked]
    assert hashes == ['def', 'abc']
    sinks = [named(nodes, scan, 'ds_inpainted_native').inputs for scan in masked]
    assert [sink.more_sources for sink in sinks] == [[uri], []]


def test_every_mandatory_input_is_given(build, masked):
    nodes, graph = build(scans=masked)
    for node in nodes.values():
        given = {target for *_, data in graph.in_edges(node, data=True)
                 for _, target in data['connect']}  # fmt: skip
        for name, trait in node.inputs.traits(mandatory=True).items():
            if name not in given:
                value = getattr(node.inputs, name)
                assert trait.validate(node.inputs, name, value) == value, f'{node}: {name}'


def test_one_workflow_for_each_scan_reads_its_own_image(build, scans):
    nodes, _ = build()
    for scan in scans:
        for name in ('conform', 'add_change', 'measure_quality', 'ds_inpainted_native', 'ds_qc'):
            node = named(nodes, scan, name)
            assert str(scan.t1w) in {
                getattr(node.inputs, field, None)
                for field in ('in_file', 'source_file', 'reference')
            }, name


def test_no_name_is_used_twice(build):
    nodes, graph = build()
    assert len(nodes) == graph.number_of_nodes()


def test_options_reach_their_nodes(build, scans):
    nodes, _ = build(
        lesion_threshold=0.33,
        min_lesion_size_mm3=44.0,
        flip_averaging=True,
        device='cpu',
        random_seed=7,
    )
    network = named(nodes, scans[1], 'inpaint').inputs
    assert (network.flip_averaging, network.device, network.num_threads) == (True, 'cpu', 3)
    assert network.sha256 == 'abc'
    composite = named(nodes, scans[1], 'composite').inputs
    assert (composite.edge_threshold, composite.core_threshold) == (0.1, 0.2)
    assert (composite.lesion_threshold, composite.min_size_mm3) == (0.33, 44.0)
    assert named(nodes, scans[1], 'register').inputs.random_seed == 7


@pytest.mark.parametrize(
    ('tells', 'options', 'source', 'threshold'),
    [
        (False, {}, 'difference', 0.15),
        (False, {'lesion_threshold': 0.0}, 'difference', 0.0),
        (False, {'lesion_map_from': 'difference'}, 'difference', 0.15),
        (True, {}, 'probability', 0.15),
        (True, {'lesion_probability': 0.7}, 'probability', 0.7),
        (True, {'lesion_map_from': 'difference'}, 'difference', DEFAULT_LESION_THRESHOLD),
        (True, {'lesion_threshold': 0.3}, 'difference', 0.3),
    ],
)
def test_lesions_are_mapped_as_the_network_can_and_the_user_wants(
    build, scans, tells, options, source, threshold
):
    nodes, _ = build(tells=tells, **options)
    composite = named(nodes, scans[0], 'composite').inputs
    assert (composite.lesion_from, composite.lesion_threshold) == (source, threshold)


@pytest.mark.parametrize(
    'options', [{'lesion_map_from': 'probability'}, {'lesion_probability': 0.5}]
)
def test_a_probability_that_is_not_told_is_refused(build, options):
    with pytest.raises(BidsInpaintError, match=r'/model .*--lesion-map-from difference'):
        build(tells=False, **options)


@pytest.mark.parametrize(
    'options', [{'lesion_map_from': 'probability'}, {'lesion_probability': 0.5}]
)
def test_a_given_mask_is_filled_whatever_lesions_are_mapped_from(build, masked, options):
    nodes, _ = build(scans=masked, tells=True, **options)
    filled, blind = (named(nodes, scan, 'composite').inputs for scan in masked)
    assert not isdefined(filled.lesion_threshold)
    assert blind.lesion_from == 'probability'


def test_a_given_mask_has_no_probability(build, masked):
    nodes, _ = build(scans=masked, tells=True)
    filled, blind = (set(steps_of(nodes, scan)) for scan in masked)
    of_probability = {name for name in blind if 'probability' in name}
    assert of_probability == {
        'lesion_probability_to_native',
        'ds_lesion_probability',
        'ds_lesion_probability_native',
    }
    assert not any('probability' in name for name in filled)


def test_scheduler_is_told_threads_and_memory(build):
    nodes, _ = build()
    threads = {node.name: node.n_procs for node in nodes.values()}
    heavy = {name for name, count in threads.items() if count == 3}
    assert heavy == {'inpaint'}
    assert {count for name, count in threads.items() if name not in heavy} == {1}
    for node in nodes.values():
        if not node.run_without_submitting:
            assert 0.1 < node.mem_gb <= 6, node


@pytest.mark.parametrize('use_gpu', [True, False])
def test_only_the_network_queues_for_a_gpu(build, use_gpu):
    nodes, _ = build(use_gpu=use_gpu)
    queued = {node.name for node in nodes.values() if node.is_gpu_node()}
    assert queued == ({'inpaint'} if use_gpu else set())


def test_threads_and_device_are_no_inputs_of_the_result(build, scans):
    """A run may go on with other resources; a hash of them would begin it anew."""
    nodes, _ = build(device='cpu')
    other, _ = build(device='auto', use_gpu=True, omp_nthreads=1)
    hashes = [named(n, scans[0], 'inpaint').inputs.get_hashval()[1] for n in (nodes, other)]
    assert hashes[0] == hashes[1]
