"""From a preprocessed T1w image to the inpainted source."""

from dataclasses import dataclass
from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_inpaint.interfaces.change import AddChange, Composite, MapLesions, MaskToNative
from bids_inpaint.interfaces.fill import AddFill
from bids_inpaint.interfaces.network import Inpaint
from bids_inpaint.interfaces.quality import MeasureQuality

METHODS = (
    'A 3-D U-Net (Manjon et al. 2020) predicted the lesion-free image without a lesion mask. '
    'Where its change was large, and there only, the change was scaled back to the intensities of '
    'the source, resampled to its grid and added to it.'
)
METHODS_FILL = (
    'The voxels of a given lesion mask were hidden from a 3-D U-Net (Manjon et al. 2020), which '
    'predicted them from all others. The prediction was scaled back to the intensities of the '
    'source, resampled to its grid, and put in place of the lesions, with the noise of the source.'
)


@dataclass(frozen=True, kw_only=True)
class InpaintOptions:
    """What the steps from the network on are told.

    Attributes
    ----------
    model : Path
        Folder of weights and card.
    sha256 : str
        Of the weights.
    device : str
        'auto', 'cpu' or 'gpu'.
    use_gpu : bool
        Whether nipype shall queue the network with others that need the GPU.
    omp_nthreads : int
        Threads of one step.
    flip_averaging : bool
        Whether the network sees the mirrored volume, too.
    edge_threshold, core_threshold : float
        Of a change, in units of the mean of the brain.
    lesion_threshold : float
        Of a lesion, in the same units.
    min_lesion_size_mm3 : float
        Volume of the smallest lesion.
    fill : bool
        Whether a given lesion mask is filled; then no threshold matters.

    """

    model: Path
    sha256: str
    device: str
    use_gpu: bool
    omp_nthreads: int
    flip_averaging: bool
    edge_threshold: float
    core_threshold: float
    lesion_threshold: float
    min_lesion_size_mm3: float
    fill: bool = False


def init_inpaint_wf(options: InpaintOptions, *, name: str = 'inpaint_wf') -> pe.Workflow:
    """Build the workflow that inpaints one T1w image and brings the change to its source.

    Parameters
    ----------
    options : InpaintOptions
        Network, device and thresholds.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w
        T1w image of the dataset.
    t1w_norm, brain_mask, bias_field, brain_mean, anat2std_xfm
        Of `init_preprocess_wf`.
    denoised, given_mask, fill_mask, fill_mask_native
        Of the same, with `options.fill`.

    Outputs
    -------
    inpainted, difference, change_mask
        On the template grid; the first two in units of the mean of the brain.
    inpainted_native
        The source with the change added, in its units and type.
    difference_native, change_mask_native
        On the grid of the source.
    facts
        Of each step.
    lesion_mask, lesion_mask_native
        With `options.fill`: lesions that were filled, on both grids.

    """
    workflow = pe.Workflow(name=name)
    workflow.__desc__ = METHODS_FILL if options.fill else METHODS
    inputs = [*_INPUTS, *(_FILL_INPUTS if options.fill else [])]
    inputnode = pe.Node(IdentityInterface(inputs), name='inputnode')
    outputs = [*_OUTPUTS, *(_LESIONS if options.fill else [])]
    outputnode = pe.Node(IdentityInterface(outputs), name='outputnode')

    network = pe.Node(
        Inpaint(
            model=str(options.model),
            sha256=options.sha256,
            device=options.device,
            use_gpu=options.use_gpu,
            num_threads=options.omp_nthreads,
            flip_averaging=options.flip_averaging,
        ),
        name='network',
        n_procs=options.omp_nthreads,
        mem_gb=2.0,
    )
    composite = pe.Node(
        Composite(edge_threshold=options.edge_threshold, core_threshold=options.core_threshold),
        name='composite',
        mem_gb=1.0,
    )
    back = AddFill() if options.fill else AddChange()
    add_change = pe.Node(back, name='add_change', mem_gb=1.0)
    facts = pe.Node(Merge(3), name='facts', run_without_submitting=True)

    workflow.connect([
        (inputnode, network, [('t1w_norm', 'in_file'), ('brain_mask', 'brain_mask')]),
        (inputnode, composite, [
            (n, n) for n in ('t1w_norm', 'brain_mask', 'bias_field', 'brain_mean')
        ]),
        (network, composite, [('out_file', 'in_file')]),
        (inputnode, add_change, [('t1w', 'in_file'), ('anat2std_xfm', 'anat2std_xfm')]),
        (composite, add_change, [('weights', 'weights')]),
        (composite, outputnode, [
            ('out_file', 'inpainted'),
            ('difference', 'difference'),
            ('change_mask', 'change_mask'),
        ]),
        (add_change, outputnode, [
            ('out_file', 'inpainted_native'),
            ('difference', 'difference_native'),
            ('change_mask', 'change_mask_native'),
        ]),
        (network, facts, [('facts', 'in1')]),
        (composite, facts, [('facts', 'in2')]),
        (add_change, facts, [('facts', 'in3')]),
        (facts, outputnode, [('out', 'facts')]),
    ])  # fmt: skip
    if not options.fill:
        workflow.connect([
            (composite, add_change, [('change', 'change'), ('difference', 'difference')]),
        ])  # fmt: skip
    else:
        _fill_given_mask(workflow)
    return workflow


