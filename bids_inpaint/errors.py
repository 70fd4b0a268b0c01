"""Errors that the user can fix, and the end of a run."""

from collections.abc import Iterable


class BidsInpaintError(Exception):
    """An error that the user can fix; shown as one message without a traceback."""


class Terminated(BaseException):
    """The process got SIGTERM; no `except Exception` may catch that."""


def first_of(items: Iterable[str], *, at_most: int = 20) -> str:
    """Join the first items for a message, with the number of others.

    Examples
    --------
    >>> first_of(['01', '02', '03'], at_most=2)
    '01, 02 and 1 more'

    """
    listed = list(items)
    more = len(listed) - at_most
    return ', '.join(listed[:at_most]) + (f' and {more} more' if more > 0 else '')
