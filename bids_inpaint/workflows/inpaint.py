"""From a preprocessed T1w image to the inpainted source."""

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.interfaces.inpaint import AddChange, AddFill, Composite, Inpaint
from bids_inpaint.workflows.choices import Choices, choose_lesion_map
from bids_inpaint.workflows.preprocess import TO_FILL, TO_INPAINT
from bids_inpaint.workflows.resources import MEMORY_GB


def init_inpaint_wf(choices: Choices, *, name: str = 'inpaint_wf') -> pe.Workflow:
    """Build the workflow that inpaints one T1w image and adds the change to its source.

    Parameters
    ----------
    choices : Choices
        Network, device and thresholds.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w
        T1w image of the dataset.
    preproc, brain_mask, bias_field, brain_mean, anat2std_xfm, source_sha256
        Of `init_preprocess_wf`.
    denoised, given_mask, fill_mask, fill_mask_native
        Of the same, with a lesion mask.

    Outputs
    -------
    inpainted, difference, change_mask
        On the template grid; the first two in units of the mean of the brain.
    inpainted_native
        The source with the change added, in its units and data type.
    difference_native, change_mask_native
        On the grid of the source.
    facts
        Of each step.
    lesion_mask
        If there is a lesion map: on the template grid, found or filled.
    lesion_mask_native
        With a lesion mask: lesions that were filled, on the grid of the source.
    lesion_probability
        If it is written: on the template grid.

    """
    workflow = pe.Workflow(name=name)
    settings, network = choices.settings, choices.network
    inputnode = pe.Node(IdentityInterface(['t1w', *TO_INPAINT, *TO_FILL]), name='inputnode')
    outputnode = pe.Node(IdentityInterface([*_OUTPUTS, *_LESIONS]), name='outputnode')

    inpaint = pe.Node(
        Inpaint(
            model=str(network.folder),
            sha256=network.card.sha256,
            device=settings.device,
            use_gpu=choices.use_gpu,
            num_threads=settings.omp_nthreads,
            flip_averaging=settings.flip_averaging,
        ),
        name='inpaint',
        n_procs=settings.omp_nthreads,
        mem_gb=MEMORY_GB['inpaint'],
    )
    composite = pe.Node(
        Composite(
            edge_threshold=network.card.change_edge_threshold,
            core_threshold=network.card.change_core_threshold,
        ),
        name='composite',
        mem_gb=MEMORY_GB['composite'],
    )
    if choices.maps_lesions:
        lesion_from, lesion_threshold = choose_lesion_map(settings, network)
        composite.inputs.lesion_from = lesion_from
        composite.inputs.lesion_threshold = lesion_threshold
        composite.inputs.min_size_mm3 = settings.min_lesion_size_mm3
    step = AddFill() if choices.fills else AddChange()
    back = pe.Node(step, name=step.step, mem_gb=MEMORY_GB[step.step])
    facts = pe.Node(Merge(3), name='facts', run_without_submitting=True)

    workflow.connect([
        (inputnode, inpaint, [('preproc', 'in_file'), ('brain_mask', 'brain_mask')]),
        (inputnode, composite, [
            (n, n) for n in ('preproc', 'brain_mask', 'bias_field', 'brain_mean')
        ]),
        (inpaint, composite, [('out_file', 'in_file')]),
        (inputnode, back, [('t1w', 'in_file'), *[(n, n) for n in _OF_SOURCE]]),
        (composite, back, [('weights', 'weights')]),
        (composite, outputnode, [
            ('out_file', 'inpainted'),
            ('difference', 'difference'),
            ('change_mask', 'change_mask'),
        ]),
        (back, outputnode, [
            ('out_file', 'inpainted_native'),
            ('difference', 'difference_native'),
            ('change_mask', 'change_mask_native'),
        ]),
        (inpaint, facts, [('facts', 'in1')]),
        (composite, facts, [('facts', 'in2')]),
        (back, facts, [('facts', 'in3')]),
        (facts, outputnode, [('out', 'facts')]),
    ])  # fmt: skip
    if choices.fills:
        _fill_given_mask(workflow)
    else:
        _map_lesions(workflow, choices)
    return workflow


def _map_lesions(workflow: pe.Workflow, choices: Choices) -> None:
    """Connect what blind filling needs."""
    names = ('inpaint', 'composite', 'add_change', 'outputnode')
    inpaint, composite, add_change, outputnode = map(workflow.get_node, names)
    workflow.connect([
        (composite, add_change, [('change', 'change'), ('difference', 'difference')]),
    ])  # fmt: skip
    if choices.network.card.architecture.lesion_output:
        workflow.connect(inpaint, 'probability', composite, 'probability')
    if choices.maps_lesions:
        workflow.connect(composite, 'lesion_mask', outputnode, 'lesion_mask')
    if choices.maps_probability:
        workflow.connect(inpaint, 'probability', outputnode, 'lesion_probability')


def _fill_given_mask(workflow: pe.Workflow) -> None:
    """Connect what filling a lesion mask needs."""
    names = ('inputnode', 'inpaint', 'composite', 'add_fill', 'outputnode')
    inputnode, inpaint, composite, add_fill, outputnode = map(workflow.get_node, names)
    workflow.connect([
        (inputnode, inpaint, [('fill_mask', 'fill_mask')]),
        (inputnode, composite, [('fill_mask', 'fill_mask')]),
        (composite, add_fill, [('out_file', 'inpainted')]),
        (inputnode, add_fill, [
            ('denoised', 'denoised'),
            ('bias_field', 'bias_field'),
            ('brain_mean', 'brain_mean'),
            ('given_mask', 'lesion_mask'),
            ('fill_mask_native', 'fill_mask'),
        ]),
        (add_fill, outputnode, [(n, n) for n in _LESIONS]),
    ])  # fmt: skip


_OF_SOURCE = ['anat2std_xfm', 'source_sha256']
_LESIONS = ['lesion_mask', 'lesion_mask_native']
_OUTPUTS = [
    'inpainted',
    'difference',
    'change_mask',
    'inpainted_native',
    'difference_native',
    'change_mask_native',
    'lesion_probability',
    'facts',
]
