"""The pictures of the report: PNG files drawn with seaborn on figures of their own, never on pyplot's.

Each title says what is measured, in which unit and over how many passes. Without data a picture says why.
Trace text is drawn as it is: `$` starts no formula.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FuncFormatter

from tracekit.analysis.schema import BlockRow, Report
from tracekit.messages import Message
from tracekit.report import reasons, view
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.phase_view import side_by_side

DPI = 120
LABEL_WIDTH = 46
TYPE_BARS = 12
MIN_PLACES = 12
LETTERS_PER_INCH = 10
# Okabe and Ito's colours as seaborn has them: told apart with any kind of colour vision.
# Grey is kept for what has no colour of its own.
GREY = (0.58, 0.58, 0.58)
PALETTE = [colour for colour in sns.color_palette("colorblind") if max(colour) - min(colour) > 0.05]
INK = "#26323d"
STYLE = {
    **sns.axes_style("whitegrid"),
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#c8ced3",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e6e9ec",
}


def render_pngs(report: Report, locale: Locale, top: int = 20) -> dict[str, bytes]:
    """File name to PNG of every picture; `top` modules are shown in the first."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn with boxes: no reason to talk to the user.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        return {
            "layer_time.png": _png(layer_time(report, locale, top)),
            "type_time.png": _png(type_time(report, locale)),
            "block_time.png": _png(block_time(report, locale)),
        }


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "tracekit"})
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _says_why(title: str, reason: str) -> Figure:
    """A small picture with a sentence where there is nothing to draw."""
    figure = _figure(9, 2.2)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(title, loc="left")
    axes.text(0.5, 0.45, reason, ha="center", va="center", wrap=True, transform=axes.transAxes, fontsize=11)
    return figure


def layer_time(report: Report, locale: Locale, top: int = 20) -> Figure:
    """Self time per pass of the slowest modules, coloured by type."""
    timed = view.slowest_modules(report, top)
    if not timed:
        return _says_why(locale._("Time by module"), locale.message(reasons.why_no_module_times(report)))
    kinds = list(dict.fromkeys(module.type or DASH for module, _us in timed))
    colours = _colours(kinds)
    figure = _bars(
        [
            elide(clean(module.path), LABEL_WIDTH) or f"({locale._('the whole model')})"
            for module, _us in timed
        ],
        [us for _module, us in timed],
        [colours[module.type or DASH] for module, _us in timed],
        locale,
    )
    _title(figure.axes[0], locale._("Slowest modules"), view.self_time_basis(report, locale))
    axes = figure.axes[0]
    axes.set_xlabel(_time_label(report, locale))
    shown = {elide(clean(kind), 28): colours[kind] for kind in kinds[: len(PALETTE)]}
    if len(kinds) > len(PALETTE):
        shown[locale._("other types")] = GREY
    _legend(figure, shown)
    return figure


def type_time(report: Report, locale: Locale) -> Figure:
    """Self time over the whole trace by module type; what is in no module has bars of its own."""
    timed = [(row, us) for row, us in view.types_by_time(report) if us > 0]
    title = locale._("Time by module type")
    if not timed:
        return _says_why(title, locale.message(reasons.why_no_modules()))
    modules = [(str(row.type), us) for row, us in timed if row.kind == "modules"]
    others = [(view.type_label(row), us) for row, us in timed if row.kind != "modules"]
    bars: list[tuple[str, float, Any]] = [
        (elide(clean(name), LABEL_WIDTH), us, PALETTE[0]) for name, us in modules[:TYPE_BARS]
    ]
    if rest := modules[TYPE_BARS:]:
        label = locale.ngettext("other ({n} type)", "other ({n} types)", len(rest))
        bars.append((label, sum(us for _name, us in rest), PALETTE[-1]))
    bars += [(_label(locale, label), us, GREY) for label, us in others]
    figure = _bars([b[0] for b in bars], [b[1] for b in bars], [b[2] for b in bars], locale)
    measured = (
        locale._("GPU self time") if view.has_gpu(report) else locale._("CPU self time (no GPU in the trace)")
    )
    passes = report.time.passes
    over = locale.ngettext("{n} pass", "{n} passes", passes) if passes else locale._("no pass was found")
    phases = [elide(clean(phase), 24) for phase in side_by_side(report) if phase is not None]
    of_phases = f" ({', '.join(phases)})" if phases else ""
    _title(figure.axes[0], title, f"{measured}, {locale._('over the whole trace')}, {over}{of_phases}")
    figure.axes[0].set_xlabel(_time_label(report, locale))
    return figure


