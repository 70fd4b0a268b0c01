"""Preprocessing of one T1w image before the network."""

from dataclasses import dataclass
from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.interfaces.fill import FillRegion
from bids_inpaint.interfaces.preprocess import (
    BiasField,
    BrainMask,
    Conform,
    Denoise,
    Normalise,
    Register,
    ToTemplate,
)

METHODS = (
    'Each T1w image was registered to the ICBM 2009a symmetric template by an affine transform '
    '(ANTs), denoised by adaptive non-local means with a Rician noise model (Manjon et al. 2010) '
    'in and around the brain, resampled to 1 mm with cubic splines, corrected for intensity '
    'non-uniformity (N4; Tustison et al. 2010), and divided by the mean of the brain.'
)
# Peak memory of a process in each step, in GB, measured on heads of 160 x 192 x 192 and
# 288 x 288 x 181 voxels; docs/methods.md has the table.
_MEMORY_GB = {
    'conform': 0.6,
    'register': 1.2,
    'denoise': 1.2,
    'to_template': 1.0,
    'brain_mask': 1.2,
    'bias_field': 1.2,
    'normalise': 0.8,
    'fill_region': 1.0,
}


@dataclass(frozen=True, kw_only=True)
class GivenMask:
    """A lesion mask that is to be filled.

    Attributes
    ----------
    path : Path
        The file.
    uri : str
        How sidecars name it.
    dilate_vox : int
        By how many voxels of the T1w it grows.

    """

    path: Path
    uri: str
    dilate_vox: int


def init_preprocess_wf(
    *,
    random_seed: int,
    given_mask: GivenMask | None = None,
    name: str = 'preprocess_wf',
) -> pe.Workflow:
    """Build the workflow that readies one T1w image for the network.

    Registration comes before denoising, which is by far the most expensive step and needs to
    know where the brain is.

    Parameters
    ----------
    random_seed : int
        Of the registration.
    given_mask : GivenMask, optional
        Lesions of the T1w. The bias field is not fitted to them, nor are they part of the mean
        of the brain.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w
        T1w image of the dataset.

    Outputs
    -------
    t1w_norm
        T1w on the template grid, in units of the mean of the brain, zero outside it.
    brain_mask
        Brain on the template grid.
    bias_field
        On the template grid; T1w = t1w_norm x bias_field x brain_mean.
    brain_mean
        In the units of the T1w.
    anat2std_xfm, std2anat_xfm
        ITK transforms that bring the T1w to the template, and back.
    skull_stripped
        Whether the T1w shows a brain only.
    facts
        Of each step.
    denoised, given_mask, fill_mask_native
        With `given_mask`, on the grid of the T1w in RAS+ order: T1w, lesions, what to fill.
    fill_mask
        With `given_mask`: what to fill on the template grid.

    """
    workflow = pe.Workflow(name=name)
    workflow.__desc__ = METHODS
    inputnode = pe.Node(IdentityInterface(['t1w']), name='inputnode')
    outputs = [*_OUTPUTS, *(_FILL_OUTPUTS if given_mask else [])]
    outputnode = pe.Node(IdentityInterface(outputs), name='outputnode')

    conform = _node(Conform(), 'conform')
    register = _node(Register(random_seed=random_seed), 'register')
    denoise = _node(Denoise(), 'denoise')
    to_template = _node(ToTemplate(), 'to_template')
    brain_mask = _node(BrainMask(), 'brain_mask')
    bias_field = _node(BiasField(), 'bias_field')
    normalise = _node(Normalise(), 'normalise')
    steps = [conform, register, denoise, to_template, brain_mask, bias_field, normalise]
    if given_mask:
        steps.append(_node(FillRegion(dilate_vox=given_mask.dilate_vox), 'fill_region'))
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
        (register, outputnode, [
            ('anat2std_xfm', 'anat2std_xfm'),
            ('std2anat_xfm', 'std2anat_xfm'),
            ('skull_stripped', 'skull_stripped'),
        ]),
        (brain_mask, outputnode, [('out_file', 'brain_mask')]),
        (bias_field, outputnode, [('out_file', 'bias_field')]),
        (normalise, outputnode, [('out_file', 't1w_norm'), ('brain_mean', 'brain_mean')]),
        (facts, outputnode, [('out', 'facts')]),
        *[(step, facts, [('facts', f'in{i}')]) for i, step in enumerate(steps, start=1)],
    ])  # fmt: skip
    if given_mask:
        _use_mask(workflow, given_mask)
    return workflow


def _use_mask(workflow: pe.Workflow, given_mask: GivenMask) -> None:
    """Connect what reads a lesion mask, or what is known of it."""
    names = ('conform', 'register', 'denoise', 'fill_region', 'outputnode')
    conform, register, denoise, fill_region, outputnode = map(workflow.get_node, names)
    conform.inputs.lesion_mask = str(given_mask.path)
    conform.inputs.lesion_mask_uri = given_mask.uri
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


_FILL_OUTPUTS = ['denoised', 'given_mask', 'fill_mask', 'fill_mask_native']
_OUTPUTS = [
    't1w_norm',
    'brain_mask',
    'bias_field',
    'brain_mean',
    'anat2std_xfm',
    'std2anat_xfm',
    'skull_stripped',
    'facts',
]


def _node(interface: object, name: str) -> pe.Node:
    """Make a node that tells the scheduler what it needs."""
    return pe.Node(interface, name=name, mem_gb=_MEMORY_GB[name])
