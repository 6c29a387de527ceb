"""Writes a comparison in the formats that were asked for into a directory, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.analysis.compare.schema import Comparison
from tracekit.report.directory import write_directory
from tracekit.report.document import Files, Renderers, document_files
from tracekit.report.saving import DEFAULT_FORMATS, TOP, check_formats

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

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
    files = document_files(comparison, _renderers(comparison, top), set(formats), lang, starting)
    return write_directory(files, directory)


def _renderers(comparison: Comparison, top: int) -> Renderers:
    def pictures(locale: Locale, kinds: Sequence[str]) -> Iterable[tuple[str, bytes]]:
        from tracekit.report.comparison.picture import render_picture

        contents = render_picture(comparison, locale, kinds)
        return ((f"waterfall.{kind}", picture) for kind, picture in contents.items())

    def markdown(locale: Locale, kind: str | None) -> str:
        from tracekit.report.comparison.markdown import render_markdown

        return render_markdown(comparison, locale, top, pictures=kind)

    def page(locale: Locale) -> str:
        from tracekit.report.comparison.page import render_page

        return render_page(comparison, locale.lang, top)

    def tables(locale: Locale) -> Files:
        from tracekit.report.comparison.tables import csv_pieces

        return csv_pieces(comparison, locale.message)

    return Renderers("comparison", pictures, markdown, page, tables)
