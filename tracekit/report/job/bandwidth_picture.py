"""Picture of bus bandwidth over the size of collectives, a line for each operation and size of group."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from tracekit.analysis.ranks.schema import Job
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.job.curve_chart import MOST_CURVES, round_bytes
from tracekit.report.job.figures import curves_of
from tracekit.report.job.words import curve_name
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import INK, SIZE, dress, fitted, number_ticks

_HEIGHT = 3.0
_NAME = 3.6  # inches


def bandwidth(job: Job, locale: Locale) -> Picture:
    """Medians over the groups, with the range of these."""
    _ = locale._
    title = _("Bus bandwidth over size")
    curves = curves_of(job)
    if not curves:
        return says_why(title, _("the bandwidth of no collective is known"))
    shown = curves[:MOST_CURVES]
    notes = [_("as nccl-tests count it; the time is that of the transfer, without waiting")]
    if any(point.groups > 1 for curve in shown for point in curve.points):
        notes.append(_("median over the groups, and their range"))
    if len(curves) > len(shown):
        rest = len(curves) - len(shown)
        notes.append(
            locale.ngettext("{n} more operation is not shown", "{n} more operations are not shown", rest)
        )

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        dress(axes, "both")
        axes.set_xscale("log")
        for curve, colour in zip(shown, palette.SERIES, strict=False):
            sizes = [point.bytes for point in curve.points]
            medians = [point.median_gbs for point in curve.points]
            axes.plot(sizes, medians, marker="o", markersize=4.5, linewidth=1.4, color=colour)
            for point in curve.points:
                if point.most_gbs > point.least_gbs:
                    axes.plot([point.bytes] * 2, [point.least_gbs, point.most_gbs], color=colour, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.margins(y=0.1)
        number_ticks(axes.yaxis, locale)
        size_ticks(axes, [point.bytes for curve in shown for point in curve.points], locale)
        axes.set_ylabel(f"{_('Bus bandwidth')} ({_('GB/s')})", fontsize=SIZE, color=INK)
        axes.set_xlabel(_("Size of the message"), fontsize=SIZE, color=INK)

    handles = [
        (
            Line2D([], [], color=colour, marker="o", markersize=4.5, linewidth=1.4),
            fitted(curve_name(curve, locale), _NAME),
        )
        for curve, colour in zip(shown, palette.SERIES, strict=False)
    ]
    return Picture(
        title=title,
        notes=["; ".join(notes)],
        draw=draw,
        height=_HEIGHT,
        left=0.75,
        below=0.5,
        keys=[Key(handles)],
    )


def size_ticks(axes: Axes, sizes: Sequence[int], locale: Locale) -> None:
    """Powers of ten with their units, on an axis that holds all sizes."""
    least, most = min(sizes), max(sizes)
    powers = [10**power for power in range(22) if 10**power <= 10 * most and 10 ** (power + 1) >= least]
    axes.set_xlim(least / 1.6, most * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(powers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_ticks(powers, labels=[round_bytes(power, locale) for power in powers])
    axes.set_xlim(least / 1.6, most * 1.6)
