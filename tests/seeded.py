"""Faults drawn at random: FAULTS says how many of a kind (4), FAULTS_SEED which."""

import os
import random
import uuid

COUNT = int(os.environ.get('FAULTS', '4'))
# The same in all workers of pytest-xdist.
_RUN = os.environ.get('PYTEST_XDIST_TESTRUNUID', uuid.uuid4().hex)
SEED = int(os.environ.get('FAULTS_SEED', int(_RUN[:8], 16) % 10_000))


def drawn(what: str) -> random.Random:
    """Generator for one fault; the same for the same seed."""
    return random.Random(f'{SEED} {what}')  # noqa: S311 - no secret
