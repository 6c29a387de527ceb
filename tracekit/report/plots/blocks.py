"""Picture of the blocks: the time of each, stacked by part, and its efficiency as a line on a second axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke

from tracekit.analysis.schema import BlockRow, Report
from tracekit.report import palette, reasons, view
from tracekit.report.i18n import Locale
from tracekit.report.phase_view import side_by_side
from tracekit.report.plots.common import LEGEND_NAME, subject, time_label
from tracekit.report.plots.frame import Key, Picture, says_why
from tracekit.report.plots.style import (
    INK,
    MUTED,
    RULE,
    SIZE,
    dress,
    fitted,
    name_ticks,
    number_ticks,
    path_fitted,
    width_of,
)

LEFT, RIGHT, BELOW = 0.85, 0.8, 0.55
MOST_NUMBERS = 42
MIN_PLACES = 12
MOST_MARKERS = 1000  # more are one band, and take seconds to draw
LINE: dict[str, Any] = {
    "color": INK,
    "marker": "o",
    "markersize": 3.5,
    "markeredgewidth": 0,
    "linewidth": 1.3,
    # A white rim keeps the line readable in front of bars of any colour.
    "path_effects": [Stroke(linewidth=2.8, foreground="white"), Normal()],
}
# Kinds that are no part of their own, under bars that are coloured by part: their colours mean no part.
KINDS = (INK, "#7d8892", "#b9c1c8")


def block_time(report: Report, locale: Locale) -> Picture:
    """Time per pass of every block, a panel per phase: what is long in one may be nothing in another."""
    return _picture(report, locale, side_by_side(report))


def block_time_of(report: Report, locale: Locale, phase: str | None = None) -> Picture:
    """The same of one phase, without a name of the main one."""
    return _picture(report, locale, [phase])


def _picture(report: Report, locale: Locale, phases: Sequence[str | None]) -> Picture:
    title = locale._("Time and efficiency by block")
    if not report.blocks:
        return says_why(title, locale.message(reasons.why_no_blocks(report)))
    if not any(view.block_time_us(report, block, phase) for block in report.blocks for phase in phases):
        return says_why(title, locale.message(reasons.why_no_module_times(report)))
    measured = locale._("GPU time") if view.has_gpu(report) else locale._("CPU time (no GPU in the trace)")
    measures = [f"{measured}, {view.per_pass_text(report, locale, phase)}" for phase in phases]
    several = len(phases) > 1

    def draw(panels: Sequence[Axes]) -> None:
        for phase, axes in zip(phases, panels, strict=True):
            _draw_panel(report, locale, axes, phase)

    return Picture(
        title=title,
        notes=[subject(report)] if several else [measures[0], subject(report)],
        draw=draw,
        height=2.1 if several else 3.1,
        left=LEFT,
        right=RIGHT,
        below=BELOW,
        captions=measures if several else ("",),
        keys=_keys(report, locale, phases),
    )


def _draw_panel(report: Report, locale: Locale, axes: Axes, phase: str | None) -> None:
    blocks, places = report.blocks, _places(report.blocks)
    dress(axes, "y")
    tops = np.zeros(len(blocks))
    for colour, heights in _layers(report, phase):
        _draw_bars(axes, places, tops, heights, colour)
        tops += heights
    # Bars that are alike stay below their line where that is level too.
    has_line = any(view.block_speed(report, block, phase) is not None for block in blocks)
    axes.set_ylim(0, tops.max() * (1.35 if has_line else 1.15) or 1.0)
    axes.set_ylabel(time_label(report, locale), fontsize=SIZE, color=INK)
    number_ticks(axes.yaxis, locale)
    _draw_numbers(axes, report, places, locale)
    _draw_stacks(axes, blocks, places)
    if has_strip(report):
        _draw_strip(axes, report, places)
    _draw_efficiency(report, locale, axes, places, phase)


def _layers(report: Report, phase: str | None) -> list[tuple[str, Any]]:
    """Colours and heights in ms of what is stacked: parts, or whole blocks of each kind."""
    blocks = report.blocks
    if knows_parts(report):
        times = [view.block_part_times_us(report, block, phase) for block in blocks]
        return [
            (palette.PARTS[part], np.array([max(own.get(part, 0.0), 0.0) / 1e3 for own in times]))
            for part in parts_of(report, [phase])
        ]
    whole = np.array([(view.block_time_us(report, block, phase) or 0.0) / 1e3 for block in blocks])
    return [
        (colour, np.where([block.kind == kind for block in blocks], whole, 0.0))
        for kind, colour in _bar_colours(report).items()
    ]


def _draw_bars(axes: Axes, places: Sequence[float], bottoms: Any, heights: Any, colour: str) -> None:
    """Bars as one collection: hundreds of single ones would take longer than all the rest."""
    at = np.flatnonzero(heights)
    if not len(at):
        return
    left, low, high = np.array(places)[at] - 0.41, bottoms[at], (bottoms + heights)[at]
    right = left + 0.82
    corners = np.stack([left, low, right, low, right, high, left, high], axis=1).reshape(-1, 4, 2)
    axes.add_collection(PolyCollection(list(corners), facecolors=colour, linewidths=0), autolim=False)


def knows_parts(report: Report) -> bool:
    """Whether the bars are stacked by part; else they have the colours of their kinds."""
    return any(block.parts for block in report.blocks)


def has_strip(report: Report) -> bool:
    """Whether kinds are told apart below the bars: the colour of its main part tells what a mere part is."""
    kinds = _kinds(report)
    return knows_parts(report) and len(kinds) > 1 and not set(kinds) <= set(palette.PARTS)


def parts_of(report: Report, phases: Sequence[str | None]) -> list[str]:
    """The parts that any block has, in the order in which they are stacked."""
    found = {
        part
        for block in report.blocks
        for phase in phases
        for part, us in view.block_part_times_us(report, block, phase).items()
        if us > 0
    }
    return [part for part in palette.PARTS if part in found]


def _kinds(report: Report) -> list[str]:
    return list(dict.fromkeys(block.kind for block in report.blocks))


def _bar_colours(report: Report) -> dict[str, str]:
    """A colour for each kind: its own if it is a part, else one that no part of these has."""
    kinds = _kinds(report)
    taken = {palette.PARTS[kind] for kind in kinds if kind in palette.PARTS}
    free = iter([colour for colour in palette.SERIES if colour not in taken])
    return {kind: palette.PARTS.get(kind) or next(free, palette.GREY) for kind in kinds}


def _strip_colours(report: Report) -> dict[str, str]:
    free = iter(KINDS)
    return {kind: palette.PARTS.get(kind) or next(free, palette.GREY) for kind in _kinds(report)}


def _keys(report: Report, locale: Locale, phases: Sequence[str | None]) -> list[Key]:
    line = []
    if any(view.block_speed(report, block, phase) is not None for block in report.blocks for phase in phases):
        line = [(Line2D([], [], **LINE), _speed_label(report, locale))]
    if not knows_parts(report):
        handles = [
            (Patch(facecolor=colour), fitted(kind, LEGEND_NAME))
            for kind, colour in _bar_colours(report).items()
        ]
        return [Key([*handles, *line])]
    handles = [
        (Patch(facecolor=palette.PARTS[part]), locale.message(view.PARTS[part]))
        for part in parts_of(report, phases)
    ]
    keys = [Key([*handles, *line])]
    if has_strip(report):
        kinds = [
            (Patch(facecolor=colour), fitted(kind, LEGEND_NAME))
            for kind, colour in _strip_colours(report).items()
        ]
        keys.append(Key(kinds, locale._("Kind of block (strip below the bars):")))
    return keys


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


def _draw_numbers(axes: Axes, report: Report, places: Sequence[float], locale: Locale) -> None:
    """Numbers of the blocks, as many as fit."""
    blocks = report.blocks
    step = max(1, math.ceil(len(blocks) / MOST_NUMBERS))
    step = next(nice for nice in (1, 2, 5, 10, 20, 50, 100, 1000, 10**9) if nice >= step)
    shown = [i for i, block in enumerate(blocks) if block.index % step == 0]
    name_ticks(axes.xaxis, [places[i] for i in shown], [str(blocks[i].index) for i in shown])
    axes.tick_params(axis="x", pad=12 if has_strip(report) else 6)
    # A few bars are not blown up to the whole width.
    margin = max(0.8, (MIN_PLACES - len(blocks)) / 2)
    axes.set_xlim(places[0] - margin, places[-1] + margin)
    axes.set_xlabel(locale._("Block number"), fontsize=SIZE, color=INK)
    axes.axhline(0, color=RULE, linewidth=1)


def _draw_stacks(axes: Axes, blocks: Sequence[BlockRow], places: Sequence[float]) -> None:
    """The names of the stacks above their bars, where there are several."""
    stacks: dict[str, list[float]] = {}
    for block, place in zip(blocks, places, strict=True):
        stacks.setdefault(block.stack, []).append(place)
    if len(stacks) == 1:
        return
    left, right = axes.get_xlim()
    inches = axes.get_window_extent().width / axes.figure.dpi / (right - left)
    for number, (stack, own) in enumerate(stacks.items()):
        if number:
            axes.axvline(own[0] - 1, color=RULE, linewidth=1)
        name = path_fitted(stack, max(0.3, inches * len(own)))
        middle = (own[0] + own[-1]) / 2
        # The name of a narrow stack at the border stays within the picture.
        half = width_of(name) / inches / 2
        middle = min(max(middle, left + half), right - half)
        axes.text(
            middle,
            0.985,
            name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=SIZE,
            color=MUTED,
            parse_math=False,
        )


def _draw_strip(axes: Axes, report: Report, places: Sequence[float]) -> None:
    """The kind of each block as a field of colour below its bar."""
    colours = _strip_colours(report)
    for kind, colour in colours.items():
        left = (
            np.array([at for at, block in zip(places, report.blocks, strict=True) if block.kind == kind])
            - 0.41
        )
        low, high, right = np.full_like(left, -0.03), np.full_like(left, -0.01), left + 0.82
        corners = np.stack([left, low, right, low, right, high, left, high], axis=1).reshape(-1, 4, 2)
        axes.add_collection(
            PolyCollection(
                list(corners),
                facecolors=colour,
                linewidths=0,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            ),
            autolim=False,
        )


def _draw_efficiency(
    report: Report, locale: Locale, axes: Axes, places: Sequence[float], phase: str | None
) -> None:
    """The line on an axis of its own; nothing where no block has an efficiency."""
    speeds = [view.block_speed(report, block, phase) for block in report.blocks]
    known = [speed for speed in speeds if speed is not None]
    if not known:
        return
    second = axes.twinx()
    dress(second, "y")
    second.patch.set_visible(False)
    second.grid(visible=False)
    values = [math.nan if speed is None else speed for speed in speeds]
    # A line joins the blocks of one stack only.
    ends = [i for i in range(1, len(places)) if places[i] - places[i - 1] > 1] + [len(places)]
    for start, end in zip([0, *ends], ends, strict=False):
        (line,) = second.plot(places[start:end], values[start:end], **LINE)
        if len(places) > MOST_NUMBERS:
            line.set(markersize=2.2, linewidth=0.9)
        if len(places) > MOST_MARKERS:
            line.set(marker="", path_effects=None)
    second.set_ylabel("TFLOP/s" if view.has_gpu(report) else "GFLOP/s", fontsize=SIZE, color=INK)
    second.set_ylim(0, max(known) * 1.12 or 1.0)
    number_ticks(second.yaxis, locale)


def _speed_label(report: Report, locale: Locale) -> str:
    if view.has_gpu(report):
        return locale._("Efficiency (TFLOP/s)")
    return locale._("Efficiency (GFLOP/s, CPU time)")
