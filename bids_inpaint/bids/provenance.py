"""Provenance of a file, as sidecars tell it."""

from collections.abc import Mapping
from typing import Any

from bids_inpaint import __version__
from bids_inpaint.bids.container import container_facts

PIPELINE = 'bids_inpaint'


def generated_by(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Describe program, container and parameters of a file, as `GeneratedBy`."""
    container = container_facts()
    return {
        'Name': PIPELINE,
        'Version': __version__,
        **({'Container': container} if container else {}),
        **({'Parameters': dict(parameters)} if parameters else {}),
    }
