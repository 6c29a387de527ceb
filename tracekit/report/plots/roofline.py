"""The roofline: FLOP/s over FLOPs per byte of every operator, below what the device allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from tracekit.analysis.schema import OpRow, Report, Roof
from tracekit.report import palette, reasons, view
from tracekit.report.escape import ELLIPSIS
from tracekit.report.i18n import Locale
from tracekit.report.plots.common import limit_key, subject
from tracekit.report.plots.declutter import Box, Label, nearest, place
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.roofs import (
    LABEL_SIZE,
    LINE_HEIGHT,
    draw_roofs,
    pieces_of,
    to_points_of,
    write_beside,
)
from tracekit.report.plots.style import (
    INK,
    MUTED,
    SIZE,
    dress,
    fitted,
    number_formatter,
    path_fitted,
    width_of,
)

MOST_ROOFS = 3
MOST_DOTS = 300
LEAST_SHARE = 0.001  # of the GPU time of all dots: smaller ones are left out
LARGEST_DOT, SMALLEST_DOT, ALL_DOTS = 520.0, 7.0, 12_000.0  # square points
ALWAYS_NAMED, LEAST_NAMED = 4, 0.02  # so many dots have names, and others of so much of the GPU time
DOT_COST, LINE_COST = 30.0, 3.0  # points that a name goes away rather than cover a dot, or a piece of a roof
DECADES = 6
_OP_NAME, _PLACE_NAME = 1.7, 1.75


def roofline(report: Report, locale: Locale, top: int = 10) -> Picture:
    """A dot per operator and shapes; the `top` that take most GPU time are named."""
    title = locale._("Roofline of the operators")
    if why := reasons.why_no_bounds(report):
        return says_why(title, locale.message(why))
    dots, left_out = _dots(report)
    if not dots or not report.flops.roofs:
        return says_why(title, locale._("no operator has both FLOPs and a known bound on this device"))
    passes = report.time.passes
    over = locale.ngettext("{n} pass", "{n} passes", passes) if passes else locale._("no pass was found")
    lowest = _least(dots, roofs_of(report))
    has_lower = any((row.roofline_tflops or lowest) < lowest for row in dots)
    basis = [
        locale._("a dot: an operator and its shapes"),
        locale._("area: its GPU time over the whole trace, {passes}").format(passes=over),
    ]
    if left_out:
        basis.append(locale.ngettext("{n} small dot left out", "{n} small dots left out", left_out))
    flops = locale._(
        "FLOPs of a dot: of matrices, or of vectors where these take longer at the fp32 peak; "
        "copies have none and are not shown"
    )

    def draw(panels: Sequence[Axes]) -> None:
        _draw(panels[0], report, locale, dots, top)

    return Picture(
        title=title,
        notes=[view.sentence("; ".join(basis)), flops, subject(report)],
        draw=draw,
        height=4.3,
        left=0.95,
        right=0.25,
        below=0.5,
        keys=[limit_key(locale, [row.limited_by for row in dots], _dot), _areas(locale, dots, has_lower)],
    )


def _dots(report: Report) -> tuple[list[OpRow], int]:
    """The ops that have a place, the longest first, and how many small ones are left out."""
    found = [row for row in report.ops if row.roofline_tflops and row.roofline_intensity]
    found.sort(key=lambda row: -_time(row))
    least = LEAST_SHARE * sum(map(_time, found))
    shown = [row for row in found[:MOST_DOTS] if _time(row) >= least]
    return shown, len(found) - len(shown)


def _time(row: OpRow) -> float:
    return row.bounded_gpu_time_us or 0.0


def roofs_of(report: Report) -> list[Roof]:
    """The roofs that are drawn, the highest among them, so that nothing stands above for lack of its own."""
    roofs = list(report.flops.roofs)
    highest = max(roofs, key=lambda roof: roof.tflops)
    others = [roof for roof in roofs if roof is not highest][: MOST_ROOFS - 1]
    return sorted([highest, *others], key=lambda roof: -roof.tflops)


def _draw(axes: Axes, report: Report, locale: Locale, dots: Sequence[OpRow], top: int) -> None:
    dress(axes, "both")
    roofs, bandwidth = roofs_of(report), (report.device.bandwidth_gbs or 0.0) / 1e3
    lowest = _least(dots, roofs)
    _set_limits(axes, dots, roofs, bandwidth, lowest)
    axes.set_xlabel(locale._("Arithmetic intensity (FLOP/byte)"), fontsize=SIZE, color=INK)
    axes.set_ylabel(locale._("Performance (TFLOP/s)"), fontsize=SIZE, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, numticks=14))
        axis.set_major_formatter(number_formatter(locale))
        axis.set_minor_formatter(NullFormatter())
        axis.set_tick_params(which="minor", length=0)
    circles = [_square(_label(axes, row, dots, lowest, "")) for row in dots]
    taken = draw_roofs(axes, locale, roofs, bandwidth, circles)
    _draw_dots(axes, dots, lowest)
    seen = [(piece, LINE_COST) for piece in pieces_of(axes, roofs, bandwidth)]
    seen += [(circle, DOT_COST) for circle in circles]
    _draw_labels(axes, locale, dots, lowest, top, taken, seen)


def _least(dots: Sequence[OpRow], roofs: Sequence[Roof]) -> float:
    """The TFLOP/s down to which dots are drawn where they are.

    Decades below the roof nobody compares any more, and dots that matter would stand close together.
    """
    speeds, peak = [row.roofline_tflops or 1.0 for row in dots], roofs[0].tflops
    return max(min(*speeds, peak / 100), max(peak, *speeds) * 10.0**-DECADES)


def _set_limits(
    axes: Axes, dots: Sequence[OpRow], roofs: Sequence[Roof], bandwidth: float, lowest: float
) -> None:
    peak, ridges = roofs[0].tflops, [roof.tflops / bandwidth for roof in roofs]
    intensities = [row.roofline_intensity or 1.0 for row in dots]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(*intensities, min(ridges) / 5) / 2, max(*intensities, max(ridges) * 3) * 2)
    axes.set_ylim(lowest / 2.5, max(peak, *(row.roofline_tflops or 1.0 for row in dots)) * 2.5)


def _area(us: float, dots: Sequence[OpRow]) -> float:
    """Square points of a dot for so much time: many dots of the same size are smaller, to be told apart."""
    per_us = min(LARGEST_DOT / _time(dots[0]), ALL_DOTS / sum(map(_time, dots)))
    return max(SMALLEST_DOT, per_us * us)


def _draw_dots(axes: Axes, dots: Sequence[OpRow], lowest: float) -> None:
    for marker, below in (("o", False), ("v", True)):
        own = [row for row in dots if ((row.roofline_tflops or 0.0) < lowest) == below]
        if not own:
            continue
        intensities, speeds = zip(*(_at(row, lowest) for row in own), strict=True)
        axes.scatter(
            intensities,
            speeds,
            s=[_area(_time(row), dots) for row in own],
            c=[palette.LIMITS.get(row.limited_by or "", palette.GREY) for row in own],
            marker=marker,
            alpha=0.8,
            edgecolors="white",
            linewidths=0.6,
            zorder=3,
        )


def _draw_labels(
    axes: Axes,
    locale: Locale,
    dots: Sequence[OpRow],
    lowest: float,
    top: int,
    taken: Sequence[Box],
    seen: Sequence[tuple[Box, float]],
) -> None:
    """Names the longest dots; one name is written once, beside the longest of its dots."""
    least = LEAST_NAMED * sum(map(_time, dots))
    named: dict[str, OpRow] = {}
    for row in dots:
        if len(named) < top and (len(named) < ALWAYS_NAMED or _time(row) >= least):
            named.setdefault(_name(locale, row), row)
    labels = [_label(axes, row, dots, lowest, name) for name, row in named.items()]
    extent, scale = axes.get_window_extent(), 72 / axes.figure.dpi
    within = Box(1.0, 1.0, extent.width * scale - 1, extent.height * scale - 1)
    boxes = place(labels, within, taken, seen)
    for (name, row), label, box in zip(named.items(), labels, boxes, strict=True):
        if box is not None:
            write_beside(axes, name, _at(row, lowest), box, INK)
            _lead(axes, _at(row, lowest), label, box)


def _label(axes: Axes, row: OpRow, dots: Sequence[OpRow], lowest: float, name: str) -> Label:
    x, y = to_points_of(axes)(*_at(row, lowest))
    radius = math.sqrt(_area(_time(row), dots) / math.pi)
    return Label(x, y, radius, width_of(name, LABEL_SIZE) * 72 + 2, LINE_HEIGHT)


def _at(row: OpRow, lowest: float) -> tuple[float, float]:
    """Where the dot is drawn."""
    return row.roofline_intensity or 1.0, max(row.roofline_tflops or lowest, lowest)


def _square(dot: Label) -> Box:
    """What of a dot should not be covered."""
    half = 0.75 * dot.radius
    return Box(dot.x - half, dot.y - half, dot.x + half, dot.y + half)


def _lead(axes: Axes, at: tuple[float, float], label: Label, box: Box) -> None:
    """A thin line from a dot to its label, where that is not right beside it."""
    x, y = nearest(label, box)
    if math.hypot(x - label.x, y - label.y) > label.radius + 6:
        axes.annotate(
            "",
            at,
            xytext=(x - label.x, y - label.y),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": label.radius,
            },
        )


def _name(locale: Locale, row: OpRow) -> str:
    """The end of the place and the operator: `mlp.down_proj (mm)`; without a place its shapes."""
    op = fitted((row.name.rpartition("::")[2] or row.name).lstrip("_"), _OP_NAME, LABEL_SIZE)
    steps = [step for step in (row.place or "").split(".") if step != "*"][-2:]
    where = path_fitted(".".join(steps), _PLACE_NAME, LABEL_SIZE).removeprefix(ELLIPSIS)
    if not where:
        return f"{op} {fitted(row.shapes or '', _PLACE_NAME, LABEL_SIZE)}".rstrip()
    if row.launched_by == "modules_backward" and "backward" not in op:
        return locale._("{place}, backward ({operator})").format(place=where, operator=op)
    return f"{where} ({op})"


def _areas(locale: Locale, dots: Sequence[OpRow], has_lower: bool) -> Key:
    """Two dots with the times that they stand for, and one that lies lower than the axis reaches."""
    handles = []
    for share in (0.25, 0.025):
        us = 10.0 ** math.floor(math.log10(_time(dots[0]) * share))
        us *= max(step for step in (1, 2, 5) if us * step <= _time(dots[0]) * share * 1.0001)
        handles.append((_dot(palette.GREY, _area(us, dots)), _round_time(locale, us)))
    if has_lower:
        handles.append((_dot(palette.GREY, 60.0, "v"), locale._("below the axis")))
    return Key(handles, f"{locale._('GPU time')}:")


def _round_time(locale: Locale, us: float) -> str:
    """A round number of µs or ms, without decimals where it has none."""
    if us < 1:
        return locale.duration(us)
    unit, amount = (locale._("ms"), us / 1e3) if us >= 1e3 else (locale._("µs"), us)
    return f"{locale.count(round(amount))} {unit}"


def _dot(colour: str, area: float = 60.0, marker: str = "o") -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="",
        marker=marker,
        color=colour,
        markeredgecolor="white",
        markersize=math.sqrt(area),
    )
