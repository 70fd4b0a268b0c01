"""Nipype interfaces that write derivatives."""

from filecmp import cmp
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_inpaint.bids.names import KINDS, derivative_path, sidecar_path
from bids_inpaint.bids.scan import Scan, parse_t1w
from bids_inpaint.bids.sidecars import image_sidecar, source_uri
from bids_inpaint.files import copy_image, replacing, write_json
from bids_inpaint.interfaces.base import Facts, source_image


class _SaveDerivativeInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc='file to save')
    source_file = source_image()
    output_dir = traits.Str(mandatory=True, desc='root of the derivative dataset')
    kind = traits.Str(mandatory=True, desc='a key of `bids_inpaint.bids.names.KINDS`')
    space = traits.Str('T1w', usedefault=True, desc='space of its grid')
    extension = traits.Str('.nii.gz', usedefault=True, desc='of images')
    skull_stripped = traits.Bool(True, usedefault=True, desc='zero outside the brain')
    facts = traits.List(traits.Instance(Facts), desc='of each step, for the sidecar')
    metadata = traits.Dict(desc='further fields of the sidecar')
    more_sources = traits.List(traits.Str, desc='BIDS URIs of further sources of an image')


class _SaveDerivativeOutputSpec(TraitedSpec):
    out_file = File(exists=True, desc='saved file')


class SaveDerivative(SimpleInterface):
    """Save an image or a transform under its BIDS name, whole or not at all, with a sidecar."""

    input_spec = _SaveDerivativeInputSpec
    output_spec = _SaveDerivativeOutputSpec
    # A derivative that was removed is written again from the working directory.
    _always_run = True

    def _run_interface(self, runtime: Any) -> Any:
        scan = parse_t1w(Path(self.inputs.source_file))
        kind, root = self.inputs.kind, Path(self.inputs.output_dir)
        path = derivative_path(
            scan, kind, space=self.inputs.space, extension=self.inputs.extension
        )
        with replacing(root / path) as temporary:
            copy_image(Path(self.inputs.in_file), temporary)
            if not ((root / path).is_file() and cmp(temporary, root / path, shallow=False)):
                # Written again after the last file: a scan with files of two runs is not whole.
                # The same again, as by two runs at once, leaves it whole.
                (root / derivative_path(scan, 'qc')).unlink(missing_ok=True)
        write_json(root / sidecar_path(path), self._sidecar(scan))
        self._results['out_file'] = str(root / path)
        return runtime

    def _sidecar(self, scan: Scan) -> dict[str, Any]:
        """Make the sidecar: sources and processing."""
        parameters = {
            **(self.inputs.metadata or {}),
            'Steps': [step.as_dict() for step in self.inputs.facts],
        }
        if not KINDS[self.inputs.kind].spaces:
            return {'Sources': [source_uri(scan)], **parameters}
        return image_sidecar(
            scan,
            self.inputs.kind,
            space=self.inputs.space,
            sources=[source_uri(scan), *(self.inputs.more_sources or [])],
            skull_stripped=self.inputs.skull_stripped,
            parameters=parameters,
        )


class _SaveQualityInputSpec(BaseInterfaceInputSpec):
    numbers = traits.Dict(mandatory=True, desc='flat, of numbers and text')
    source_file = source_image()
    output_dir = traits.Str(mandatory=True, desc='root of the derivative dataset')
    saved = traits.List(traits.Str, desc='other files of the scan, which must exist before')


class SaveQuality(SimpleInterface):
    """Save the QC numbers of a scan as JSON."""

    input_spec = _SaveQualityInputSpec
    output_spec = _SaveDerivativeOutputSpec
    _always_run = True

    def _run_interface(self, runtime: Any) -> Any:
        scan = parse_t1w(Path(self.inputs.source_file))
        path = Path(self.inputs.output_dir) / derivative_path(scan, 'qc')
        self._results['out_file'] = str(write_json(path, self.inputs.numbers))
        return runtime
