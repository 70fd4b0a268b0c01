"""The one error that a user can mend."""


class BidsInpaintError(Exception):
    """What the user can put right; shown as one message without a traceback."""
