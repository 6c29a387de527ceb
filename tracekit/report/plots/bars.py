"""Horizontal bars with names on the left and numbers at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from tracekit.report.i18n import Locale
from tracekit.report.plots.style import INK, MUTED, SIZE, dress, name_ticks, number_ticks, width_of

NAME_WIDTH = 3.2  # inches of the longest name
BELOW = 0.5  # inches for the numbers and the name of the axis
LONGEST_SUM = 1.5  # of the longest bar that is none: a longer sum is cut, or nobody would see the others
_ROW, _BAR = 0.245, 0.74
_NUMBER_SIZE = 8.5


@dataclass(frozen=True)
class Bar:
    """`parts`: lengths and colours from the left; at the end a number, and behind it a remark.

    `stands_for_others`: a sum of what is too short to have a bar, which may be longer than all of them.
    """

    name: str
    parts: Sequence[tuple[float, str]]
    number: str
    remark: str = ""
    stands_for_others: bool = False

    @property
    def length(self) -> float:
        return sum(length for length, _colour in self.parts)


def height_of(bars: Sequence[Bar]) -> float:
    """Inches of axes with these bars."""
    return _ROW * len(bars) + 0.1


def room_for_names(bars: Sequence[Bar]) -> float:
    """Inches that the names need on the left of the axes."""
    return max(width_of(bar.name) for bar in bars) + 0.25


def draw(axes: Axes, bars: Sequence[Bar], label: str, locale: Locale) -> None:
    """Draws the bars from above, `label` being the name of their axis."""
    dress(axes, "x")
    places = [float(place) for place in range(len(bars))]
    drawn = _drawn_lengths(bars)
    for place, bar, whole in zip(places, bars, drawn, strict=True):
        start = 0.0
        for length, colour in bar.parts:
            shown = length * whole / (bar.length or 1.0)
            axes.barh(place, shown, left=start, height=_BAR, color=colour, linewidth=0)
            start += shown
        if whole < bar.length:
            _cut(axes, place, whole)
    name_ticks(axes.yaxis, places, [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.5 + 0.05 / _ROW, -0.5 - 0.05 / _ROW)
    axes.set_xlabel(label, fontsize=SIZE, color=INK)
    number_ticks(axes.xaxis, locale)
    _write_numbers(axes, bars, drawn)


def _drawn_lengths(bars: Sequence[Bar]) -> list[float]:
    """The lengths as they are, but for sums that are cut."""
    most = LONGEST_SUM * max((bar.length for bar in bars if not bar.stands_for_others), default=0.0)
    return [min(bar.length, most) if bar.stands_for_others and most else bar.length for bar in bars]


def _cut(axes: Axes, place: float, length: float) -> None:
    """A stroke across a bar that goes on farther than it is drawn."""
    tilt = ScaledTranslation(-8 / 72, 0, axes.figure.dpi_scale_trans)
    (stroke,) = axes.plot(
        [length * 0.985, length],
        [place + _BAR / 2 + 0.04, place - _BAR / 2 - 0.04],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
    )
    stroke.set_transform(axes.transData + tilt)


def _write_numbers(axes: Axes, bars: Sequence[Bar], lengths: Sequence[float]) -> None:
    """Writes the numbers, and shows so much of the axis that they are within it."""
    width = axes.get_window_extent().width / axes.figure.dpi
    longest = max(lengths) or 1.0
    texts = [f"{bar.number}  {bar.remark}".rstrip() for bar in bars]
    # The number of every bar ends within the axes: length · (width − its number) ≤ width.
    limit = max(
        length * width / max(width - width_of(text, _NUMBER_SIZE) - 0.12, width / 4)
        for length, text in zip(lengths, texts, strict=True)
    )
    axes.set_xlim(0, max(limit, longest * 1.02))
    for place, (bar, length) in enumerate(zip(bars, lengths, strict=True)):
        shift = 4.0
        for text, colour in ((bar.number, INK), (bar.remark, MUTED)):
            if text:
                axes.annotate(
                    text,
                    (length, place),
                    xytext=(shift, -0.5),
                    textcoords="offset points",
                    va="center_baseline",
                    fontsize=_NUMBER_SIZE,
                    color=colour,
                    parse_math=False,
                )
            shift += width_of(f"{text}  ", _NUMBER_SIZE) * 72
