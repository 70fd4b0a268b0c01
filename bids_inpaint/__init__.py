"""Fill white-matter lesions in T1-weighted images of a BIDS dataset."""

__version__ = '0.3.0'
