#!/usr/bin/env python
"""Entry point of the container, the same program as the console script `bids_inpaint`."""

import sys

from bids_inpaint.cli import main

if __name__ == '__main__':
    sys.exit(main())
