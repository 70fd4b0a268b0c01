"""The whole graph: one sub-workflow per T1w image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.bids.existing import source_sha256
from bids_inpaint.bids.scan import Scan
from bids_inpaint.bids.sidecars import dataset_links, generated_by, lesion_mask_uri
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.inpaint import InpaintOptions, init_inpaint_wf, init_quality_wf
from bids_inpaint.workflows.outputs import OutputOptions, init_derivatives_wf
from bids_inpaint.workflows.preprocess import GivenMask, init_preprocess_wf

NAME = 'bids_inpaint_wf'
BLIND = 'blind'
NON_BLIND = 'nonblind'


@dataclass(frozen=True, kw_only=True)
class Network:
    """What the graph is told of the network.

    Attributes
    ----------
    folder : Path
        Of weights and card.
    sha256 : str
        Of the weights.
    edge_threshold, core_threshold, lesion_threshold : float
        Of its card, in units of the mean of the brain.
    use_gpu : bool
        Whether it is to be queued for a GPU.

    """

    folder: Path
    sha256: str
    edge_threshold: float
    core_threshold: float
    lesion_threshold: float
    use_gpu: bool


def network_name(scan: Scan) -> str:
    """Name of the network for a scan: that which fills its mask, or that which needs none."""
    return NON_BLIND if scan.lesion_mask else BLIND


def scan_wf_name(scan: Scan) -> str:
    """Name of the sub-workflow of a scan."""
    return f'{scan.node_name}_wf'


def init_bids_inpaint_wf(
    settings: Settings, scans: Sequence[Scan], networks: Mapping[str, Network]
) -> pe.Workflow:
    """Build the workflow of a run: each T1w image on its own, none averaged.

    Parameters
    ----------
    settings : Settings
        Of the run.
    scans : sequence of Scan
        T1w images.
    networks : mapping of str to Network
        What to inpaint with, by the `network_name` of each scan.

    """
    workflow = pe.Workflow(name=NAME, base_dir=str(settings.run_work_dir))
    workflow.add_nodes(
        [init_scan_wf(settings, scan, networks[network_name(scan)]) for scan in scans]
    )
    return workflow


def init_scan_wf(settings: Settings, scan: Scan, network: Network) -> pe.Workflow:
    """Build the workflow of one T1w image, from the source to its derivatives.

    Parameters
    ----------
    settings : Settings
        Of the run.
    scan : Scan
        The T1w image.
    network : Network
        What to inpaint with.

    Inputs
    ------
    t1w
        The T1w image; set from `scan`.

    Outputs
    -------
    None
        It saves its derivatives.

    """
    options = _inpaint_options(settings, network, fill=scan.lesion_mask is not None)
    given_mask = _given_mask(settings, scan)
    workflow = pe.Workflow(name=scan_wf_name(scan))
    inputnode = pe.Node(IdentityInterface(['t1w']), name='inputnode')
    inputnode.inputs.t1w = str(scan.t1w)
    preprocess_wf = init_preprocess_wf(
        random_seed=settings.random_seed,
        given_mask=given_mask,
    )
    inpaint_wf = init_inpaint_wf(options)
    quality_wf = init_quality_wf(options, lesion_map=settings.lesion_map)
    made = generated_by(parameters(settings, scan, network))
    derivatives_wf = init_derivatives_wf(_output_options(settings, given_mask, made))
    facts = pe.Node(Merge(2), name='facts', run_without_submitting=True)

    def pass_on(source: pe.Workflow, target: pe.Workflow, *names: str, **renamed: str) -> None:
        """Connect outputs to inputs, of the same names or renamed, where both are there."""
        given = source.get_node('outputnode').inputs.copyable_trait_names()
        wanted = target.get_node('inputnode').inputs.copyable_trait_names()
        pairs = [
            (f'outputnode.{output}', f'inputnode.{field}')
            for output, field in {**{name: name for name in names}, **renamed}.items()
            if output in given and field in wanted
        ]
        workflow.connect([(source, target, pairs)])

    workflow.connect([
        (inputnode, preprocess_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, inpaint_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, quality_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, derivatives_wf, [('t1w', 'inputnode.source_file')]),
        (preprocess_wf, facts, [('outputnode.facts', 'in1')]),
        (inpaint_wf, facts, [('outputnode.facts', 'in2')]),
        (facts, quality_wf, [('out', 'inputnode.facts')]),
    ])  # fmt: skip
    pass_on(preprocess_wf, inpaint_wf, *_PREPROCESSED, *_TO_FILL)
    pass_on(preprocess_wf, quality_wf, 'anat2std_xfm', 'brain_mask')
    pass_on(preprocess_wf, derivatives_wf, *_PREPROCESSED, *_REGISTERED, t1w_norm='preproc')
    pass_on(inpaint_wf, quality_wf, *_INPAINTED, *_LESIONS)
    pass_on(inpaint_wf, derivatives_wf, *_INPAINTED, *_LESIONS)
    pass_on(quality_wf, derivatives_wf, *_QUALITY, *_LESIONS)
    return workflow


_PREPROCESSED = ('t1w_norm', 'brain_mask', 'bias_field', 'brain_mean', 'anat2std_xfm')
_REGISTERED = ('std2anat_xfm', 'skull_stripped')
_INPAINTED = (
    'inpainted',
    'difference',
    'change_mask',
    'inpainted_native',
    'difference_native',
    'change_mask_native',
)
_QUALITY = ('brain_mask_native', 'numbers', 'facts')
_TO_FILL = ('denoised', 'given_mask', 'fill_mask', 'fill_mask_native')
# Of the workflow that fills a given mask, or else of that which finds lesions.
_LESIONS = ('lesion_mask', 'lesion_mask_native')


def _given_mask(settings: Settings, scan: Scan) -> GivenMask | None:
    """Tell of the lesion mask of a scan what its workflow is to know."""
    if scan.lesion_mask is None:
        return None
    links = dataset_links(settings.bids_dir, settings.derivatives)
    return GivenMask(
        path=scan.lesion_mask,
        uri=lesion_mask_uri(scan.lesion_mask, links),
        dilate_vox=settings.dilate_mask_vox,
    )


def _inpaint_options(settings: Settings, network: Network, *, fill: bool) -> InpaintOptions:
    """Take from settings and network what the steps from the network on are told."""
    asked = settings.lesion_threshold
    return InpaintOptions(
        model=network.folder,
        sha256=network.sha256,
        device=settings.device,
        use_gpu=network.use_gpu,
        omp_nthreads=settings.omp_nthreads,
        flip_averaging=settings.flip_averaging,
        edge_threshold=network.edge_threshold,
        core_threshold=network.core_threshold,
        lesion_threshold=network.lesion_threshold if asked is None else asked,
        min_lesion_size_mm3=settings.min_lesion_size_mm3,
        fill=fill,
    )


def parameters(settings: Settings, scan: Scan, network: Network) -> dict[str, Any]:
    """Gather what decides on the result of a scan."""
    mask = {'lesion_mask_sha256': source_sha256(scan.lesion_mask)} if scan.lesion_mask else {}
    return {**settings.parameters, 'network_sha256': network.sha256, **mask}


def _output_options(
    settings: Settings, given_mask: GivenMask | None, made: dict[str, Any]
) -> OutputOptions:
    """Take from the settings what is written, and where."""
    return OutputOptions(
        output_dir=settings.output_dir,
        output_spaces=settings.output_spaces,
        uncompressed=settings.uncompressed,
        lesion_map=settings.lesion_map,
        fail_on_qc=settings.fail_on_qc,
        more_sources=[given_mask.uri] if given_mask else [],
        generated_by=[made],
    )
