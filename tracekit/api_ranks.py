"""What `import tracekit` offers for all ranks of a job: `ranks`, and the `Job` that it returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.analysis.ranks.schema import Job as JobData

if TYPE_CHECKING:
    import pandas as pd


class Job:
    """All ranks of a job: pandas tables, the plain values behind them in `data`, and `save`.

    Tables are built when first asked for. Durations are in µs (`_us`); what is unknown is missing, never 0.
    """

    def __init__(self, data: JobData) -> None:
        self.data = data
        self.lang = "en"  # or "ru": what notebooks show

    def __repr__(self) -> str:
        data = self.data
        return (
            f"<tracekit.Job: {len(data.ranks)} ranks, {len(data.lost)} lost, "
            f"{len(data.missing_ranks)} missing, {len(data.stragglers)} stragglers>"
        )

    def _repr_html_(self) -> str:
        """A card of the step, of who is late and where, and of the findings, for notebooks."""
        from tracekit.report.i18n import Locale
        from tracekit.report.job.notebook import render_card

        return render_card(self.data, Locale(self.lang))

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """One row per rank that was read."""
        return _frame(self.data, "ranks")

    @cached_property
    def lost(self) -> pd.DataFrame:
        """One row per trace that could not be read, with the reason."""
        return _frame(self.data, "lost")

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per step on a device of a rank."""
        return _frame(self.data, "steps")

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per process group."""
        return _frame(self.data, "groups")

    @cached_property
    def collectives(self) -> pd.DataFrame:
        """One row per group, operation and size."""
        return _frame(self.data, "collectives")

    @cached_property
    def late(self) -> pd.DataFrame:
        """One row per rank: how often it was the last of a collective."""
        return _frame(self.data, "late")

    @cached_property
    def late_places(self) -> pd.DataFrame:
        """One row per rank and place where it lost the time that others waited for it."""
        return _frame(self.data, "late_places")

    @cached_property
    def stragglers(self) -> pd.DataFrame:
        """One row per rank that holds the others up noticeably, the worst first."""
        return _frame(self.data, "stragglers")

    @cached_property
    def modules(self) -> pd.DataFrame:
        """One row per module: how its time spreads over the ranks."""
        return _frame(self.data, "modules")

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per finding, worst first."""
        return _frame(self.data, "findings")

    @cached_property
    def heat_map(self) -> pd.DataFrame:
        """One row per rank and bin of time, in percent; empty where there is none."""
        return _frame(self.data, "heat_map")

    def save(
        self,
        directory: str | Path,
        formats: Sequence[str] | None = None,
        lang: str = "en",
        top: int = 20,
    ) -> Path:
        """Writes the report directory, whole or not at all, and returns its path.

        `formats`: any of md, png, html, json, csv, which are the default, and svg. `lang`: "en" or "ru".
        `top`: how many rows of each table are listed. Raises `UserError` for a format or language that there
        is not, and where the directory cannot be written.
        """
        from tracekit.report.job import DEFAULT_FORMATS, save_job

        return save_job(self.data, directory, formats or DEFAULT_FORMATS, lang, top)


def ranks(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    executor: Executor | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Job:
    """The `Job` of all ranks' traces: files, directories, globs (`**` too) or URLs that fsspec knows.

    Each is read and reduced where a worker is: on processes of this machine, on any `executor` of
    `concurrent.futures`, or on the Dask cluster whose `scheduler` is at "tcp://host:8786", whose workers must
    reach the same paths and have the same tracekit. `workers`: how many at a time. What was made of a file
    is kept in a `cache` of the machine that read it. `progress` is told how many ranks are done, and of how
    many. A rank that cannot be read is in `lost`. Raises `UserError` where none can, or where it is not clear
    which rank each is.
    """
    from tracekit.analysis.ranks.analyze import analyze_ranks
    from tracekit.analysis.ranks.sources import find_sources

    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    return Job(
        analyze_ranks(
            find_sources(given),
            executor=executor,
            scheduler=scheduler,
            workers=workers,
            use_cache=cache,
            progress=progress,
        )
    )


def _frame(data: JobData, name: str) -> pd.DataFrame:
    from tracekit.report.tables.frames import frame_of
    from tracekit.report.tables.job import job_table

    return frame_of(job_table(data, name))
