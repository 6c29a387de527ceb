"""Writes the report directory of a job: whole or not at all, as that of a trace is.

A renderer of a job is a function of the immutable `Job`; `_files` is where it is called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tracekit.analysis.ranks.schema import Job
from tracekit.report.directory import write_directory
from tracekit.report.saving import DEFAULT_FORMATS, TOP, check_formats

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
    files = _files(job, set(formats), lang, top, starting or (lambda _name: None))
    return write_directory(files, directory)


def _files(
    job: Job, formats: set[str], lang: str, top: int, starting: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and contents of all files of the report, one after the other: never are all in memory."""
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting("job.json")
        yield "job.json", json_pieces(job)
    if formats == {"json"}:
        return

    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    kinds = [kind for kind in ("png", "svg") if kind in formats]
    if kinds:
        # Where the home directory cannot be written, matplotlib would say so before every report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from tracekit.report.job.pictures import render_pictures

        for name, contents in render_pictures(job, locale, kinds):
            starting(name)
            yield name, [contents]
    if "md" in formats:
        from tracekit.report.job.markdown import render_markdown

        starting("job.md")
        pictures = kinds[0] if kinds else None
        yield "job.md", [render_markdown(job, locale, top, pictures=pictures).encode()]
    if "html" in formats:
        from tracekit.report.job.page import render_page

        starting("job.html")
        yield "job.html", [render_page(job, locale.lang, top).encode()]
    if "csv" in formats:
        from tracekit.report.tables.job import csv_pieces

        starting("*.csv")
        yield from csv_pieces(job, locale.message)
