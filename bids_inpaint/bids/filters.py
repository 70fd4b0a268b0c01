"""The filter file: selection of T1w images by the entities of their names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bids_inpaint.bids.scan import ENTITIES, Scan
from bids_inpaint.errors import BidsInpaintError
from bids_inpaint.files import read_object

GROUP = 't1w'  # fMRIPrep's name of the group of filters for T1w images

# Names in a filter, and the keys they refer to: long and short names of entities, two names of
# pybids, and other parts of a file name.
_KEYS = {
    **{key: key for key in ENTITIES},
    **{long: key for key, long in ENTITIES.items()},
    'staining': 'stain',
    'proc': 'proc',
    'datatype': 'datatype',
    'suffix': 'suffix',
    'extension': 'extension',
}
# The enumeration of pybids as text, in both forms of Python; fMRIPrep accepts both.
_QUERY = re.compile(r'<?Query\.(\w+)(?:: \d+>)?')
_QUERIES = {'NONE': 'NONE', 'ANY': 'ANY', 'REQUIRED': 'ANY', 'OPTIONAL': 'OPTIONAL'}


def read_filters(path: Path) -> dict[str, Any]:
    """Read the filters for T1w images from a filter file as of fMRIPrep.

    `{"t1w": {"acquisition": "mprage", "run": [1, 2], "reconstruction": null}}`: each entity has
    the value, or one of the values, that the name must have. Null or "Query.NONE" stands for an
    entity that must be absent, "*" or "Query.ANY" for one that must be present with any value,
    "Query.OPTIONAL" for any or none. Groups other than "t1w" are ignored.

    Parameters
    ----------
    path : Path
        A JSON file.

    Returns
    -------
    filters : dict
        Of the group "t1w", as written.

    Raises
    ------
    BidsInpaintError
        If the file cannot be read, is not JSON, or has another form.

    """
    try:
        groups = read_object(path)
    except ValueError as error:
        msg = (
            f'filter file {path} must be a readable JSON file, {{"{GROUP}": {{"<entity>": '
            f'<value>}}}}: {error}'
        )
        raise BidsInpaintError(msg) from error
    if not isinstance(groups.get(GROUP), dict):
        msg = (
            f'filter file {path} must be {{"{GROUP}": {{"<entity>": <value>}}}}, has '
            f'{sorted(groups)}'
        )
        raise BidsInpaintError(msg)
    filters: dict[str, Any] = groups[GROUP]
    check_filters(filters)
    return filters


def check_filters(filters: Mapping[str, Any]) -> None:
    """Refuse unknown entities, and values that cannot match.

    Raises
    ------
    BidsInpaintError
        If a name is not an entity, or a value is neither null, text, a number nor a list.

    """
    for entity, wanted in filters.items():
        if entity not in _KEYS:
            known = ', '.join([*ENTITIES.values(), 'datatype', 'suffix', 'extension'])
            msg = f'filter names {entity!r}, which is not a BIDS entity; entities are: {known}'
            raise BidsInpaintError(msg)
        if not all(_is_usable(value) for value in _listed(wanted)):
            msg = (
                f'filter for {entity!r} must be null, text, a number, "*", Query.NONE, Query.ANY, '
                f'Query.OPTIONAL or a list of these, is {wanted!r}'
            )
            raise BidsInpaintError(msg)


def matches(scan: Scan, filters: Mapping[str, Any]) -> bool:
    """Whether the name of a scan matches every filter."""
    found = {
        **dict(scan.entities),
        'datatype': 'anat',
        'suffix': 'T1w',
        'extension': scan.extension,
    }
    return all(
        any(_is(found.get(_KEYS[entity]), value, _KEYS[entity]) for value in _listed(wanted))
        for entity, wanted in filters.items()
    )


def filter_for(scan: Scan, others: Iterable[Scan]) -> dict[str, str | None]:
    """Make a filter that a scan matches and other scans do not."""
    own = dict(scan.entities)
    absent = {key for other in others for key, _ in other.entities if key not in own}
    return {
        **{ENTITIES[key]: value for key, value in own.items() if key in ENTITIES},
        **{ENTITIES[key]: None for key in sorted(absent) if key in ENTITIES},
        'extension': scan.extension,
    }


def asks_for(filters: Mapping[str, Any], key: str) -> bool:
    """Whether filters name an entity, given by its short name."""
    return any(_KEYS[entity] == key for entity in filters)


def _listed(wanted: Any) -> list[Any]:
    """Wrap a single value in a list."""
    return wanted if isinstance(wanted, list) else [wanted]


def _is_usable(value: Any) -> bool:
    """Whether a single value of a filter is valid."""
    query = _QUERY.fullmatch(str(value))
    if query:
        return query[1] in _QUERIES
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _is(found: str | None, wanted: Any, key: str) -> bool:
    """Compare the value of an entity, None if absent, with a value of a filter."""
    if wanted is None:
        return found is None
    text = str(wanted)
    query = _QUERY.fullmatch(text)
    kind = _QUERIES[query[1]] if query else 'ANY' if text == '*' else ''
    if kind:
        return kind == 'OPTIONAL' or (found is None) == (kind == 'NONE')
    if found is None:
        return False
    text = f'.{text.lstrip(".")}' if key == 'extension' else text.removeprefix(f'{key}-')
    # Run 1 is run 01: padding of indices is ignored. Labels are compared as text.
    # Not by `int`, which takes neither all that is called a digit, nor thousands of them.
    if key in {'run', 'echo', 'flip', 'inv', 'chunk', 'split'} and text.isdigit():
        return found.isdigit() and found.lstrip('0') == text.lstrip('0')
    return found == text
