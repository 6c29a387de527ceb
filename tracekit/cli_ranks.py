"""The command `tracekit ranks`: arguments in, one call, a report directory and a summary out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracekit.cli_common import print_after
from tracekit.messages import N_
from tracekit.progress import Work

if TYPE_CHECKING:
    from tracekit.analysis.ranks.schema import Job

DEFAULT_DIRECTORY = "ranks-report"
_SHOWN_LOST = 10

_HELP = """Analyze the traces of all ranks of a distributed job together.

PATHS are files, directories, globs (also with **) and URLs: s3://, gs://, https:// and others of fsspec.
Each trace is read where a worker is, on this machine or on a Dask cluster, whose workers must reach the same
paths. Which rank a trace is of it says itself, or its name does, as in rank3.json.gz.
"""


def make_command(
    language_option: Callable[[str], Callable[[Any], Any]],
    work: Callable[[str, bool], AbstractContextManager[Work]],
) -> click.Command:
    """The command, with what all commands have in common."""

    @click.command("ranks", help=_HELP)
    @click.argument("paths", nargs=-1, required=True)
    @click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Report directory.")
    @language_option("Language of the report.")
    @click.option(
        "--format", "formats", metavar="LIST", help="Of md,png,html,json,csv (the default) and svg."
    )
    @click.option(
        "--top", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of each table to list."
    )
    @click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786.")
    @click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Traces to read at a time.")
    @click.option("--no-cache", is_flag=True, help="Read also what was read before.")
    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
    def command(
        paths: tuple[str, ...],
        output: Path | None,
        lang: str,
        formats: str | None,
        top: int,
        scheduler: str | None,
        workers: int | None,
        no_cache: bool,
        quiet: bool,
    ) -> None:
        from tracekit.analysis.ranks.analyze import analyze_ranks
        from tracekit.analysis.ranks.sources import find_sources
        from tracekit.report.job import DEFAULT_FORMATS, JOB_FORMATS, save_job
        from tracekit.report.saving import check_formats

        chosen = (
            [name.strip().lower() for name in formats.split(",")] if formats is not None else DEFAULT_FORMATS
        )
        check_formats(chosen, JOB_FORMATS)
        # What it would write about a cluster that has gone is said in a line of ours.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        with work(lang, quiet) as shown:
            shown.begin(N_("looking for traces"))
            sources = find_sources(paths)
            shown.begin(N_("reading {count} traces", count=len(sources)), len(sources), then=N_("analysing"))
            job = analyze_ranks(
                sources,
                scheduler=scheduler,
                workers=workers,
                use_cache=not no_cache,
                progress=lambda _done, _count: shown.advance(1),
            )
            directory = save_job(
                job,
                output or Path(DEFAULT_DIRECTORY),
                chosen,
                lang,
                top,
                starting=lambda name: shown.begin(N_("writing {name}", name=name)),
            )
        if quiet:
            return
        from tracekit.report.job.terminal import print_summary

        _tell_lost(job, lang)
        print_after(directory, lambda stream: print_summary(job, directory, lang, stream))

    return command


def _tell_lost(job: Job, lang: str) -> None:
    """Writes which traces could not be read to the standard error."""
    from tracekit.report.escape import clean
    from tracekit.report.i18n import Locale

    locale = Locale(lang)
    for lost in job.lost[:_SHOWN_LOST]:
        says_path = str(lost.reason).startswith(lost.path)
        text = N_("left out: {reason}", reason=lost.reason)
        if not says_path:
            text = N_("left out: {path}: {reason}", path=lost.path, reason=lost.reason)
        click.echo(f"tracekit: {clean(' '.join(locale.message(text).split()))}", err=True)
