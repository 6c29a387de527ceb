"""What `import tracekit` offers: `analyze`, the `Report` that it returns, `annotate` and `gate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import analysis
from tracekit.analysis.schema import Report as ReportData

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

    from tracekit.analysis.compare.gate_schema import GateResult
    from tracekit.report.plot_accessor import Plots


class Report:
    """A trace's analysis: pandas tables, the plain values behind them in `data`, `plot` and `save`.

    Tables are built when first asked for. Durations are in µs (`_us`), totals over the whole trace unless
    the name ends in `_per_pass_us`; FLOPs and bytes are integers; what is unknown is missing, never 0.
    """

    def __init__(self, data: ReportData) -> None:
        self.data = data
        self.lang = "en"  # or "ru": what notebooks show

    def __repr__(self) -> str:
        data = self.data
        return (
            f"<tracekit.Report of {data.trace.path!r}: {data.time.passes} passes, "
            f"{len(data.modules)} modules, "
            f"{data.accounting.gpu_events} GPU events, {data.time.gpu_time_us / 1000:.3f} ms of GPU time>"
        )

    def _repr_html_(self) -> str:
        """A card of the headline facts, for notebooks."""
        from tracekit.report.i18n import Locale
        from tracekit.report.notebook import render_card

        return render_card(self.data, Locale(self.lang))

    def show(self, table: str | pd.DataFrame | pd.Series[Any] = "modules", top: int = 20) -> Styler:
        """The first `top` rows of a table, or of what was made from one, as a notebook shows them best.

        Headers have units, the unknown is a dash, and of a table by name only what says most is shown. Raises
        `UserError` for a table that there is not.
        """
        from tracekit.report.i18n import Locale
        from tracekit.report.tables.styled import styled, styled_table

        locale = Locale(self.lang)
        if isinstance(table, str):
            return styled_table(self.data, table, top, locale)
        return styled(table, top, locale)

    @cached_property
    def modules(self) -> pd.DataFrame:
        """One row per module, those with most GPU time first."""
        return _frame(self.data, "modules")

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """One row per repeated layer, by stack and index."""
        return _frame(self.data, "blocks")

    @cached_property
    def types(self) -> pd.DataFrame:
        """One row per module type, and per kind of GPU time outside of modules."""
        return _frame(self.data, "types")

    @cached_property
    def kernels(self) -> pd.DataFrame:
        """One row per kernel name."""
        return _frame(self.data, "kernels")

    @cached_property
    def ops(self) -> pd.DataFrame:
        """One row per op name, shapes and dtypes."""
        return _frame(self.data, "ops")

    @cached_property
    def phases(self) -> pd.DataFrame:
        """One row per phase of a capture, such as prefill and decode."""
        return _frame(self.data, "phases")

    @cached_property
    def module_phases(self) -> pd.DataFrame:
        """One row per module and phase; empty where the passes are of one phase."""
        return _frame(self.data, "module_phases")

    @cached_property
    def block_phases(self) -> pd.DataFrame:
        """One row per repeated layer and phase; empty where the passes are of one phase."""
        return _frame(self.data, "block_phases")

    @cached_property
    def block_parts(self) -> pd.DataFrame:
        """One row per repeated layer and part of it: attention, FFN, norms, residual …"""
        return _frame(self.data, "block_parts")

    @cached_property
    def type_phases(self) -> pd.DataFrame:
        """One row per module type and phase; empty where the passes are of one phase."""
        return _frame(self.data, "type_phases")

    @cached_property
    def block_kinds(self) -> pd.DataFrame:
        """One row per kind of block and part, and their sums; a missing kind or part stands for all."""
        return _frame(self.data, "block_kinds")

    @cached_property
    def headroom(self) -> pd.DataFrame:
        """One row per place in the model, those where most would be won first."""
        return _frame(self.data, "headroom")

    @cached_property
    def uncosted(self) -> pd.DataFrame:
        """One row per kernel whose cost is not known, and why."""
        return _frame(self.data, "uncosted")

    @cached_property
    def passes(self) -> pd.DataFrame:
        """One row per forward pass."""
        return _frame(self.data, "passes")

    @cached_property
    def regions(self) -> pd.DataFrame:
        """One row per name of a user's own `record_function` range."""
        return _frame(self.data, "regions")

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per finding, worst first."""
        return _frame(self.data, "findings")

    @cached_property
    def hta_ranks(self) -> pd.DataFrame:
        """HTA's temporal breakdown and overlap, a row per rank; empty where it was not asked for."""
        return _frame(self.data, "hta_ranks")

    @cached_property
    def hta_idle(self) -> pd.DataFrame:
        """HTA's idle time, a row per rank, stream and cause; empty where it was not asked for."""
        return _frame(self.data, "hta_idle")

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """One row per event on the GPU in one pass; `start_us` counts from the start of that pass.

        Events that follow each other closely may stand as one, of `count`. Empty where nothing is known.
        """
        return _frame(self.data, "timeline")

    @cached_property
    def plot(self) -> Plots:
        """The pictures on matplotlib's axes: `report.plot.blocks()`, `.modules()`, `.types()`, `.roofline()`,
        `.headroom()`. Each takes `ax`, `lang` and what `help(report.plot.blocks)` says, and returns the axes.
        """
        from tracekit.report.plot_accessor import Plots

        return Plots(self.data)

    def save(self, directory: str | Path, formats: Sequence[str] | None = None, lang: str = "en") -> Path:
        """Writes the report directory, whole or not at all, and returns its path.

        `formats`: any of md, png, html, json, csv, which are the default, and svg, parquet and xlsx. `lang`:
        "en" or "ru". Raises `UserError` for a format or language that there is not, and where the directory
        cannot be written.
        """
        from tracekit import report

        return report.save(self.data, Path(directory), formats or report.DEFAULT_FORMATS, lang)


