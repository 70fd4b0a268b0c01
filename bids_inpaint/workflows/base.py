"""The whole graph: one sub-workflow per T1w image."""

from collections.abc import Mapping, Sequence

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.bids.scan import Scan
from bids_inpaint.settings import Settings
from bids_inpaint.workflows.choices import Choices, Network, network_name
from bids_inpaint.workflows.inpaint import init_inpaint_wf
from bids_inpaint.workflows.outputs import field_name, init_derivatives_wf
from bids_inpaint.workflows.preprocess import TO_FILL, TO_INPAINT, init_preprocess_wf
from bids_inpaint.workflows.quality import init_quality_wf

NAME = 'bids_inpaint_wf'


def init_bids_inpaint_wf(
    settings: Settings, scans: Sequence[Scan], networks: Mapping[str, Network]
) -> pe.Workflow:
    """Build the workflow of a run, with one sub-workflow per T1w image.

    Parameters
    ----------
    settings : Settings
        Of the run.
    scans : sequence of Scan
        T1w images.
    networks : mapping of str to Network
        By the `network_name` of each scan.

    """
    workflow = pe.Workflow(name=NAME, base_dir=str(settings.run_work_dir))
    workflow.add_nodes(
        [init_scan_wf(Choices(settings, scan, networks[network_name(scan)])) for scan in scans]
    )
    return workflow


def init_scan_wf(choices: Choices) -> pe.Workflow:
    """Build the workflow of one T1w image, from the source to its derivatives.

    Parameters
    ----------
    choices : Choices
        Image, settings and network.

    Inputs
    ------
    t1w
        The T1w image; set from `choices`.

    Outputs
    -------
    None
        It saves its derivatives.

    """
    workflow = pe.Workflow(name=choices.scan.workflow_name)
    inputnode = pe.Node(IdentityInterface(['t1w']), name='inputnode')
    inputnode.inputs.t1w = str(choices.scan.t1w)
    preprocess_wf = init_preprocess_wf(choices)
    inpaint_wf = init_inpaint_wf(choices)
    quality_wf = init_quality_wf(choices)
    derivatives_wf = init_derivatives_wf(choices)
    facts = pe.Node(Merge(2), name='facts', run_without_submitting=True)
    workflow.connect([
        (inputnode, preprocess_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, inpaint_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, quality_wf, [('t1w', 'inputnode.t1w')]),
        (inputnode, derivatives_wf, [('t1w', 'inputnode.source_file')]),
        (preprocess_wf, inpaint_wf, _same(*TO_INPAINT, *(TO_FILL if choices.fills else ()))),
        (preprocess_wf, quality_wf, _same('anat2std_xfm', 'brain_mask', 'source_sha256')),
        (inpaint_wf, quality_wf, _same(*_TO_MEASURE, *_lesions(choices))),
        (preprocess_wf, facts, [('outputnode.facts', 'in1')]),
        (inpaint_wf, facts, [('outputnode.facts', 'in2')]),
        (facts, quality_wf, [('out', 'inputnode.facts')]),
        (facts, derivatives_wf, [('out', 'inputnode.facts')]),
        (preprocess_wf, derivatives_wf, _same('skull_stripped')),
        (quality_wf, derivatives_wf, _same('numbers')),
    ])  # fmt: skip
    makers = {
        **dict.fromkeys(_PREPROCESSED, preprocess_wf),
        **dict.fromkeys(_INPAINTED, inpaint_wf),
        **dict.fromkeys(_BROUGHT_BACK, quality_wf),
        'lesion_mask_native': inpaint_wf if choices.fills else quality_wf,
    }
    for kind, space in choices.written:
        if kind != 'qc':
            field = field_name(kind, space)
            workflow.connect([(makers[field], derivatives_wf, _same(field))])
    return workflow


_TO_MEASURE = ('inpainted_native', 'change_mask_native')
# Which workflow makes which derivatives.
_PREPROCESSED = ('preproc', 'brain_mask', 'bias_field', 'anat2std_xfm', 'std2anat_xfm')
_INPAINTED = (
    'inpainted',
    'difference',
    'change_mask',
    'lesion_mask',
    'lesion_probability',
    'inpainted_native',
    'difference_native',
    'change_mask_native',
)
_BROUGHT_BACK = ('brain_mask_native', 'lesion_probability_native')


def _lesions(choices: Choices) -> list[str]:
    """Name the outputs on lesions that are measured, and resampled to the source."""
    if choices.fills:
        return ['lesion_mask_native'] if choices.settings.lesion_map else []
    found = ['lesion_mask'] if choices.maps_lesions else []
    return [*found, 'lesion_probability'] if choices.maps_probability else found


def _same(*names: str) -> list[tuple[str, str]]:
    """Connect outputs of a workflow to inputs of another, of the same names."""
    return [(f'outputnode.{name}', f'inputnode.{name}') for name in names]
