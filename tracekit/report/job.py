"""Writes the report directory of a job: whole or not at all, as that of a trace is.

A renderer of a job is a function of the immutable `Job`; `_files` is where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tracekit.analysis.ranks.schema import Job
from tracekit.report.directory import write_directory
from tracekit.report.save import check_formats

JOB_FORMATS = ("json",)


def save_job(
    job: Job,
    directory: str | Path,
    formats: Sequence[str] = JOB_FORMATS,
    lang: str = "en",
    starting: Callable[[str], None] | None = None,
) -> Path:
    """Writes `job` to `directory` in `formats` and returns the directory.

    `lang` is that of what people read, "en" or "ru"; `starting` is told what is written next. Raises
    `UserError` as `save` does.
    """
    check_formats(formats, JOB_FORMATS)
    return write_directory(_files(job, set(formats), lang, starting or (lambda _name: None)), directory)


def _files(
    job: Job, formats: set[str], lang: str, starting: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and contents of all files of the report, one after the other."""
    if "json" in formats:
        from tracekit.report.json import json_pieces

        starting("job.json")
        yield "job.json", json_pieces(job)
