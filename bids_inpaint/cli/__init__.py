"""The command line: arguments in, exit status out."""

from bids_inpaint.cli.app import main

__all__ = ['main']
