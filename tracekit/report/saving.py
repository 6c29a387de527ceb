"""Writes a report in the formats that were asked for into a report directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.analysis.schema import Report
from tracekit.messages import N_, UserError
from tracekit.report.directory import write_directory
from tracekit.report.document import Files, Renderers, document_files

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

DEFAULT_FORMATS = ("md", "png", "html", "json", "csv")
FORMATS = (*DEFAULT_FORMATS, "svg", "parquet", "xlsx")
TOP = 20


def check_formats(formats: Iterable[str], offered: Sequence[str] = FORMATS) -> None:
    """Raises `UserError` for a format that is not offered or that lacks its library, or for none at all."""
    formats = list(formats)
    known = ", ".join(offered)
    if not formats:
        raise UserError(N_("no format was given; choose some of: {known}", known=known))
    for name in formats:
        if name not in offered:
            raise UserError(
                N_("format {name} is not known; choose some of: {known}", name=repr(name), known=known)
            )
    if "parquet" in formats:
        try:
            import_module("pyarrow.parquet")
        except ImportError:
            raise UserError(N_("format parquet needs pyarrow: pip install 'tracekit[parquet]'")) from None


def save(
    report: Report,
    directory: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    lang: str = "en",
    top: int = TOP,
    starting: Callable[[str], None] | None = None,
) -> Path:
    """Writes `report` to `directory` in `formats` and returns the directory.

    The `top` slowest modules are listed. A directory that holds an older report is replaced; files in it that
    are not ours stay. `starting` is told what is written next: "report.html", "*.csv". Raises `UserError` for
    an unknown format or language, and for a path that is something else or cannot be written.
    """
    check_formats(formats)
    return write_directory(_files(report, set(formats), lang, top, starting), directory)


def _files(
    report: Report, formats: set[str], lang: str, top: int, starting: Callable[[str], None] | None
) -> Files:
    yield from document_files(report, _renderers(report, top), formats, lang, starting)
    if "parquet" in formats:
        from tracekit.report.i18n import Locale
        from tracekit.report.tables.parquet import render_parquet

        if starting:
            starting("*.parquet")
        yield from ((name, [contents]) for name, contents in render_parquet(report, Locale(lang)).items())
    if "xlsx" in formats:
        from tracekit.report.i18n import Locale
        from tracekit.report.tables.xlsx import render_xlsx

        if starting:
            starting("report.xlsx")
        yield "report.xlsx", [render_xlsx(report, Locale(lang))]


def _renderers(report: Report, top: int) -> Renderers:
    def pictures(locale: Locale, kinds: Sequence[str]) -> Iterable[tuple[str, bytes]]:
        from tracekit.report.plots import render_pictures

        return render_pictures(report, locale, kinds, top).items()

    def markdown(locale: Locale, kind: str | None) -> str:
        from tracekit.report.markdown import render_markdown

        return render_markdown(report, locale, top, pictures=kind)

    def page(locale: Locale) -> str:
        from tracekit.report.page import render_page

        return render_page(report, locale.lang, top)

    def tables(locale: Locale) -> Files:
        from tracekit.report.tables.csv import csv_pieces

        return csv_pieces(report, locale)

    return Renderers("report", pictures, markdown, page, tables)
