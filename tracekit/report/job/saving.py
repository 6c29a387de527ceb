"""Writes the report directory of a job: whole or not at all, as that of a trace is.

A renderer of a job is a function of the immutable `Job`; `_renderers` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.analysis.ranks.schema import Job
from tracekit.report.directory import write_directory
from tracekit.report.document import Files, Renderers, document_files
from tracekit.report.saving import DEFAULT_FORMATS, TOP, check_formats

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

JOB_FORMATS = (*DEFAULT_FORMATS, "svg")

__all__ = ["DEFAULT_FORMATS", "JOB_FORMATS", "check_formats", "save_job"]


def save_job(
    job: Job,
    directory: str | Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    lang: str = "en",
    top: int = TOP,
    starting: Callable[[str], None] | None = None,
) -> Path:
    """Writes `job` to `directory` in `formats` and returns the directory.

    `lang` is that of what people read, "en" or "ru"; `top` rows of each table are listed in it. `starting` is
    told what is written next: "job.html", "*.csv". Raises `UserError` as `save` does.
    """
    check_formats(formats, JOB_FORMATS)
    files = document_files(job, _renderers(job, top), set(formats), lang, starting)
    return write_directory(files, directory)


def _renderers(job: Job, top: int) -> Renderers:
    def pictures(locale: Locale, kinds: Sequence[str]) -> Iterable[tuple[str, bytes]]:
        from tracekit.report.job.pictures import render_pictures

        return render_pictures(job, locale, kinds)

    def markdown(locale: Locale, kind: str | None) -> str:
        from tracekit.report.job.markdown import render_markdown

        return render_markdown(job, locale, top, pictures=kind)

    def page(locale: Locale) -> str:
        from tracekit.report.job.page import render_page

        return render_page(job, locale.lang, top)

    def tables(locale: Locale) -> Files:
        from tracekit.report.tables.job import csv_pieces

        return csv_pieces(job, locale.message)

    return Renderers("job", pictures, markdown, page, tables)
