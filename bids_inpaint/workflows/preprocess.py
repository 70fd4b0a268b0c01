"""Preprocessing of one T1w image before the network."""

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.interfaces.preprocess import (
    BiasField,
    BrainMask,
    Conform,
    Denoise,
    FillRegion,
    Normalise,
    Register,
    ToTemplate,
)
from bids_inpaint.workflows.choices import Choices
from bids_inpaint.workflows.resources import MEMORY_GB

# Inputs of the next workflow; those of a lesion mask exist only with one.
TO_INPAINT = (
    'preproc',
    'brain_mask',
    'bias_field',
    'brain_mean',
    'anat2std_xfm',
    'source_sha256',
)
TO_FILL = ('denoised', 'given_mask', 'fill_mask', 'fill_mask_native')


def init_preprocess_wf(choices: Choices, *, name: str = 'preprocess_wf') -> pe.Workflow:
    """Build the workflow that prepares one T1w image for the network.

    Registration comes before denoising, the slowest step, which is limited to the brain.

    Parameters
    ----------
    choices : Choices
        With a lesion mask, lesions are excluded from the fit of the bias field and from the mean
        of the brain.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w
        T1w image of the dataset.

    Outputs
    -------
    preproc
        T1w on the template grid, in units of the mean of the brain, zero outside it.
    brain_mask
        Brain on the template grid.
    bias_field
        On the template grid; T1w = preproc x bias_field x brain_mean, plus the `zero` that the
        facts of conform may have.
    brain_mean
        In the units of the T1w.
    source_sha256
        Of the file of the T1w, so that later steps notice another.
    anat2std_xfm, std2anat_xfm
        ITK transforms from the T1w to the template, and back.
    skull_stripped
        Whether the T1w is brain-extracted.
    facts
        Of each step.
    denoised, given_mask, fill_mask_native
        With a lesion mask, on the grid of the T1w in RAS+ order: T1w, lesions, voxels to fill.
    fill_mask
        With a lesion mask: voxels to fill on the template grid.

    """
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(['t1w']), name='inputnode')
    outputs = [*TO_INPAINT, *TO_FILL, 'std2anat_xfm', 'skull_stripped', 'facts']
    outputnode = pe.Node(IdentityInterface(outputs), name='outputnode')

    conform = _node(Conform(), 'conform')
    register = _node(Register(random_seed=choices.settings.random_seed), 'register')
    # A filling is made of the voxels of the T1w, so these are denoised as they are.
    denoise = _node(Denoise(reduce=not choices.fills), 'denoise')
    to_template = _node(ToTemplate(), 'to_template')
    brain_mask = _node(BrainMask(), 'brain_mask')
    bias_field = _node(BiasField(), 'bias_field')
    normalise = _node(Normalise(), 'normalise')
    steps = [conform, register, denoise, to_template, brain_mask, bias_field, normalise]
    if choices.fills:
        fill_region = FillRegion(dilate_vox=choices.settings.dilate_mask_vox)
        steps.append(_node(fill_region, 'fill_region'))
    facts = pe.Node(Merge(len(steps)), name='facts', run_without_submitting=True)

    workflow.connect([
        (inputnode, conform, [('t1w', 'in_file')]),
        (conform, register, [('out_file', 'in_file')]),
        (conform, denoise, [('out_file', 'in_file')]),
        (register, denoise, [('std2anat_xfm', 'std2anat_xfm')]),
        (denoise, to_template, [('out_file', 'in_file')]),
        (register, to_template, [('anat2std_xfm', 'anat2std_xfm')]),
        (to_template, brain_mask, [('out_file', 'in_file')]),
        (register, brain_mask, [('skull_stripped', 'skull_stripped')]),
        (to_template, bias_field, [('out_file', 'in_file')]),
        (brain_mask, bias_field, [('out_file', 'brain_mask')]),
        (to_template, normalise, [('out_file', 'in_file')]),
        (bias_field, normalise, [('out_file', 'bias_field')]),
        (brain_mask, normalise, [('out_file', 'brain_mask')]),
        (conform, outputnode, [('source_sha256', 'source_sha256')]),
        (register, outputnode, [
            ('anat2std_xfm', 'anat2std_xfm'),
            ('std2anat_xfm', 'std2anat_xfm'),
            ('skull_stripped', 'skull_stripped'),
        ]),
        (brain_mask, outputnode, [('out_file', 'brain_mask')]),
        (bias_field, outputnode, [('out_file', 'bias_field')]),
        (normalise, outputnode, [('out_file', 'preproc'), ('brain_mean', 'brain_mean')]),
        (facts, outputnode, [('out', 'facts')]),
        *[(step, facts, [('facts', f'in{i}')]) for i, step in enumerate(steps, start=1)],
    ])  # fmt: skip
    if choices.fills:
        _use_mask(workflow, choices)
    return workflow


def _use_mask(workflow: pe.Workflow, choices: Choices) -> None:
    """Connect the steps that use a lesion mask."""
    names = ('conform', 'register', 'denoise', 'fill_region', 'outputnode')
    conform, register, denoise, fill_region, outputnode = map(workflow.get_node, names)
    conform.inputs.lesion_mask = str(choices.scan.lesion_mask)
    conform.inputs.lesion_mask_uri = choices.lesion_mask_uri
    workflow.connect([
        (conform, fill_region, [('lesion_mask', 'in_file')]),
        (register, fill_region, [('anat2std_xfm', 'anat2std_xfm')]),
        *[
            (fill_region, workflow.get_node(name), [('fill_mask', 'fill_mask')])
            for name in ('brain_mask', 'bias_field', 'normalise', 'outputnode')
        ],
        (fill_region, outputnode, [('fill_mask_native', 'fill_mask_native')]),
        (conform, outputnode, [('lesion_mask', 'given_mask')]),
        (denoise, outputnode, [('out_file', 'denoised')]),
    ])  # fmt: skip


def _node(interface: object, name: str) -> pe.Node:
    """Make a node with its memory for the scheduler."""
    return pe.Node(interface, name=name, mem_gb=MEMORY_GB[name])
