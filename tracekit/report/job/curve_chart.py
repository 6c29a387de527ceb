"""Bus bandwidth over size as lines of an SVG on the page; places are per cent, so that it scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracekit.analysis.ranks.schema import Job
from tracekit.report import palette
from tracekit.report.i18n import Locale
from tracekit.report.job.figures import Curve, Point, curves_of, has_several_sizes
from tracekit.report.job.words import curve_name

MOST_CURVES = 8
MOST_POINTS = 400  # of all lines; a job has a few sizes
WIDTH, HEIGHT = 1000, 300  # of the coordinates of the lines
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Mark:
    """A size that collectives have."""

    x: str
    y: str
    hint: str


@dataclass(frozen=True)
class Line:
    name: str
    colour: str
    points: str  # of a polyline
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Tick:
    at: str  # per cent from the left, or from above
    text: str


@dataclass(frozen=True)
class CurveChart:
    lines: Sequence[Line]
    sizes: Sequence[Tick]
    speeds: Sequence[Tick]
    left_out: str


def curve_chart(job: Job, locale: Locale) -> CurveChart | None:
    """None where there are not several sizes."""
    curves = curves_of(job)
    if not has_several_sizes(curves):
        return None
    shown = curves[:MOST_CURVES]
    points = [point for curve in shown for point in curve.points]
    least, most = min(point.bytes for point in points), max(point.bytes for point in points)
    scale = _Scale(
        math.log10(least) - 0.15, math.log10(most) + 0.15, *_speeds(max(point.median_gbs for point in points))
    )
    rest = len(curves) - len(shown)
    return CurveChart(
        lines=[
            _line(curve, colour, scale, locale) for curve, colour in zip(shown, palette.SERIES, strict=False)
        ],
        sizes=[
            Tick(f"{100 * scale.x(10**power):.2f}", round_bytes(10**power, locale))
            for power in range(math.ceil(scale.low), math.floor(scale.high) + 1)
        ],
        speeds=[
            Tick(
                f"{100 * scale.y(speed):.2f}", f"{speed:.{scale.digits}f}".replace(".", locale.decimal_symbol)
            )
            for speed in scale.ticks()
        ],
        left_out=(
            locale.ngettext("{n} more operation is not shown", "{n} more operations are not shown", rest)
            if rest
            else ""
        ),
    )


@dataclass(frozen=True)
class _Scale:
    """Powers of ten from the left, speeds from below; 0 to 1."""

    low: float
    high: float
    top: float
    step: float

    def x(self, size: float) -> float:
        return (math.log10(size) - self.low) / (self.high - self.low)

    def y(self, speed: float) -> float:
        return 1 - speed / self.top

    @property
    def digits(self) -> int:
        return max(0, -math.floor(math.log10(self.step) + 1e-9))

    def ticks(self) -> Iterator[float]:
        for number in range(round(self.top / self.step) + 1):
            yield number * self.step


def _speeds(most: float) -> tuple[float, float]:
    """The end of the axis, and the step of its numbers: round ones."""
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(factor * power for factor in _STEPS if factor * power * 5 >= most)
    return step * math.ceil(most / step * 1.02), step


def _line(curve: Curve, colour: str, scale: _Scale, locale: Locale) -> Line:
    name = curve_name(curve, locale)
    points = curve.points[:MOST_POINTS]
    return Line(
        name=name,
        colour=colour,
        points=" ".join(
            f"{WIDTH * scale.x(one.bytes):.1f},{HEIGHT * scale.y(one.median_gbs):.1f}" for one in points
        ),
        marks=[_mark(name, one, scale, locale) for one in points],
    )


def _mark(name: str, point: Point, scale: _Scale, locale: Locale) -> Mark:
    count = locale.ngettext("{n} collective", "{n} collectives", point.count)
    speed = f"{locale.fixed(point.median_gbs)} {locale._('GB/s')}"
    if point.groups > 1:
        ends = f"{locale.fixed(point.least_gbs)} – {locale.fixed(point.most_gbs)}"
        groups = locale.ngettext("{n} group", "{n} groups", point.groups)
        speed += f" ({groups}: {ends})"
    hint = f"{name}, {locale.bytes(point.bytes)}: {speed}; {count}"
    return Mark(f"{100 * scale.x(point.bytes):.2f}", f"{100 * scale.y(point.median_gbs):.2f}", hint)


def round_bytes(power: int, locale: Locale) -> str:
    """`100 MB`: a power of ten without decimals."""
    text = locale.bytes(power)
    number, _space, unit = text.rpartition(" ")
    return f"{number.partition(locale.decimal_symbol)[0]} {unit}"
