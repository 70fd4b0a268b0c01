"""The error that a user can mend, and the end of a run."""


class BidsInpaintError(Exception):
    """What the user can put right; shown as one message without a traceback."""


class Terminated(BaseException):
    """The process was asked to end, by SIGTERM; no `except Exception` is to stop that."""
