"""Tables of the Markdown report that only some captures fill: phases side by side, and memory by module."""

from __future__ import annotations

from collections.abc import Callable

from tracekit.analysis.schema import Report
from tracekit.report import view
from tracekit.report.escape import clean, elide, markdown_cell_code, markdown_cell_name
from tracekit.report.i18n import DASH, Locale
from tracekit.report.markdown_table import table
from tracekit.report.phase_view import PassFigures, pass_figures
from tracekit.report.sections import phase_cell


def phases(report: Report, locale: Locale) -> str:
    """Figures of a pass, a column per phase; empty where there are not several."""
    figures = pass_figures(report)
    if len(figures) < 2:
        return ""
    _, count, duration = locale._, locale.count, locale.duration
    lines: list[tuple[str, Callable[[PassFigures], str]]] = [
        (_("Passes"), lambda one: count(one.passes)),
        (_("New tokens per sequence"), lambda one: count(one.tokens)),
        (_("Tokens in the cache before"), lambda one: count(one.cache_length)),
        (_("Latency without the profiler"), lambda one: duration(one.latency_us)),
        (_("Wall time under the profiler"), lambda one: duration(one.wall_us)),
    ]
    if view.has_gpu(report):
        lines += [
            (_("GPU time"), lambda one: duration(one.gpu_time_us)),
            (_("GPU busy"), lambda one: duration(one.gpu_busy_us)),
        ]
    lines += [
        (_("Matrix FLOPs"), lambda one: locale.flops(one.matrix_flops)),
        (_("Achieved performance"), lambda one: locale.flops_rate(one.headline_tflops)),
        (_("Tokens per second"), lambda one: locale.fixed(one.tokens_per_second, 1)),
    ]
    rows = [[label, *(show(one) for one in figures)] for label, show in lines]
    headers = [_("Median of a pass"), *(phase_cell(one.phase or "") for one in figures)]
    text = table(headers, rows, "l" + "r" * len(figures))
    if any(DASH in row for row in rows):
        text += f"\n\n*{DASH}: {_('the trace does not say')}.*"
    return text


def memory(report: Report, locale: Locale, top: int) -> str:
    """The modules whose own code allocates most in a pass; empty where capture did not measure it."""
    known = [row for row in report.modules if row.allocated_bytes is not None]
    if not known:
        return ""
    _ = locale._
    ranked = sorted(known, key=lambda row: (-(row.allocated_self_bytes or 0), row.path))[:top]
    rows = [
        [
            markdown_cell_code(elide(clean(row.path), view.NAME_WIDTH))
            if row.path
            else f"({_('the whole model')})",
            markdown_cell_name(row.type, view.NAME_WIDTH) if row.type else DASH,
            locale.bytes(row.allocated_self_bytes),
            locale.bytes(row.allocated_bytes),
            locale.bytes(row.net_bytes),
        ]
        for row in ranked
    ]
    headers = [_("Module"), _("Type"), _("By its own code"), _("With modules inside"), _("Still held after")]
    note = _("allocated in the calls of one pass; still held: with modules inside, when the calls ended")
    return f"{table(headers, rows, 'llrrr')}\n\n*{note}.*"
