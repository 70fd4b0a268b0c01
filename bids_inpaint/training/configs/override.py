"""Change single choices of a config from the command line."""

import ast
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar('T')


def override(config: T, assignment: str) -> T:
    """Return a config with one choice replaced.

    Parameters
    ----------
    config : dataclass
        Whose choices may be dataclasses themselves.
    assignment : str
        `name=value`, or `outer.name=value`: `architecture.filters=40`; those of a tuple by
        their number: `stages.0.until=500`. The value is a Python literal of the type that it
        replaces, or a text without quotes.

    Raises
    ------
    ValueError
        If there is no such choice, or the value is of another type.

    """
    name, sign, text = assignment.partition('=')
    if not sign:
        msg = f'{assignment!r}: must be NAME=VALUE'
        raise ValueError(msg)
    replaced: T = _replace(config, name.split('.'), _literal(text), assignment)
    return replaced


def _replace(config: Any, path: list[str], value: Any, assignment: str) -> Any:
    first, *rest = path
    if isinstance(config, tuple) and first.isdecimal() and int(first) < len(config) and rest:
        number = int(first)
        replaced = _replace(config[number], rest, value, assignment)
        return (*config[:number], replaced, *config[number + 1 :])
    known = [field.name for field in fields(config)] if is_dataclass(config) else []
    if first not in known:
        msg = f'{assignment!r}: {first} is none of {", ".join(known) or "no choices"}'
        raise ValueError(msg)
    before = getattr(config, first)
    if rest:
        value = _replace(before, rest, value, assignment)
    elif isinstance(before, float) and isinstance(value, int):
        value = float(value)
    elif before is not None and type(value) is not type(before):
        msg = f'{assignment!r}: must be a {type(before).__name__}, is a {type(value).__name__}'
        raise ValueError(msg)
    return replace(config, **{first: value})


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