def _label(locale: Locale, label: str | Message) -> str:
    return locale.message(label) if isinstance(label, Message) else elide(clean(label), LABEL_WIDTH)


def _bars(names: Sequence[str], times_us: Sequence[float], colours: Sequence[Any], locale: Locale) -> Figure:
    """Horizontal bars of milliseconds, the longest on top, each with its number."""
    figure = _figure(11, 1.6 + 0.3 * len(names))
    axes = figure.subplots()
    times = [us / 1e3 for us in times_us]
    # Bars are placed by number: two names may look the same once they are shortened.
    order = [str(i) for i in range(len(names))]
    sns.barplot(
        x=times,
        y=order,
        hue=order,
        palette=dict(zip(order, colours, strict=True)),
        saturation=1,
        legend=False,
        orient="h",
        errorbar=None,
        ax=axes,
    )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("")
    axes.set_xlim(0, max(times) * 1.12)
    for position, us in enumerate(times_us):
        axes.annotate(
            locale.milliseconds(us),
            (us / 1e3, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.grid(axis="y", visible=False)
    _local_ticks(axes.xaxis, locale)
    sns.despine(ax=axes, left=True, bottom=True)
    return figure


def block_time(report: Report, locale: Locale) -> Figure:
    """Time per pass of every block, a colour per kind, and its efficiency as a line on a second axis.

    Phases stand below each other: what is a long time in one may be nothing in another.
    """
    title = locale._("Time and efficiency by block")
    if not report.blocks:
        return _says_why(title, locale.message(reasons.why_no_blocks(report)))
    blocks, phases = report.blocks, side_by_side(report)
    colours = _colours(list(dict.fromkeys(block.kind for block in blocks)))
    figure = _figure(min(16, max(9, 3 + 0.16 * len(blocks))), 5.2 if len(phases) == 1 else 3.9 * len(phases))
    panels = figure.subplots(len(phases), squeeze=False)[:, 0]
    figure.get_layout_engine().set(h_pad=0.12)  # type: ignore[union-attr, call-arg]
    line = None
    measured = locale._("GPU time") if view.has_gpu(report) else locale._("CPU time (no GPU in the trace)")
    for position, (phase, axes) in enumerate(zip(phases, panels, strict=True)):
        line = _block_panel(report, locale, axes, colours, phase) or line
        subtitle = f"{measured}, {view.per_pass_text(report, locale, phase)}"
        _title(axes, title if position == 0 else "", subtitle)
        if position < len(phases) - 1:
            axes.set_xlabel("")
    handles = {elide(clean(kind), 28): colour for kind, colour in colours.items()}
    _legend(figure, handles, line)
    return figure


def _block_panel(
    report: Report, locale: Locale, axes: Axes, colours: dict[str, Any], phase: str | None
) -> Any:
    """Draws the blocks and returns the line of their efficiency, None without one."""
    blocks = report.blocks
    times = [view.block_time_us(report, block, phase) for block in blocks]
    places = _places(blocks)
    for kind, colour in colours.items():
        own = [i for i, block in enumerate(blocks) if block.kind == kind]
        heights = [(times[i] or 0) / 1e3 for i in own]
        axes.bar([places[i] for i in own], heights, width=0.82, color=colour, linewidth=0)
    axes.set_ylabel(_time_label(report, locale))
    axes.set_ylim(0, max((us or 0 for us in times), default=0) / 1e3 * 1.15 or 1)
    _local_ticks(axes.yaxis, locale)
    axes.grid(axis="x", visible=False)
    _block_ticks(axes, blocks, places, locale)
    return _efficiency_line(report, locale, axes, places, phase)


def _places(blocks: Sequence[BlockRow]) -> list[float]:
    """Where the bars stand: one after another, with a gap between stacks."""
    places: list[float] = []
    place, stack = 0.0, blocks[0].stack
    for block in blocks:
        if block.stack != stack:
            place, stack = place + 1, block.stack
        places.append(place)
        place += 1
    return places


def _block_ticks(axes: Axes, blocks: Sequence[BlockRow], places: Sequence[float], locale: Locale) -> None:
    """Numbers of the blocks, as many as fit, and the names of the stacks where there are several."""
    step = max(1, math.ceil(len(blocks) / 40))
    step = next(nice for nice in (1, 2, 5, 10, 20, 50, 100, 1000, 10**9) if nice >= step)
    shown = [i for i, block in enumerate(blocks) if block.index % step == 0]
    axes.set_xticks([places[i] for i in shown], [str(blocks[i].index) for i in shown])
    # A few bars are not blown up to the whole width.
    margin = max(0.8, (MIN_PLACES - len(blocks)) / 2)
    axes.set_xlim(places[0] - margin, places[-1] + margin)
    axes.set_xlabel(locale._("Block number"))
    stacks: dict[str, list[float]] = {}
    for block, place in zip(blocks, places, strict=True):
        stacks.setdefault(block.stack, []).append(place)
    if len(stacks) == 1:
        return
    width = axes.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    letters_per_place = LETTERS_PER_INCH * (width - 1.5) / (places[-1] - places[0] + 2 * margin)
    for number, (stack, own) in enumerate(stacks.items()):
        if number:
            axes.axvline(own[0] - 1, color="#c8ced3", linewidth=1)
        name = elide(clean(stack), max(3, int(letters_per_place * len(own))))
        middle = (own[0] + own[-1]) / 2
        axes.text(
            middle, 0.985, name, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=9
        )


def _efficiency_line(
    report: Report, locale: Locale, axes: Axes, places: Sequence[float], phase: str | None
) -> Any:
    """Draws the line and returns it for the legend; None where no block has an efficiency."""
    speeds = [view.block_speed(report, block, phase) for block in report.blocks]
    known = [speed for speed in speeds if speed is not None]
    if not known:
        return None
    unit = locale._("Efficiency (TFLOP/s)")
    if not view.has_gpu(report):
        unit = locale._("Efficiency (GFLOP/s, CPU time)")
    second = axes.twinx()
    values = [math.nan if speed is None else speed for speed in speeds]
    start = 0
    line = None
    # A line joins the blocks of one stack only.
    for end in [i for i in range(1, len(places)) if places[i] - places[i - 1] > 1] + [len(places)]:
        (line,) = second.plot(
            places[start:end],
            values[start:end],
            color=INK,
            marker="o",
            markersize=4,
            markeredgewidth=0,
            linewidth=1.4,
            # A white rim keeps the line readable in front of bars of any colour.
            path_effects=[Stroke(linewidth=3, foreground="white"), Normal()],
            label=unit,
        )
        start = end
    second.set_ylabel(unit)
    second.set_ylim(0, max(known) * 1.15 or 1)
    second.grid(visible=False)
    _local_ticks(second.yaxis, locale)
    sns.despine(ax=second, left=True, bottom=True)
    sns.despine(ax=axes, left=True)
    return line


def _colours(kinds: Sequence[str]) -> dict[str, Any]:
    """A colour of the palette for each of the first kinds; grey for what is beyond it."""
    return {kind: PALETTE[i] if i < len(PALETTE) else GREY for i, kind in enumerate(kinds)}


def _legend(figure: Figure, colours: dict[str, Any], line: Any = None) -> None:
    """A legend below the axes, where it covers nothing."""
    handles: list[Any] = [Patch(color=colour) for colour in colours.values()]
    names = list(colours)
    if line is not None:
        handles.append(line)
        names.append(str(line.get_label()))
    figure.legend(
        handles,
        names,
        fontsize=9,
        frameon=False,
        loc="outside lower center",
        ncols=len(names) if len(names) <= 5 else 4,
    )


def _title(axes: Axes, title: str, measured: str) -> None:
    """A title, and under it what is measured."""
    if title:
        axes.set_title(title, loc="left", pad=22)
    axes.annotate(
        measured,
        (0, 1),
        xytext=(0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
    )


def _time_label(report: Report, locale: Locale) -> str:
    return locale._("GPU time (ms)") if view.has_gpu(report) else locale._("CPU time (ms)")


def _local_ticks(axis: Any, locale: Locale) -> None:
    def shown(value: float, _position: int) -> str:
        text = f"{value:.10g}"
        return text.replace(".", locale.decimal_symbol) if abs(value) < 1e4 else locale.count(round(value))

    axis.set_major_formatter(FuncFormatter(shown))
