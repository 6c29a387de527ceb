"""The roofs of a roofline, with their names, and how texts are held beside places of logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from tracekit.analysis.schema import Roof
from tracekit.report.i18n import Locale
from tracekit.report.plots.declutter import Box
from tracekit.report.plots.style import fitted, width_of

LABEL_SIZE = 8.0
ROOF, SHADE = "#4a5661", "#f3f4f6"
LINE_HEIGHT = LABEL_SIZE * 1.25


def draw_roofs(
    axes: Axes, locale: Locale, roofs: Sequence[Roof], bandwidth: float, dots: Sequence[Box]
) -> list[Box]:
    """Draws the roofs, the highest first, with their names, and returns where these stand, in points.

    `bandwidth` is in TB/s, that is, TFLOP/s for one FLOP per byte. Names avoid `dots` if they can.
    """
    left, right = axes.get_xlim()
    peak = roofs[0].tflops
    ridge = peak / bandwidth
    axes.fill_between(
        [left, ridge, right],
        [left * bandwidth, peak, peak],
        axes.get_ylim()[1],
        color=SHADE,
        linewidth=0,
        zorder=0,
    )
    axes.plot([left, ridge], [left * bandwidth, peak], color=ROOF, linewidth=1.4, zorder=1)
    for roof in roofs:
        axes.plot(
            [roof.tflops / bandwidth, right],
            [roof.tflops] * 2,
            color=ROOF,
            linewidth=1.4 if roof is roofs[0] else 0.9,
            linestyle="-" if roof is roofs[0] else (0, (5, 2)),
            zorder=1,
        )
    return _name_peaks(axes, locale, roofs, dots) + _name_memory(axes, locale, ridge, bandwidth)


def _name_peaks(axes: Axes, locale: Locale, roofs: Sequence[Roof], dots: Sequence[Box]) -> list[Box]:
    """Names at the right ends; those of one height together, of near ones above and below their lines."""
    right, to_points = axes.get_xlim()[1], to_points_of(axes)
    names: dict[float, list[str]] = {}
    for roof in roofs:
        names.setdefault(roof.tflops, []).append(fitted(roof.dtype, 1.0, LABEL_SIZE))
    taken: list[Box] = []
    for tflops, dtypes in names.items():
        unit = "TOP/s" if all(dtype.startswith("int") for dtype in dtypes) else "TFLOP/s"
        text = f"{', '.join(dtypes)}: {locale.fixed(tflops, 1)} {unit}"
        width = width_of(text, LABEL_SIZE) * 72
        edge, line = to_points(right, tflops)
        spots = [
            Box(edge - 3 - shift - width, low, edge - 3 - shift, low + LINE_HEIGHT)
            for shift in (0.0, width + 12, 2 * width + 24)
            for low in (line + 1.5, line - 2.5 - LINE_HEIGHT)
        ]
        free = [spot for spot in spots if not any(map(spot.overlaps, taken))] or spots
        box = next((spot for spot in free if not any(map(spot.overlaps, dots))), free[0])
        write_beside(axes, text, (right, tflops), box, ROOF)
        taken.append(box)
    return taken


def _name_memory(axes: Axes, locale: Locale, ridge: float, bandwidth: float) -> list[Box]:
    """Writes the bandwidth along its roof, and returns boxes that cover it."""
    text = locale._("memory: {bandwidth} GB/s").format(bandwidth=locale.count(round(bandwidth * 1e3)))
    to_points = to_points_of(axes)
    # The part of the roof that is within the axes, in decades.
    begin = math.log10(max(axes.get_xlim()[0], axes.get_ylim()[0] / bandwidth))
    end = math.log10(ridge)
    start, stop = (to_points(10**x, 10**x * bandwidth) for x in (begin, end))
    length = math.hypot(stop[0] - start[0], stop[1] - start[1])
    half = width_of(text, LABEL_SIZE) * 36
    share = min(max(0.4, (half + 4) / length), 1 - (half + 4) / length)
    middle = 10 ** (begin + (end - begin) * share)
    slope = math.atan2(stop[1] - start[1], stop[0] - start[0])
    lift = 4 / math.cos(slope)
    axes.text(
        middle,
        middle * bandwidth,
        text,
        transform=axes.transData + ScaledTranslation(0, lift / 72, axes.figure.dpi_scale_trans),
        # The direction of the roof there; it turns with the axes.
        rotation=math.degrees(math.atan(bandwidth)),
        transform_rotates_text=True,
        rotation_mode="anchor",
        ha="center",
        va="bottom",
        fontsize=LABEL_SIZE,
        color=ROOF,
        zorder=4,
        parse_math=False,
    )
    x, y = to_points(middle, middle * bandwidth)
    steps = [half * (step / 6 - 1) for step in range(13)]
    return [
        Box(
            x + step * math.cos(slope) - 5,
            y + lift + step * math.sin(slope),
            x + step * math.cos(slope) + 5,
            y + lift + step * math.sin(slope) + LINE_HEIGHT,
        )
        for step in steps
    ]


def pieces_of(axes: Axes, roofs: Sequence[Roof], bandwidth: float) -> list[Box]:
    """The lines of the roofs in small boxes, in points."""
    to_points = to_points_of(axes)
    ridge, (left, right) = roofs[0].tflops / bandwidth, axes.get_xlim()
    ends = [((left, left * bandwidth), (ridge, roofs[0].tflops))]
    ends += [((roof.tflops / bandwidth, roof.tflops), (right, roof.tflops)) for roof in roofs]
    boxes = []
    for begin, end in ends:
        (x0, y0), (x1, y1) = to_points(*begin), to_points(*end)
        steps = max(1, int(math.hypot(x1 - x0, y1 - y0) / 12))
        for step in range(steps + 1):
            x, y = x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps
            boxes.append(Box(x - 1, y - 1, x + 1, y + 1))
    return boxes


def to_points_of(axes: Axes) -> Callable[[float, float], tuple[float, float]]:
    """From data to points (1/72 inch) from the lower left corner of the axes."""
    corner, scale = axes.get_window_extent(), 72 / axes.figure.dpi

    def convert(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y))
        return (across - corner.x0) * scale, (up - corner.y0) * scale

    return convert


def write_beside(axes: Axes, text: str, at: tuple[float, float], box: Box, colour: str) -> None:
    """Writes a text into a box of points; it stays where it is beside the place `at` if axes change size."""
    x, y = to_points_of(axes)(*at)
    axes.annotate(
        text,
        at,
        xytext=(box.left - x, (box.bottom + box.top) / 2 - y),
        textcoords="offset points",
        va="center",
        fontsize=LABEL_SIZE,
        color=colour,
        parse_math=False,
        zorder=4,
        # Lines behind a name do not go through its letters.
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},
    )
