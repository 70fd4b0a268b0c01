"""Whether the program runs in a container, and which."""

import os
from collections.abc import Mapping
from pathlib import Path

TAG_VARIABLE = 'BIDS_INPAINT_CONTAINER_TAG'  # set when the image is built
_APPTAINER_VARIABLES = ('APPTAINER_CONTAINER', 'SINGULARITY_CONTAINER')
# Option that mounts a folder of the host, by type of container.
MOUNT_OPTIONS = {'docker': '-v', 'podman': '-v', 'singularity': '-B'}


def container_type(root: Path = Path('/'), environ: Mapping[str, str] = os.environ) -> str | None:
    """Type of the container around this process, or None.

    Parameters
    ----------
    root : Path
        Root of the file system.
    environ : mapping of str to str
        Environment variables.

    Returns
    -------
    type : str or None
        A key of `MOUNT_OPTIONS`. Apptainer has its older name, as in BIDS.

    """
    # Apptainer first: an image made for Docker keeps Docker's marks in Apptainer.
    if (root / '.singularity.d').exists() or any(name in environ for name in _APPTAINER_VARIABLES):
        return 'singularity'
    if (root / '.dockerenv').exists():
        return 'docker'
    # With --read-only, podman mounts an empty /run over its mark, but sets the variable.
    if (root / 'run/.containerenv').exists() or environ.get('container') == 'podman':
        return 'podman'
    return None


def container_facts(
    root: Path = Path('/'), environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Type and tag of the container, for `Container` in `GeneratedBy`; empty outside of one."""
    facts = {'Type': container_type(root, environ), 'Tag': environ.get(TAG_VARIABLE)}
    return {key: value for key, value in facts.items() if value}
