"""The tables of a comparison as plain columns: for CSV files and for pandas frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tracekit.analysis.compare.schema import (
    Change,
    Comparison,
    Difference,
    KernelChange,
    LeftOut,
    ModuleChange,
    OpChange,
    PhaseChange,
    PlaceChange,
    TypeChange,
)
from tracekit.analysis.schema.base import Row
from tracekit.messages import Message
from tracekit.report.escape import encodable
from tracekit.report.tables.columns import Column, Table, columns_of
from tracekit.report.tables.csv import table_pieces

TABLES: dict[str, type[Row]] = {
    "places": PlaceChange,
    "modules": ModuleChange,
    "types": TypeChange,
    "ops": OpChange,
    "kernels": KernelChange,
    "differences": Difference,
    "left_out": LeftOut,
}
PHASES = "phases"

# Names of several kernels in one cell; no name has a line break that is not written as `\n`.
SEPARATOR = " | "
_KERNELS = ("kernels_before", "kernels_after")


def table_of(comparison: Comparison, name: str, text: Callable[[Message], str] = str) -> Table:
    """One of `TABLES`, or "phases", which has a row for each quantity of each phase."""
    if name == PHASES:
        return Table(name, list(_phases(comparison.phases, text)))
    rows, row_type = getattr(comparison, name), TABLES[name]
    kernels = [field for field in _KERNELS if field in row_type.__struct_fields__]
    return Table(
        name,
        columns_of(rows, row_type, text)
        + [Column(field, str, True, [_joined(getattr(row, field)) for row in rows]) for field in kernels],
    )


def _joined(names: Sequence[str]) -> str | None:
    return encodable(SEPARATOR.join(names)) or None


def _phases(phases: Sequence[PhaseChange], text: Callable[[Message], str]) -> Iterator[Column]:
    rows = [
        (phase, quantity, change)
        for phase in phases
        for quantity, change in (
            ("total", phase.total),
            ("wall", phase.wall),
            ("latency", phase.latency),
            ("gpu_idle", phase.gpu_idle),
        )
        if change is not None
    ]
    for name in ("phase", "before_phase", "after_phase"):
        names = [getattr(phase, name) for phase, _quantity, _change in rows]
        yield Column(name, str, True, [one if one is None else encodable(one) for one in names])
    for name in ("passes_before", "passes_after"):
        yield Column(name, int, False, [getattr(phase, name) for phase, _quantity, _change in rows])
    yield Column("quantity", str, False, [quantity for _phase, quantity, _change in rows])
    yield from columns_of([change for _phase, _quantity, change in rows], Change, text)


def csv_pieces(
    comparison: Comparison, text: Callable[[Message], str] = str
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """File name and CSV (UTF-8, lines end in \\n) of every table, one after another, each in pieces."""
    for name in (PHASES, *TABLES):
        yield f"{name}.csv", table_pieces(table_of(comparison, name, text))
