"""Writes a comparison in the formats that were asked for into a directory, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tracekit.analysis.compare.schema import Comparison
from tracekit.report.directory import write_directory
from tracekit.report.saving import DEFAULT_FORMATS, TOP, check_formats

FORMATS = (*DEFAULT_FORMATS, "svg")

__all__ = ["DEFAULT_FORMATS", "FORMATS", "check_formats", "save"]


def save(
    comparison: Comparison,
    directory: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    lang: str = "en",
    top: int = TOP,
    starting: Callable[[str], None] | None = None,
) -> Path:
    """Writes `comparison` to `directory` in `formats` and returns the directory.

    `top` rows of each table are shown. A directory that holds an older report is replaced; files in it that
    are not ours stay. `starting` is told what is written next: "comparison.html", "*.csv". Raises `UserError`
    for an unknown format or language, and for a path that is something else or cannot be written.
    """
    check_formats(formats, FORMATS)
    files = _files(comparison, set(formats), lang, top, starting or (lambda _name: None))
    return write_directory(files, directory)


def _files(
    comparison: Comparison, formats: set[str], lang: str, top: int, starting: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and contents of all files, one after the other: never are all in memory."""
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting("comparison.json")
        yield "comparison.json", json_pieces(comparison)
    if formats == {"json"}:
        return

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from tracekit.report.comparison.picture import render_picture

        for kind, contents in render_picture(comparison, locale, kinds).items():
            starting(f"waterfall.{kind}")
            yield f"waterfall.{kind}", [contents]
    if "md" in formats:
        from tracekit.report.comparison.markdown import render_markdown

        starting("comparison.md")
        pictures = kinds[0] if kinds else None
        yield "comparison.md", [render_markdown(comparison, locale, top, pictures=pictures).encode()]
    if "html" in formats:
        from tracekit.report.comparison.page import render_page

        starting("comparison.html")
        yield "comparison.html", [render_page(comparison, locale.lang, top).encode()]
    if "csv" in formats:
        from tracekit.report.comparison.tables import csv_pieces

        starting("*.csv")
        yield from csv_pieces(comparison, locale.message)
