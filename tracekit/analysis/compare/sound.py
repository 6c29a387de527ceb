"""Whether the columns of a report from a file go with its tables: anybody may have edited it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tracekit.analysis.schema import KernelUse, PassStatistics, Report

_LONGEST_US = 2.0**63 / 1000  # what 64 bits of nanoseconds hold
_MOST_PASSES = 1 << 53  # greater whole numbers are not exact as floats
_ROWS_OF_PASSES, _ROWS_OUTSIDE, _ROWS_LEFT_OUT = 1, 2, 3


def unsound(report: Report) -> str | None:
    """The first column that names rows which there are not, or has no such values; None where all is well."""
    return next(_unsound(report), None)


def _unsound(report: Report) -> Iterator[str]:
    rows = {
        "modules": len(report.modules),
        "ops": len(report.ops),
        "kernels": len(report.kernels),
        "passes": _ROWS_OF_PASSES,
        "outside": _ROWS_OUTSIDE,
        "left_out": _ROWS_LEFT_OUT,
    }
    for number, one in enumerate(report.statistics):
        for field in _of_statistics(one, rows.get(one.table)):
            yield f"$.statistics[{number}].{field}"
    for name, use, count in (
        ("module_kernels", report.module_kernels, rows["modules"]),
        ("op_kernels", report.op_kernels, rows["ops"]),
    ):
        for field in _of_use(use, count, rows["kernels"]):
            yield f"$.{name}.{field}"


def _of_statistics(one: PassStatistics, rows: int | None) -> Iterator[str]:
    """The fields that are not sound; `rows`: how many the table has, None where there is no such table."""
    if not 1 <= one.passes < _MOST_PASSES:
        yield "passes"
    if rows is None:
        yield "table"
    elif not _are_positions(one.row, rows) or len(set(one.row)) < len(one.row):
        yield "row"
    for field in ("mean_us", "median_us", "std_us"):
        values = getattr(one, field)
        if values is not None and not _are_durations(values, len(one.row)):
            yield field


def _of_use(use: KernelUse, rows: int, kernels: int) -> Iterator[str]:
    if not _are_positions(use.row, rows):
        yield "row"
    if len(use.kernel) != len(use.row) or not _are_positions(use.kernel, kernels):
        yield "kernel"
    if not _are_durations(use.gpu_time_us, len(use.row)):
        yield "gpu_time_us"


def _are_positions(values: Sequence[int], rows: int) -> bool:
    # A negative one would count from the end.
    return not values or (min(values) >= 0 and max(values) < rows)


def _are_durations(values: Sequence[float], count: int) -> bool:
    return len(values) == count and all(math.isfinite(us) and 0 <= us <= _LONGEST_US for us in values)
