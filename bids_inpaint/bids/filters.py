"""The filter file: which T1w images a user wants, by the entities of their names."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_inpaint.bids.scan import ENTITIES, Scan
from bids_inpaint.errors import BidsInpaintError

GROUP = 't1w'  # fMRIPrep's name for the group of filters that is for T1w images

# What a filter may name, and the key it is looked up by: long and short names of entities, two
# names of pybids' own, and what a name has besides entities.
_KEYS = {
    **{key: key for key in ENTITIES},
    **{long: key for key, long in ENTITIES.items()},
    'staining': 'stain',
    'proc': 'proc',
    'datatype': 'datatype',
    'suffix': 'suffix',
    'extension': 'extension',
}
# pybids' enumeration as text, in the two ways Python writes it; fMRIPrep takes both.
_QUERY = re.compile(r'<?Query\.(\w+)(?:: \d+>)?')
_QUERIES = {'NONE': 'NONE', 'ANY': 'ANY', 'REQUIRED': 'ANY', 'OPTIONAL': 'OPTIONAL'}


def read_filters(path: Path) -> dict[str, Any]:
    """Read the filters for T1w images from a file in the manner of fMRIPrep.

    `{"t1w": {"acquisition": "mprage", "run": [1, 2], "reconstruction": null}}`: each entity has
    the value, or one of the values, that the name must have. Null or "Query.NONE" stands for an
    entity that must be absent, "*" or "Query.ANY" for one that must be present with any value,
    "Query.OPTIONAL" for one that does not matter. Groups other than "t1w" are passed over.

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
        If the file cannot be read, is not JSON, or is not of that form.

    """
    try:
        groups = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        msg = f'filter file {path} must be a readable JSON file: {error}'
        raise BidsInpaintError(msg) from error
    if not isinstance(groups, dict) or not isinstance(groups.get(GROUP), dict):
        found = sorted(groups) if isinstance(groups, dict) else type(groups).__name__
        msg = f'filter file {path} must hold {{"{GROUP}": {{"<entity>": <value>}}}}, holds {found}'
        raise BidsInpaintError(msg)
    filters: dict[str, Any] = groups[GROUP]
    check_filters(filters)
    return filters


def check_filters(filters: Mapping[str, Any]) -> None:
    """Refuse entities and values that could never select anything.

    Raises
    ------
    BidsInpaintError
        If a name is not an entity, or a value is neither null, text, a number nor a list.

    """
    for entity, wanted in filters.items():
        if entity not in _KEYS:
            known = ', '.join([*ENTITIES.values(), 'datatype', 'suffix', 'extension'])
            msg = f'filter names {entity!r}, which is no entity of BIDS; entities are: {known}'
            raise BidsInpaintError(msg)
        if not all(_is_usable(value) for value in _listed(wanted)):
            msg = (
                f'filter for {entity!r} must be null, text, a number, "*", Query.NONE, Query.ANY, '
                f'Query.OPTIONAL or a list of these, is {wanted!r}'
            )
            raise BidsInpaintError(msg)


def matches(scan: Scan, filters: Mapping[str, Any]) -> bool:
    """Tell whether the name of a scan is what every filter wants."""
    extension = scan.t1w.name.removeprefix(f'{scan.name}_T1w')
    found = {
        **dict(scan.entities),
        'datatype': 'anat',
        'suffix': 'T1w',
        'extension': extension,
    }
    return all(
        any(_is(found.get(_KEYS[entity]), value, _KEYS[entity]) for value in _listed(wanted))
        for entity, wanted in filters.items()
    )


def asks_for(filters: Mapping[str, Any], key: str) -> bool:
    """Tell whether filters say anything of an entity, given by its short name."""
    return any(_KEYS[entity] == key for entity in filters)


def _listed(wanted: Any) -> list[Any]:
    """One value as a list of one."""
    return wanted if isinstance(wanted, list) else [wanted]


def _is_usable(value: Any) -> bool:
    """Tell whether a single value of a filter has a meaning."""
    query = _QUERY.fullmatch(str(value))
    if query:
        return query[1] in _QUERIES
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _is(found: str | None, wanted: Any, key: str) -> bool:
    """Compare the value of an entity, None if absent, with one that a filter wants."""
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
    # Run 1 is run 01: indices count, their padding does not. Labels are compared as they are.
    if key in {'run', 'echo', 'flip', 'inv', 'chunk', 'split'} and text.isdigit():
        return found.isdigit() and int(found) == int(text)
    return found == text
