"""Scans with any entities, for property tests."""

from pathlib import Path

from hypothesis import strategies as st

from bids_inpaint.bids.scan import ENTITIES, Scan, parse_t1w

LABELS = st.text('abcXYZ0123456789+', min_size=1, max_size=5)
OPTIONAL_KEYS = [key for key in ENTITIES if key not in {'sub', 'tpl'}]


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    """One T1w image with some of all entities of BIDS, in their order."""
    keys = draw(st.sets(st.sampled_from(OPTIONAL_KEYS), max_size=6))
    entities = [(key, draw(LABELS)) for key in ENTITIES if key == 'sub' or key in keys]
    stem = '_'.join(f'{key}-{value}' for key, value in entities)
    folders = [f'{key}-{value}' for key, value in entities if key in {'sub', 'ses'}]
    extension = draw(st.sampled_from(['.nii', '.nii.gz']))
    return parse_t1w(Path('/data', *folders, 'anat', f'{stem}_T1w{extension}'))


def entities_of(name: str) -> list[tuple[str, str]]:
    """Keys and values of a name, read as simply as can be."""
    parts = name.split('.')[0].split('_')[:-1]
    return [tuple(part.split('-')) for part in parts]
