"""What a `Report` says of a pass: once, or once per phase where passes ran the model in several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tracekit.analysis.schema import PhaseRow, Report
from tracekit.report.escape import clean, elide

NAME_WIDTH = 24


class OfPhase(Protocol):
    """A row of `phases`, of a module, a type or a block."""

    @property
    def phase(self) -> str: ...


PhaseOf = TypeVar("PhaseOf", bound=OfPhase)


@dataclass(frozen=True)
class PassFigures:
    """Medians of a pass, of those of one phase where there are several; then `phase` is its name."""

    phase: str | None
    passes: int
    tokens: int | None
    cache_length: int | None
    latency_us: float | None
    latency_min_us: float | None
    latency_max_us: float | None
    latency_passes: int
    wall_us: float | None
    wall_min_us: float | None
    wall_max_us: float | None
    gpu_time_us: float | None
    gpu_busy_us: float | None
    matrix_flops: int | None
    counted_flops: int | None
    headline_tflops: float | None
    headline_basis: str | None
    tokens_per_second: float | None


def pass_figures(report: Report) -> list[PassFigures]:
    """One entry, or one per phase."""
    if len(report.phases) > 1:
        return [_of_phase(row) for row in report.phases]
    time, flops = report.time, report.flops
    row = report.phases[0] if report.phases else None
    return [
        PassFigures(
            phase=None,
            passes=time.passes,
            tokens=row.tokens if row else None,
            cache_length=row.cache_length if row else None,
            latency_us=time.latency_us,
            latency_min_us=time.latency_min_us,
            latency_max_us=time.latency_max_us,
            latency_passes=time.latency_passes,
            wall_us=time.pass_wall_us,
            wall_min_us=time.pass_wall_min_us,
            wall_max_us=time.pass_wall_max_us,
            gpu_time_us=time.gpu_time_per_pass_us,
            gpu_busy_us=row.gpu_busy_us if row else None,
            matrix_flops=flops.matrix_per_pass,
            counted_flops=flops.counted_per_pass,
            headline_tflops=flops.headline_tflops,
            headline_basis=flops.headline_basis,
            tokens_per_second=row.tokens_per_second if row else None,
        )
    ]


def _of_phase(row: PhaseRow) -> PassFigures:
    return PassFigures(
        phase=row.name,
        passes=row.passes,
        tokens=row.tokens,
        cache_length=row.cache_length,
        latency_us=row.latency_us,
        latency_min_us=row.latency_min_us,
        latency_max_us=row.latency_max_us,
        latency_passes=row.latency_passes,
        wall_us=row.pass_wall_us,
        wall_min_us=row.pass_wall_min_us,
        wall_max_us=row.pass_wall_max_us,
        gpu_time_us=row.gpu_time_us,
        gpu_busy_us=row.gpu_busy_us,
        matrix_flops=row.matrix_flops,
        counted_flops=row.counted_flops,
        headline_tflops=row.headline_tflops,
        headline_basis=row.headline_basis,
        tokens_per_second=row.tokens_per_second,
    )


def each(
    figures: Sequence[PassFigures], show: Callable[[PassFigures], str], name: Callable[[str], str]
) -> str:
    """What `show` says of each, after the `name` of its phase; once where it is the same of all."""
    shown = [show(one) for one in figures]
    if len(set(shown)) == 1:
        return shown[0]
    return "; ".join(f"{name(one.phase or '')}: {text}" for one, text in zip(figures, shown, strict=True))


def each_with_note(
    figures: Sequence[PassFigures],
    show: Callable[[PassFigures], str],
    note: Callable[[PassFigures], str],
    name: Callable[[str], str],
) -> str:
    """`each`, with what `note` says behind every one in brackets, or once at the end where it is the same."""
    notes = {note(one) for one in figures}
    if len(notes) == 1:
        text, (last,) = each(figures, show, name), notes
        return f"{text} ({last})" if last else text
    return each(figures, lambda one: f"{show(one)} ({note(one)})" if note(one) else show(one), name)


def side_by_side(report: Report) -> list[str | None]:
    """The phases that modules and blocks have figures of, where there are several; else [None]."""
    names: list[str | None] = [row.name for row in report.phases if row.passes]
    return names if len(names) > 1 else [None]


def row_of(rows: Sequence[PhaseOf], phase: str) -> PhaseOf | None:
    """That of a phase."""
    return next((row for row in rows if row.phase == phase), None)


def passes_of(report: Report, phase: str | None = None) -> int:
    """How many passes a median is of: those of `phase`, without a name those of the main one."""
    name = phase or report.time.phase
    return next((row.passes for row in report.phases if row.name == name), report.time.passes)


def plain_name(phase: str) -> str:
    return elide(clean(phase), NAME_WIDTH)
