"""Numbers of a comparison: differences with their signs, and sums of rows that are not shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tracekit.analysis.compare.schema import (
    Change,
    KernelChange,
    ModuleChange,
    OpChange,
    PlaceChange,
    TypeChange,
)
from tracekit.report.i18n import DASH, Locale

MINUS = "\N{MINUS SIGN}"
# µs; a trace counts nanoseconds, so that what is less is what sums of floats leave.
_NOTHING_US = 1e-6

RowChange = ModuleChange | PlaceChange | TypeChange | OpChange | KernelChange
# Beyond that per cent are hard to read.
_MANY_TIMES = 10

AnyChange = TypeVar("AnyChange", bound=RowChange)


def _signed(value: float | None, shown: Callable[[float], str], nothing: float = 0.0) -> str:
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) <= nothing:
        return "0"
    return ("+" if value > 0 else MINUS) + shown(abs(value))


def signed_milliseconds(locale: Locale, us: float | None) -> str:
    """A bare number of milliseconds: `+12.345`, `−4.500`, `+<0.001`."""
    return _signed(us, locale.milliseconds, _NOTHING_US)


def signed_duration(locale: Locale, us: float | None) -> str:
    """A difference with the unit that suits it: `+12.35 ms`."""
    return _signed(us, locale.duration, _NOTHING_US)


def signed_percent(locale: Locale, share: float | None) -> str:
    """`0.123` as `+12.3%`."""
    shown = _signed(share, locale.percent)
    return locale.with_percent_sign(shown) if shown == "0" else shown


def relative_change(locale: Locale, relative: float | None) -> str:
    """A difference ÷ what was before: `+12.3%`, or as a factor where it is many times as much: `×88.7`."""
    if relative is not None and math.isfinite(relative) and relative >= _MANY_TIMES:
        return f"×{locale.fixed(1 + relative, 1)}"
    return signed_percent(locale, relative)


def share_percent(locale: Locale, share: float | None) -> str:
    """A share of a difference: `112.3%`, or `−12.3%` of what goes against it."""
    return signed_percent(locale, share).removeprefix("+")


@dataclass(frozen=True)
class Sum:
    """Several rows in one."""

    rows: int
    before_us: float
    after_us: float
    difference_us: float
    share: float | None

    @property
    def relative(self) -> float | None:
        return self.difference_us / self.before_us if self.before_us else None


def sum_of(rows: Sequence[Change]) -> Sum:
    """What rows make together; a side that has none of a row adds nothing."""
    shares = [row.share for row in rows if row.share is not None]
    return Sum(
        rows=len(rows),
        before_us=math.fsum(row.before_us or 0.0 for row in rows),
        after_us=math.fsum(row.after_us or 0.0 for row in rows),
        difference_us=math.fsum(row.difference_us for row in rows),
        share=math.fsum(shares) if shares else None,
    )


@dataclass(frozen=True)
class Cut(Generic[AnyChange]):
    """The rows of a table that are shown, and the others as one."""

    shown: list[AnyChange]
    rest: Sum | None


def cut(rows: Sequence[AnyChange], top: int) -> Cut[AnyChange]:
    """The first `top` rows, and what the others make."""
    return Cut(list(rows[:top]), sum_of(rows[top:]) if len(rows) > top else None)
