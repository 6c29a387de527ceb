"""Templates of HTML: what they are given is escaped, unless it is marked as HTML already."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def html_template(name: str) -> Template:
    """A template of `templates/` by its file name."""
    environment = Environment(
        loader=PackageLoader("tracekit.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return environment.get_template(name)
