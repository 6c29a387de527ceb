"""Writes a report in the formats that were asked for into a report directory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from tracekit.analysis.schema import Report
from tracekit.messages import N_, UserError
from tracekit.report.directory import write_directory

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
    files = _files(report, set(formats), lang, top, starting or (lambda _name: None))
    return write_directory(files, directory)


def _files(
    report: Report, formats: set[str], lang: str, top: int, starting: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and contents of all files of the report, one after the other: never are all in memory."""
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting("report.json")
        yield "report.json", json_pieces(report)
    if formats == {"json"}:
        return

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from tracekit.report.plots import render_pictures

        starting(", ".join(f"*.{kind}" for kind in kinds))
        yield from _whole(render_pictures(report, locale, kinds, top))
    if "md" in formats:
        from tracekit.report.markdown import render_markdown

        starting("report.md")
        pictures = kinds[0] if kinds else None
        yield "report.md", [render_markdown(report, locale, top, pictures=pictures).encode()]
    if "html" in formats:
        from tracekit.report.page import render_page

        starting("report.html")
        yield "report.html", [render_page(report, locale.lang, top).encode()]
    if "csv" in formats:
        from tracekit.report.tables.csv import csv_pieces

        starting("*.csv")
        yield from csv_pieces(report, locale)
    if "parquet" in formats:
        from tracekit.report.tables.parquet import render_parquet

        starting("*.parquet")
        yield from _whole(render_parquet(report, locale))
    if "xlsx" in formats:
        from tracekit.report.tables.xlsx import render_xlsx

        starting("report.xlsx")
        yield "report.xlsx", [render_xlsx(report, locale)]


def _whole(files: dict[str, bytes]) -> Iterator[tuple[str, Iterable[bytes]]]:
    return ((name, [contents]) for name, contents in files.items())
