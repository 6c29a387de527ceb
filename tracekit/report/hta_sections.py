"""The section of the Markdown report, and of the page, with what Holistic Trace Analysis says."""

from __future__ import annotations

from tracekit.analysis.schema import Hta, Report
from tracekit.messages import N_, Message
from tracekit.report.escape import markdown_quote
from tracekit.report.i18n import DASH, Locale
from tracekit.report.markdown_table import table

# How HTA names the causes of idle time.
CAUSES: dict[str, Message] = {
    "host_wait": N_("waits for the host"),
    "kernel_wait": N_("between kernels"),
    "other": N_("other"),
}
IDLE_ROWS = 40  # streams that are shown


def hta(report: Report, locale: Locale) -> str:
    """Both breakdowns, or why there are none; empty where they were not asked for."""
    if report.hta is None:
        return ""
    if report.hta.note is not None:
        return f"{DASH} ({locale.message(report.hta.note, markdown_quote)})"
    _ = locale._
    note = _(
        "as HTA counts: without the last of several `ProfilerStep` and without what was launched outside of "
        "them; idle time of a stream by what it waits for, gaps below 30 µs being those between kernels"
    )
    return f"{_of_ranks(report.hta, locale)}\n\n{_of_streams(report.hta, locale)}\n\n*{note}.*"


def _of_ranks(found: Hta, locale: Locale) -> str:
    _ = locale._
    headers = [_("Rank"), _("Computing (ms)"), _("Communication and copies alone (ms)"), _("Idle (ms)")]
    headers += [_("Span (ms)"), _("Communication behind computing")]
    rows = [
        [
            str(row.rank),
            *(
                _with_share(us, row.span_us, locale)
                for us in (row.compute_us, row.non_compute_us, row.idle_us)
            ),
            locale.milliseconds(row.span_us),
            locale.percent(row.overlap_share),
        ]
        for row in found.ranks
    ]
    return table(headers, rows, "r" * len(headers))


def _with_share(us: float, of_us: float, locale: Locale) -> str:
    share = f" ({locale.percent(us / of_us)})" if of_us else ""
    return f"{locale.milliseconds(us)}{share}"


def _of_streams(found: Hta, locale: Locale) -> str:
    """A row per stream, those that idle longest first."""
    streams: dict[tuple[int, int], dict[str, float]] = {}
    for row in found.idle:
        streams.setdefault((row.rank, row.stream), {})[row.cause] = row.idle_us
    ranked = sorted(streams.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    headers = [locale._("Rank"), locale._("Stream")]
    headers += [f"{locale.message(label)} ({locale._('ms')})" for label in CAUSES.values()]
    rows = [
        [str(rank), str(stream), *(locale.milliseconds(causes.get(cause, 0.0)) for cause in CAUSES)]
        for (rank, stream), causes in ranked[:IDLE_ROWS]
    ]
    if len(ranked) > IDLE_ROWS:
        more = locale.ngettext("{n} more", "{n} more", len(ranked) - IDLE_ROWS)
        rows.append(["…", "", *[""] * (len(CAUSES) - 1), more])
    return table(headers, rows, "r" * len(headers))
