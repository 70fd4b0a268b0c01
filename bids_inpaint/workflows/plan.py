"""Tell, without running anything, what a run would do."""

from collections.abc import Sequence

from bids_inpaint.bids.scan import Scan
from bids_inpaint.settings import Settings
from bids_inpaint.workflows import execute
from bids_inpaint.workflows.base import network_name


def find_left(settings: Settings, scans: Sequence[Scan]) -> list[Scan]:
    """Leave out those scans that a run with these settings would skip.

    The device is not asked for: a plan is often made where there is none.

    Raises
    ------
    BidsInpaintError
        If a network that the scans need is not to be had: what was made with it is unknown.

    """
    names = set(map(network_name, scans))
    networks = {name: execute.find_network_of(settings, name) for name in names}
    return execute.without_done(settings, scans, networks)