def _fill_given_mask(workflow: pe.Workflow) -> None:
    """Connect what only the filling of a mask needs."""
    names = ('inputnode', 'network', 'composite', 'add_change', 'outputnode')
    inputnode, network, composite, add_change, outputnode = map(workflow.get_node, names)
    workflow.connect([
        (inputnode, network, [('fill_mask', 'fill_mask')]),
        (inputnode, composite, [('fill_mask', 'fill_mask')]),
        (composite, add_change, [('out_file', 'inpainted')]),
        (inputnode, add_change, [
            ('denoised', 'denoised'),
            ('bias_field', 'bias_field'),
            ('brain_mean', 'brain_mean'),
            ('given_mask', 'lesion_mask'),
            ('fill_mask_native', 'fill_mask'),
        ]),
        (add_change, outputnode, [(n, n) for n in _LESIONS]),
    ])  # fmt: skip


_FILL_INPUTS = ['denoised', 'given_mask', 'fill_mask', 'fill_mask_native']
_LESIONS = ['lesion_mask', 'lesion_mask_native']
_INPUTS = ['t1w', 't1w_norm', 'brain_mask', 'bias_field', 'brain_mean', 'anat2std_xfm']
_OUTPUTS = [
    'inpainted',
    'difference',
    'change_mask',
    'inpainted_native',
    'difference_native',
    'change_mask_native',
    'facts',
]


def init_quality_wf(
    options: InpaintOptions, *, lesion_map: bool, name: str = 'quality_wf'
) -> pe.Workflow:
    """Build the workflow that maps lesions and measures QC numbers.

    Parameters
    ----------
    options : InpaintOptions
        Thresholds.
    lesion_map : bool
        Whether lesions are mapped.
    name : str
        Name of the workflow, and of its folder in the working directory.

    Inputs
    ------
    t1w, anat2std_xfm, brain_mask
        T1w image of the dataset, transform, and brain on the template grid.
    inpainted, difference
        On the template grid.
    inpainted_native, change_mask_native
        On the grid of the source.
    lesion_mask_native
        The same, with `options.fill`, where it is given and not found.
    facts
        Of all steps before.

    Outputs
    -------
    brain_mask_native
        On the grid of the source.
    lesion_mask, lesion_mask_native
        On the template grid, and that of the source; with `lesion_map`, if they are to be found.
    numbers
        QC numbers; flat.
    facts
        Of all steps, also that which finds lesions.

    """
    workflow = pe.Workflow(name=name)
    given = ['lesion_mask_native'] if lesion_map and options.fill else []
    found = _LESIONS if lesion_map and not options.fill else []
    inputnode = pe.Node(IdentityInterface([*_QUALITY_INPUTS, *given]), name='inputnode')
    outputnode = pe.Node(IdentityInterface([*_QUALITY_OUTPUTS, *found]), name='outputnode')
    brain_to_native = pe.Node(MaskToNative(), name='brain_to_native', mem_gb=0.6)
    measure = pe.Node(MeasureQuality(), name='measure', mem_gb=1.0)
    workflow.connect([
        (inputnode, brain_to_native, [
            ('brain_mask', 'in_file'), ('t1w', 'reference'), ('anat2std_xfm', 'anat2std_xfm'),
        ]),
        (inputnode, measure, [
            ('t1w', 'source_file'),
            ('inpainted_native', 'inpainted'),
            ('change_mask_native', 'change_mask'),
            ('anat2std_xfm', 'anat2std_xfm'),
            ('facts', 'facts'),
        ]),
        (brain_to_native, measure, [('out_file', 'brain_mask')]),
        (brain_to_native, outputnode, [('out_file', 'brain_mask_native')]),
        (measure, outputnode, [('numbers', 'numbers')]),
    ])  # fmt: skip
    if given:
        workflow.connect(inputnode, 'lesion_mask_native', measure, 'lesion_mask')
    if not found:
        workflow.connect(inputnode, 'facts', outputnode, 'facts')
        return workflow
    find_lesions = pe.Node(
        MapLesions(threshold=options.lesion_threshold, min_size_mm3=options.min_lesion_size_mm3),
        name='find_lesions',
        mem_gb=0.8,
    )
    lesions_to_native = pe.Node(MaskToNative(), name='lesions_to_native', mem_gb=0.6)
    facts = pe.Node(Merge(2), name='facts', run_without_submitting=True)
    workflow.connect([
        (inputnode, facts, [('facts', 'in1')]),
        (find_lesions, facts, [('facts', 'in2')]),
        (facts, outputnode, [('out', 'facts')]),
        (inputnode, find_lesions, [
            ('inpainted', 'in_file'), ('difference', 'difference'), ('brain_mask', 'brain_mask'),
        ]),
        (find_lesions, lesions_to_native, [('out_file', 'in_file')]),
        (inputnode, lesions_to_native, [('t1w', 'reference'), ('anat2std_xfm', 'anat2std_xfm')]),
        (lesions_to_native, measure, [('out_file', 'lesion_mask')]),
        (find_lesions, outputnode, [('out_file', 'lesion_mask')]),
        (lesions_to_native, outputnode, [('out_file', 'lesion_mask_native')]),
    ])  # fmt: skip
    return workflow


_QUALITY_INPUTS = [
    't1w',
    'anat2std_xfm',
    'brain_mask',
    'inpainted',
    'difference',
    'inpainted_native',
    'change_mask_native',
    'facts',
]
_QUALITY_OUTPUTS = ['brain_mask_native', 'numbers', 'facts']
