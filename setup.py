"""What pyproject.toml cannot say: networks, and what reports are made of, are package data."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['bids_inpaint*']), 'bids_inpaint.models'],
    package_dir={'bids_inpaint.models': 'models'},
    package_data={
        'bids_inpaint.models': ['*/weights.npz', '*/card.json'],
        'bids_inpaint.reports': ['assets/*', 'assets/*/*'],
    },
)
