"""Resample masks to the source, and measure QC numbers."""

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from bids_inpaint.interfaces.quality import MeasureQuality, ToNative
from bids_inpaint.workflows.choices import Choices
from bids_inpaint.workflows.resources import MEMORY_GB


def init_quality_wf(choices: Choices, *, name: str = 'quality_wf') -> pe.Workflow:
    """Build the workflow that resamples masks to the source and measures QC numbers.

    Parameters
    ----------
    choices : Choices
        Whether there is a lesion map, or a lesion mask.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w, source_sha256, anat2std_xfm, brain_mask
        T1w image of the dataset and what its file was, transform, and brain on the template grid.
    inpainted_native, change_mask_native
        On the grid of the source.
    lesion_mask, lesion_probability
        On the template grid, if they were found.
    lesion_mask_native
        On the grid of the source, with a given lesion mask.
    facts
        Of all steps before.

    Outputs
    -------
    brain_mask_native
        On the grid of the source.
    lesion_mask_native, lesion_probability_native
        The same, if they were found.
    numbers
        QC numbers; flat.

    """
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(_INPUTS), name='inputnode')
    outputnode = pe.Node(IdentityInterface(_OUTPUTS), name='outputnode')
    memory_gb = MEMORY_GB['measure_quality']
    measure_quality = pe.Node(MeasureQuality(), name='measure_quality', mem_gb=memory_gb)
    workflow.connect([
        (inputnode, measure_quality, [
            ('t1w', 'source_file'),
            ('inpainted_native', 'inpainted'),
            ('change_mask_native', 'change_mask'),
            ('anat2std_xfm', 'anat2std_xfm'),
            ('facts', 'facts'),
        ]),
        (measure_quality, outputnode, [('numbers', 'numbers')]),
    ])  # fmt: skip
    kinds = ['brain_mask', *(['lesion_mask'] if choices.maps_lesions else [])]
    for kind in [*kinds, *(['lesion_probability'] if choices.maps_probability else [])]:
        is_mask = kind in kinds
        step, memory_gb = ToNative(binary=is_mask), MEMORY_GB['to_native']
        to_native = pe.Node(step, name=f'{kind}_to_native', mem_gb=memory_gb)
        workflow.connect([
            (inputnode, to_native, [
                (kind, 'in_file'), ('t1w', 'reference'),
                *[(n, n) for n in ('anat2std_xfm', 'source_sha256')],
            ]),
            (to_native, outputnode, [('out_file', f'{kind}_native')]),
        ])  # fmt: skip
        if is_mask:
            workflow.connect(to_native, 'out_file', measure_quality, kind)
    if choices.fills and choices.settings.lesion_map:
        workflow.connect(inputnode, 'lesion_mask_native', measure_quality, 'lesion_mask')
    return workflow


_INPUTS = [
    't1w',
    'source_sha256',
    'anat2std_xfm',
    'brain_mask',
    'inpainted_native',
    'change_mask_native',
    'lesion_mask',
    'lesion_probability',
    'lesion_mask_native',
    'facts',
]
_OUTPUTS = ['numbers', 'brain_mask_native', 'lesion_mask_native', 'lesion_probability_native']
