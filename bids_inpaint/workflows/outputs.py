"""Save what the other workflows computed; they know nothing of names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from bids_inpaint.bids.names import KINDS, NATIVE_SPACE
from bids_inpaint.interfaces.bids import SaveDerivative, SaveQuality
from bids_inpaint.interfaces.quality import Gate

_METADATA: dict[str, dict[str, Any]] = {
    'brain_mask': {'Type': 'Brain'},
    'lesion_mask': {'Type': 'Lesion'},
    'change_mask': {'Type': 'ROI'},
    'difference': {'Units': 'mean intensity of the brain'},
    'preproc': {'Units': 'mean intensity of the brain'},
    'bias_field': {'Units': '1'},
    'anat2std_xfm': {'Description': 'Affine transform (ITK) that brings the T1w to the template'},
    'std2anat_xfm': {'Description': 'Affine transform (ITK) that brings the template to the T1w'},
}


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written, and where.

    Attributes
    ----------
    output_dir : Path
        Root of the derivative dataset.
    output_spaces : sequence of str
        Spaces in which images are wanted.
    uncompressed : bool
        Whether images are `.nii`.
    lesion_map : bool
        Whether there is a lesion mask.
    fail_on_qc : bool
        Whether QC numbers out of their limits are an error.
    more_sources : sequence of str
        BIDS URIs of what images are made from besides the T1w.
    generated_by : sequence of dict
        Program, version, container and parameters, for every sidecar.

    """

    output_dir: Path
    output_spaces: Sequence[str]
    uncompressed: bool
    lesion_map: bool
    fail_on_qc: bool
    more_sources: Sequence[str] = ()
    generated_by: Sequence[Mapping[str, Any]] = ()


def field_name(kind: str, space: str) -> str:
    """Input of `init_derivatives_wf` for a kind of derivative in a space."""
    return f'{kind}_native' if space == NATIVE_SPACE and KINDS[kind].spaces else kind


def init_derivatives_wf(options: OutputOptions, *, name: str = 'derivatives_wf') -> pe.Workflow:
    """Build the workflow that saves the derivatives of one T1w image.

    Parameters
    ----------
    options : OutputOptions
        What is written, and where.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    source_file
        T1w image of the dataset.
    skull_stripped
        Whether it shows a brain only.
    facts
        Of each step, for the sidecars.
    numbers
        QC numbers.
    <kind>, <kind>_native
        A file for each kind of `bids_inpaint.bids.names.KINDS`, on the template grid and on that
        of the source.

    """
    wanted = _wanted(options)
    fields = sorted({field_name(kind, space) for kind, space in wanted})
    inputs = ['source_file', 'skull_stripped', 'facts', 'numbers', *fields]
    workflow = pe.Workflow(name=name)
    inputnode = pe.Node(IdentityInterface(inputs), name='inputnode')
    for kind, space in wanted:
        field = field_name(kind, space)
        sink = _sink(kind, space, options)
        workflow.connect([
            (inputnode, sink, [
                ('source_file', 'source_file'), ('facts', 'facts'), (field, 'in_file'),
            ]),
        ])  # fmt: skip
        if field == 'inpainted_native':
            workflow.connect(inputnode, 'skull_stripped', sink, 'skull_stripped')
    ds_qc = pe.Node(
        SaveQuality(output_dir=str(options.output_dir)), name='ds_qc', run_without_submitting=True
    )
    workflow.connect([
        (inputnode, ds_qc, [('source_file', 'source_file'), ('numbers', 'numbers')]),
    ])  # fmt: skip
    if options.fail_on_qc:
        gate = pe.Node(Gate(), name='gate', run_without_submitting=True)
        workflow.connect([
            (inputnode, gate, [('numbers', 'numbers')]),
            (ds_qc, gate, [('out_file', 'saved')]),
        ])  # fmt: skip
    return workflow


def _wanted(options: OutputOptions) -> list[tuple[str, str]]:
    """Kinds and spaces of the files to save; QC apart."""
    pairs = []
    for kind, what in KINDS.items():
        if kind == 'qc' or (kind == 'lesion_mask' and not options.lesion_map):
            continue
        spaces = [space for space in what.spaces if space in options.output_spaces]
        pairs += [(kind, space) for space in (spaces if what.spaces else [NATIVE_SPACE])]
    return pairs


def _sink(kind: str, space: str, options: OutputOptions) -> pe.Node:
    """Make the node that saves one file."""
    return pe.Node(
        SaveDerivative(
            kind=kind,
            space=space,
            output_dir=str(options.output_dir),
            extension='.nii' if options.uncompressed else '.nii.gz',
            metadata={**_METADATA.get(kind, {}), 'GeneratedBy': list(options.generated_by)},
            more_sources=list(options.more_sources),
        ),
        name=f'ds_{field_name(kind, space)}',
        mem_gb=0.2,
    )