def analyze(
    trace: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
    hta: bool | None = False,
) -> Report:
    """The `Report` of a trace file (`.json`, plain or compressed) of the PyTorch profiler.

    `gpu` names the device where the trace does not; `peak_tflops` (dense TFLOP/s) and `bandwidth_gbs` (GB/s)
    override the device table; `costs_file` is a Python file that registers formulas for operators of yours
    with `tracekit.costs.register`; `progress` is told the number of bytes that were read; so many `processes`
    decode it, by default as many as its size is worth; `hta` adds tables of Holistic Trace Analysis (None:
    where it is installed and the trace is no large one), whose import takes a second.

    Raises `UserError` for a file that cannot be read, is no trace or will not fit into memory, and for
    `hta=True` where that is not installed.
    """
    return Report(
        analysis.analyze(
            trace,
            gpu=gpu,
            peak_tflops=peak_tflops,
            bandwidth_gbs=bandwidth_gbs,
            costs_file=costs_file,
            progress=progress,
            processes=processes,
            hta=hta,
        )
    )


def annotate(
    trace: str | Path,
    output: str | Path,
    *,
    lang: str = "en",
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Writes a copy of a trace with lanes of modules, blocks, passes and idle time, and returns its path.

    Perfetto and chrome://tracing open it. `output` ends in `.json` or `.json.gz`, `lang` ("en" or "ru") is
    the language of what is added, and the other arguments are those of `analyze`; `progress` is told of
    every byte twice. Raises `UserError` also where the trace has no GPU events or such lanes already, and
    where the copy cannot be written.
    """
    from tracekit.report.annotate import annotate, check_output

    trace, output = Path(trace), Path(output)
    check_output(trace, output)
    report, lanes = analysis.analyze_lanes(
        trace,
        gpu=gpu,
        peak_tflops=peak_tflops,
        bandwidth_gbs=bandwidth_gbs,
        costs_file=costs_file,
        progress=progress,
    )
    return annotate(report, lanes, output, lang, progress).path


def gate(
    before: str | Path | Report,
    after: str | Path | Report,
    *,
    max_regression: float,
    metrics: str | Sequence[str] | None = None,
    modules: str | Sequence[str] = (),
    level: float = 0.05,
    allow_different_models: bool = False,
) -> GateResult:
    """Whether `after` is slower than `before` by more than `max_regression` (0.05 for 5%), beyond noise.

    Each of the two is a trace, a `report.json` or a `Report`. The result's `verdict` is "pass", "fail" or
    "unknown", and its `checks` say why: one for each of `metrics` (of gpu_time, latency, idle, memory,
    cpu_time; by default gpu_time, or cpu_time where neither has a GPU), each phase, and each of `modules`,
    patterns of module paths whose time is gated in place of that of whole passes. `level` is how often noise
    may fail a gate. Raises `UserError` for a file that cannot be read, for limits that make no sense, and for
    different models unless these are allowed.
    """
    from tracekit.analysis.compare import load
    from tracekit.analysis.compare.gate import check_limits, gate
    from tracekit.analysis.compare.gate_schema import Limits

    limits = Limits(
        max_regression=max_regression,
        metrics=(metrics,) if isinstance(metrics, str) else None if metrics is None else tuple(metrics),
        modules=(modules,) if isinstance(modules, str) else tuple(modules),
        level=level,
        allow_different_models=allow_different_models,
    )
    check_limits(limits)
    first, second = (
        one.data if isinstance(one, Report) else load(one, analysis.analyze) for one in (before, after)
    )
    return gate(first, second, limits)


def _frame(data: ReportData, name: str) -> pd.DataFrame:
    from tracekit.report.tables.frames import frame

    return frame(data, name)
