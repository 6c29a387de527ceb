"""The files of one document, be it of a trace, of two or of a job: which there are, and how they come about.

They are made one after the other, so that never all are in memory, and what makes one is imported when it is
needed: the JSON way pays for neither pandas nor matplotlib.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

Files: TypeAlias = Iterator[tuple[str, Iterable[bytes]]]
"""Names, and contents in pieces."""


@dataclass(frozen=True)
class Renderers:
    """What makes the files of a document; that called "report" has report.json, report.md and report.html."""

    name: str
    pictures: Callable[[Locale, Sequence[str]], Iterable[tuple[str, bytes]]]  # of these kinds: "png", "svg"
    markdown: Callable[[Locale, str | None], str]  # with pictures of this kind beside it
    page: Callable[[Locale], str]
    tables: Callable[[Locale], Files]  # as CSV


def document_files(
    document: Any,
    renderers: Renderers,
    formats: set[str],
    lang: str,
    starting: Callable[[str], None] | None,
) -> Files:
    """The files in those of `formats` that every document has; `starting` is told what is made next."""
    starting = starting or (lambda _name: None)
    name = renderers.name
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting(f"{name}.json")
        yield f"{name}.json", json_pieces(document)
    if formats == {"json"}:
        return

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        starting(", ".join(f"*.{kind}" for kind in kinds))
        yield from ((picture, [contents]) for picture, contents in renderers.pictures(locale, kinds))
    if "md" in formats:
        starting(f"{name}.md")
        yield f"{name}.md", [renderers.markdown(locale, kinds[0] if kinds else None).encode()]
    if "html" in formats:
        starting(f"{name}.html")
        yield f"{name}.html", [renderers.page(locale).encode()]
    if "csv" in formats:
        starting("*.csv")
        yield from renderers.tables(locale)
