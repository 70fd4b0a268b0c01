"""Remove lesions from T1-weighted images of a BIDS dataset."""

__version__ = '0.1.0'
