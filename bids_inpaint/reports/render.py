"""Templates of the pages, and files that are included unescaped."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_ASSETS = Path(__file__).parent / 'assets'
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_ASSETS),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


def render(template: str, **content: Any) -> Markup:
    """Fill a template; all text that is not markup is escaped."""
    return Markup(_TEMPLATES.get_template(f'{template}.j2').render(**content))  # noqa: S704 - escaped by Jinja2


def asset(name: str) -> Markup:
    """Read a file of this program that is included unescaped."""
    return Markup((_ASSETS / name).read_text(encoding='utf-8'))  # noqa: S704 - of this program
