"""Save the results of the other workflows under their BIDS names."""

from typing import Any

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.bids.names import KINDS, NATIVE_SPACE
from bids_inpaint.bids.provenance import generated_by
from bids_inpaint.interfaces.derivatives import SaveDerivative, SaveQuality
from bids_inpaint.interfaces.quality import Gate
from bids_inpaint.workflows.choices import Choices
from bids_inpaint.workflows.resources import MEMORY_GB

_METADATA: dict[str, dict[str, Any]] = {
    'brain_mask': {'Type': 'Brain'},
    'lesion_mask': {'Type': 'Lesion'},
    'change_mask': {'Type': 'ROI'},
    'difference': {'Units': 'mean intensity of the brain'},
    'preproc': {'Units': 'mean intensity of the brain'},
    'bias_field': {
        'Units': '1',
        'Resolution': 'About 4 mm, from the first to the last voxel of the template grid',
    },
    'anat2std_xfm': {'Description': 'Affine transform (ITK) that brings the T1w to the template'},
    'std2anat_xfm': {'Description': 'Affine transform (ITK) that brings the template to the T1w'},
}


def field_name(kind: str, space: str) -> str:
    """Input of `init_derivatives_wf` for a kind of derivative in a space."""
    return f'{kind}_native' if space == NATIVE_SPACE and KINDS[kind].spaces else kind


def init_derivatives_wf(choices: Choices, *, name: str = 'derivatives_wf') -> pe.Workflow:
    """Build the workflow that saves the derivatives of one T1w image.

    Parameters
    ----------
    choices : Choices
        Which files are written, and where.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    source_file
        T1w image of the dataset.
    skull_stripped
        Whether it is brain-extracted.
    facts
        Of each step, for the sidecars.
    numbers
        QC numbers.
    <kind>, <kind>_native
        A file for each kind of `choices.written`, on the template grid and on that of the source.

    """
    output_dir = str(choices.settings.output_dir)
    made = generated_by(choices.parameters)
    written = {field_name(kind, space): (kind, space) for kind, space in choices.written}
    del written['qc']
    inputs = ['source_file', 'skull_stripped', 'facts', 'numbers', *written]
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(inputs), name='inputnode')
    saved = pe.Node(Merge(len(written)), name='saved', run_without_submitting=True)
    for number, (field, (kind, space)) in enumerate(written.items(), start=1):
        save = SaveDerivative(
            kind=kind,
            space=space,
            output_dir=output_dir,
            extension=choices.extension,
            metadata={**_METADATA.get(kind, {}), 'GeneratedBy': [made]},
            more_sources=[choices.lesion_mask_uri] if choices.fills else [],
        )
        sink = pe.Node(save, name=f'ds_{field}', mem_gb=MEMORY_GB['save'])
        workflow.connect([
            (inputnode, sink, [
                ('source_file', 'source_file'), ('facts', 'facts'), (field, 'in_file'),
            ]),
            (sink, saved, [('out_file', f'in{number}')]),
        ])  # fmt: skip
        if field == 'inpainted_native':
            workflow.connect(inputnode, 'skull_stripped', sink, 'skull_stripped')
    ds_qc = pe.Node(SaveQuality(output_dir=output_dir), name='ds_qc', run_without_submitting=True)
    workflow.connect([
        (inputnode, ds_qc, [('source_file', 'source_file'), ('numbers', 'numbers')]),
        (saved, ds_qc, [('out', 'saved')]),  # last: it marks a scan that is whole
    ])  # fmt: skip
    if choices.settings.fail_on_qc:
        gate = pe.Node(Gate(), name='gate', run_without_submitting=True)
        workflow.connect([
            (inputnode, gate, [('numbers', 'numbers')]),
            (ds_qc, gate, [('out_file', 'saved')]),
        ])  # fmt: skip
    return workflow
