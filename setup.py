"""What pyproject.toml cannot say: the networks of `models/` are package data of the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['bids_inpaint*']), 'bids_inpaint.models'],
    package_dir={'bids_inpaint.models': 'models'},
    package_data={'bids_inpaint.models': ['*/weights.npz', '*/card.json']},
)
