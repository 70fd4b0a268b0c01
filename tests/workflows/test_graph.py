"""The graph in every combination of options, built and expanded but not run."""

from dataclasses import replace
from itertools import product

import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine.utils import generate_expanded_graph

from bids_inpaint.bids.names import planned_paths
from bids_inpaint.bids.scan import parse_t1w
from bids_inpaint.settings import OUTPUT_SPACES, Settings
from bids_inpaint.workflows.base import Network, init_bids_inpaint_wf, scan_wf_name

SPACES = [('T1w',), ('MNI152NLin2009aSym',), OUTPUT_SPACES]
SOURCES = ('sub-01/anat/sub-01_T1w.nii.gz', 'sub-02/ses-a/anat/sub-02_ses-a_acq-x+y_run-1_T1w.nii')


@pytest.fixture
def scans(make_dataset):
    root = make_dataset(*SOURCES)
    return [parse_t1w(root / name) for name in SOURCES]


@pytest.fixture
def build(tmp_path, scans):
    """Maker of the expanded graph's nodes, by full name, from settings."""
    (tmp_path / 'model').mkdir()

    def make(*, scans=scans, use_gpu=False, omp_nthreads=3, **options):
        settings = Settings(
            bids_dir=tmp_path / 'raw',
            output_dir=tmp_path / 'out',
            analysis_level='participant',
            work_dir=tmp_path / 'work',
            nprocs=4,
            omp_nthreads=omp_nthreads,
            mem_gb=8,
            **options,
        )
        network = Network(
            folder=tmp_path / 'model',
            sha256='abc',
            edge_threshold=0.1,
            core_threshold=0.2,
            lesion_threshold=0.15,
            use_gpu=use_gpu,
        )
        networks = {'blind': network, 'nonblind': replace(network, sha256='def')}
        workflow = init_bids_inpaint_wf(settings, scans, networks)
        graph = generate_expanded_graph(workflow._create_flat_graph())
        return {node.fullname: node for node in graph.nodes()}, graph

    return make


def named(nodes, scan, name):
    return next(
        node for full, node in nodes.items() if scan_wf_name(scan) in full and node.name == name
    )


@pytest.mark.parametrize(
    ('spaces', 'lesion_map', 'uncompressed', 'fail_on_qc'),
    list(product(SPACES, (True, False), (True, False), (True, False))),
)
def test_each_combination_saves_what_is_planned(
    build, scans, spaces, lesion_map, uncompressed, fail_on_qc
):
    nodes, graph = build(
        output_spaces=spaces,
        lesion_map=lesion_map,
        uncompressed=uncompressed,
        fail_on_qc=fail_on_qc,
    )
    assert not any(isinstance(node.interface, IdentityInterface) for node in nodes.values())
    extension = '.nii' if uncompressed else '.nii.gz'
    for scan in scans:
        ours = {name: node for name, node in nodes.items() if scan_wf_name(scan) in name}
        saved = [node for node in ours.values() if node.name.startswith('ds_')]
        planned = planned_paths(scan, output_spaces=spaces, lesion_map=lesion_map)
        assert len(saved) == len(planned)
        sinks = [node for node in saved if node.name != 'ds_qc']
        assert {node.inputs.extension for node in sinks} == {extension}
        assert {node.inputs.space for node in sinks} >= set(spaces)
        assert any(node.name == 'gate' for node in ours.values()) == fail_on_qc
        assert any(node.name == 'find_lesions' for node in ours.values()) == lesion_map
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
    return [node.name for name, node in nodes.items() if scan_wf_name(scan) in name]


@pytest.mark.parametrize('lesion_map', [True, False])
def test_a_mask_adds_one_step_and_spares_the_search(build, masked, lesion_map):
    nodes, graph = build(scans=masked, lesion_map=lesion_map)
    filled, blind = (set(steps_of(nodes, scan)) for scan in masked)
    assert filled - blind == {'fill_region'}
    searched = {'find_lesions', 'lesions_to_native'} if lesion_map else set()
    assert blind - filled == searched
    assert ('ds_lesion_mask' in filled) == lesion_map
    for node in (named(nodes, masked[0], 'measure'), named(nodes, masked[1], 'measure')):
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
    hashes = [named(nodes, scan, 'network').inputs.sha256 for scan in masked]
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
        for name in ('conform', 'add_change', 'measure', 'ds_inpainted_native', 'ds_qc'):
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
    lesions = named(nodes, scans[1], 'find_lesions').inputs
    assert (lesions.threshold, lesions.min_size_mm3) == (0.33, 44.0)
    network = named(nodes, scans[1], 'network').inputs
    assert (network.flip_averaging, network.device, network.num_threads) == (True, 'cpu', 3)
    assert network.sha256 == 'abc'
    composite = named(nodes, scans[1], 'composite').inputs
    assert (composite.edge_threshold, composite.core_threshold) == (0.1, 0.2)
    assert named(nodes, scans[1], 'register').inputs.random_seed == 7


def test_lesion_threshold_is_that_of_the_network_unless_given(build, scans):
    nodes, _ = build()
    assert named(nodes, scans[0], 'find_lesions').inputs.threshold == 0.15
    nodes, _ = build(lesion_threshold=0.0)
    assert named(nodes, scans[0], 'find_lesions').inputs.threshold == 0.0


def test_scheduler_is_told_threads_and_memory(build):
    nodes, _ = build()
    threads = {node.name: node.n_procs for node in nodes.values()}
    heavy = {name for name, count in threads.items() if count == 3}
    assert heavy == {'network'}
    assert {count for name, count in threads.items() if name not in heavy} == {1}
    for node in nodes.values():
        if not node.run_without_submitting:
            assert 0.1 < node.mem_gb <= 6, node


@pytest.mark.parametrize('use_gpu', [True, False])
def test_only_the_network_queues_for_a_gpu(build, use_gpu):
    nodes, _ = build(use_gpu=use_gpu)
    queued = {node.name for node in nodes.values() if node.is_gpu_node()}
    assert queued == ({'network'} if use_gpu else set())


def test_threads_and_device_are_no_inputs_of_the_result(build, scans):
    """A run may go on with other resources; a hash of them would begin it anew."""
    nodes, _ = build(device='cpu')
    other, _ = build(device='auto', use_gpu=True, omp_nthreads=1)
    hashes = [named(n, scans[0], 'network').inputs.get_hashval()[1] for n in (nodes, other)]
    assert hashes[0] == hashes[1]
