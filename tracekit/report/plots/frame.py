"""A picture around its axes: title, what was measured, legends, sizes; and the files that are made of it.

Sizes are inches and all margins are known beforehand, so that nothing has to be drawn to be laid out. Figures
of files are never pyplot's: a program that saves reports keeps no windows.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from tracekit.report.plots.style import INK, MUTED, width_of, wrapped

WIDTH = 9.0
DPI = 160
EDGE = 0.15  # free at the border of a picture
TITLE_SIZE, NOTE_SIZE, LEGEND_SIZE = 12.5, 9.0, 8.5
TITLE_HEIGHT, LINE_HEIGHT, LEGEND_LINE = 0.3, 0.175, 0.21
_HANDLE, _HANDLE_GAP, _COLUMN_GAP = 1.6, 0.5, 1.6  # in heights of the font, as matplotlib counts
_LEGEND: dict[str, Any] = {
    "frameon": False,
    "borderpad": 0,
    "borderaxespad": 0,
    "handlelength": _HANDLE,
    "handletextpad": _HANDLE_GAP,
    "columnspacing": _COLUMN_GAP,
}


@dataclass(frozen=True)
class Key:
    """One legend: what handles stand for, `title` before them."""

    handles: Sequence[tuple[Any, str]]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """What is drawn on axes, and what must be known to understand it without another text.

    `draw` gets one axes per panel, placed and sized. `captions` name the panels where there are several.
    """

    title: str
    notes: Sequence[str]
    draw: Callable[[Sequence[Axes]], None]
    height: float  # of the axes of a panel
    left: float  # room for what stands beside the axes
    right: float = 0.3
    below: float = 0.3
    captions: Sequence[str] = ("",)
    keys: Sequence[Key] = field(default_factory=tuple)


def says_why(title: str, reason: str) -> Picture:
    """A small picture with a sentence where there is nothing to draw."""

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        axes.set_axis_off()
        lines = "\n".join(wrapped(reason, WIDTH - 1.0, 10))
        axes.text(
            0.5,
            0.5,
            lines,
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=10,
            parse_math=False,
        )

    return Picture(title, (), draw, height=0.9, left=EDGE, right=EDGE, below=EDGE)


def framed(picture: Picture, figure: Figure | None = None) -> Figure:
    """The whole picture, on a figure of its own or on an empty one of somebody else's."""
    if figure is None:
        figure = Figure()
        FigureCanvasAgg(figure)
    notes = [line for note in picture.notes for line in wrapped(note, WIDTH - 2 * EDGE, NOTE_SIZE)]
    lines = [line for key in picture.keys for line in _lines(key)]
    head = EDGE + TITLE_HEIGHT + LINE_HEIGHT * len(notes) + 0.1
    foot = EDGE + LEGEND_LINE * len(lines)
    caption_height = 0.3 if any(picture.captions) else 0.0
    panel_height = caption_height + picture.height + picture.below
    height = head + panel_height * len(picture.captions) + foot
    figure.set_size_inches(WIDTH, height)

    def write(text: str, left: float, baseline: float, size: float, **look: Any) -> None:
        figure.text(left / WIDTH, 1 - baseline / height, text, fontsize=size, parse_math=False, **look)

    write(picture.title, EDGE, EDGE + 0.17, TITLE_SIZE, fontweight="bold")
    for number, note in enumerate(notes):
        write(note, EDGE, EDGE + TITLE_HEIGHT + LINE_HEIGHT * (number + 0.7), NOTE_SIZE, color=MUTED)

    panels = []
    width = WIDTH - picture.left - picture.right
    for number, caption in enumerate(picture.captions):
        top = head + panel_height * number + caption_height
        write(caption, picture.left, top - 0.1, NOTE_SIZE, fontweight="bold")
        bottom = height - top - picture.height
        panels.append(
            figure.add_axes((picture.left / WIDTH, bottom / height, width / WIDTH, picture.height / height))
        )
    picture.draw(panels)

    for number, (title, entries) in enumerate(lines):
        top = foot - LEGEND_LINE * number
        write(title, EDGE, height - top + 0.095, LEGEND_SIZE, color=MUTED)
        left = EDGE + (width_of(title, LEGEND_SIZE) + 0.15 if title else 0.0)
        figure.legend(
            *zip(*entries, strict=True),
            loc="upper left",
            bbox_to_anchor=(left / WIDTH, top / height),
            ncols=len(entries),
            fontsize=LEGEND_SIZE,
            **_LEGEND,
        )
    return figure


def _lines(key: Key) -> list[tuple[str, list[tuple[Any, str]]]]:
    """The legend in lines that fit; the title stands in the first."""
    em = LEGEND_SIZE / 72
    room = WIDTH - 2 * EDGE - width_of(key.title, LEGEND_SIZE) - 0.15
    lines: list[tuple[str, list[tuple[Any, str]]]] = []
    used = 0.0
    for handle, name in key.handles:
        width = width_of(name, LEGEND_SIZE) + (_HANDLE + _HANDLE_GAP + _COLUMN_GAP) * em
        if not lines or used + width > room:
            lines.append(("" if lines else key.title, []))
            used = 0.0
        lines[-1][1].append((handle, name))
        used += width
    return lines


def onto(picture: Picture, axes: Axes) -> Axes:
    """The picture on axes of somebody else: title and notes above, the legend below."""
    picture.draw([axes])
    inches = axes.get_window_extent().width / axes.figure.dpi
    notes = [line for note in picture.notes for line in wrapped(note, inches, NOTE_SIZE - 1)]
    axes.set_title(
        picture.title,
        loc="left",
        fontsize=TITLE_SIZE - 1.5,
        fontweight="bold",
        color=INK,
        pad=6 + 12 * len(notes),
        parse_math=False,
    )
    for number, note in enumerate(reversed(notes)):
        axes.annotate(
            note,
            (0, 1),
            xytext=(0, 5 + 12 * number),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=NOTE_SIZE - 1,
            color=MUTED,
            parse_math=False,
        )
    handles = [handle for key in picture.keys for handle in key.handles]
    if handles:
        widest = max(width_of(name, LEGEND_SIZE) for _handle, name in handles)
        column = widest + (_HANDLE + _HANDLE_GAP + _COLUMN_GAP) * LEGEND_SIZE / 72
        axes.legend(
            *zip(*handles, strict=True),
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=axes.transAxes + ScaledTranslation(0, -picture.below, axes.figure.dpi_scale_trans),
            ncols=min(len(handles), max(1, int(inches / column))),
            fontsize=LEGEND_SIZE,
            labelcolor=INK,
            **_LEGEND,
        )
    return axes


def rendered(picture: Picture, kinds: Collection[str]) -> dict[str, bytes]:
    """The picture as files, by kind: "png", "svg". Without a date: the same report makes the same bytes."""
    figure = framed(picture)
    files = {}
    # By the canvases themselves: `Figure.savefig` draws everything twice, the first time for a layout.
    if "png" in kinds:
        buffer = io.BytesIO()
        figure.set_dpi(DPI)
        FigureCanvasAgg(figure).print_png(  # type: ignore[no-untyped-call]
            buffer, metadata={"Software": "tracekit"}, pil_kwargs={"compress_level": 5}
        )
        files["png"] = buffer.getvalue()
    if "svg" in kinds:
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "tracekit"}
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)  # type: ignore[no-untyped-call]
        files["svg"] = buffer.getvalue()
    return files
