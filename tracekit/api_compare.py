"""`tracekit.compare` and the `Comparison` that it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit import analysis
from tracekit.analysis.compare import compare as compare_reports
from tracekit.analysis.compare import load
from tracekit.analysis.compare.schema import Comparison as ComparisonData
from tracekit.analysis.schema import Report as ReportData
from tracekit.api import Report

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """What differs between two reports: pandas tables, the plain values behind them in `data`, and `save`.

    Tables are built when first asked for; those with the largest differences come first. Durations are in µs
    (`_us`) of one pass, the mean over passes; differences are after - before; what is unknown is missing,
    never 0.
    """

    def __init__(self, data: ComparisonData) -> None:
        self.data = data
        self.lang = "en"  # or "ru": what notebooks show

    def __repr__(self) -> str:
        data = self.data
        said = f": {data.summary[0]}" if data.summary else ""
        return f"<tracekit.Comparison of {data.before.path!r} and {data.after.path!r}{said}>"

    def _repr_html_(self) -> str:
        """A card of the headline, the totals and the largest differences, for notebooks."""
        from tracekit.report.comparison.notebook import render_card
        from tracekit.report.i18n import Locale

        return render_card(self.data, Locale(self.lang))

    @cached_property
    def phases(self) -> pd.DataFrame:
        """One row per phase and quantity of a pass: total, wall, latency, GPU idle."""
        return _frame(self.data, "phases")

    @cached_property
    def places(self) -> pd.DataFrame:
        """One row per place in the model: modules that are alike, in all layers together."""
        return _frame(self.data, "places")

    @cached_property
    def modules(self) -> pd.DataFrame:
        """One row per module, and per kind of time outside of modules; they add up to the total."""
        return _frame(self.data, "modules")

    @cached_property
    def types(self) -> pd.DataFrame:
        """One row per module type."""
        return _frame(self.data, "types")

    @cached_property
    def ops(self) -> pd.DataFrame:
        """One row per op name, shapes and dtypes."""
        return _frame(self.data, "ops")

    @cached_property
    def kernels(self) -> pd.DataFrame:
        """One row per kernel name."""
        return _frame(self.data, "kernels")

    def save(
        self,
        directory: str | Path,
        formats: Sequence[str] | None = None,
        lang: str = "en",
        top: int = 20,
    ) -> Path:
        """Writes the comparison's directory, whole or not at all, and returns its path.

        `formats`: any of md, png, html, json, csv, which are the default, and svg. `lang`: "en" or "ru".
        `top`: how many rows of each table are listed. Raises `UserError` for a format or language that there
        is not, and where the directory cannot be written.
        """
        from tracekit.report import comparison

        return comparison.save(self.data, directory, formats or comparison.DEFAULT_FORMATS, lang, top)


def compare(
    before: str | Path | Report | ReportData,
    after: str | Path | Report | ReportData,
    *,
    level: float = 0.05,
    margin: float | None = None,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> Comparison:
    """What `after` takes more or less time for than `before`: each a trace, a `report.json` or a report.

    `level`: how often noise may pass for a change; `margin`: which share of a row's time is no change,
    whatever the noise, by default 2 % of GPU time and 15 % of CPU time. `progress` is told the number of
    bytes that were read of traces; so many `processes` decode each. Raises `UserError` as `analyze` does, and
    for reports that hold nothing to compare.
    """

    def analyzed(path: Path) -> ReportData:
        return analysis.analyze(path, progress=progress, processes=processes)

    def data_of(side: str | Path | Report | ReportData) -> ReportData:
        if isinstance(side, Report):
            return side.data
        return side if isinstance(side, ReportData) else load(side, analyzed)

    return Comparison(compare_reports(data_of(before), data_of(after), level=level, margin=margin))


def _frame(data: ComparisonData, name: str) -> pd.DataFrame:
    from tracekit.report.comparison.tables import table_of
    from tracekit.report.tables.frames import frame_of

    return frame_of(table_of(data, name))
