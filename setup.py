"""Package data that pyproject.toml cannot express: networks, and assets of reports."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['bids_inpaint*']), 'bids_inpaint.models'],
    package_dir={'bids_inpaint.models': 'models'},
    package_data={
        'bids_inpaint.models': [
            f'{name}/{file}'
            for name in ('blind', 'nonblind')
            for file in ('weights.npz', 'card.json')
        ],
        'bids_inpaint.reports': ['assets/*', 'assets/*/*'],
    },
)
