"""`python -m bids_inpaint`."""

import sys

from bids_inpaint.cli import main

if __name__ == '__main__':
    sys.exit(main())
