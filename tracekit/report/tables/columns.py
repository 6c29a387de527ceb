"""The tables of a report as plain columns, which every output of tables is made from; needs no pandas."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tracekit.analysis.schema import (
    BlockKindRow,
    BlockRow,
    Finding,
    HeadroomRow,
    Hta,
    HtaIdle,
    HtaRank,
    KernelRow,
    ModuleRow,
    OpRow,
    Pass,
    PhaseRow,
    RegionRow,
    Report,
    Row,
    Timeline,
    TypeRow,
    UncostedRow,
)
from tracekit.messages import Message
from tracekit.report.escape import encodable

TABLES: dict[str, type[Row]] = {
    "modules": ModuleRow,
    "types": TypeRow,
    "blocks": BlockRow,
    "block_kinds": BlockKindRow,
    "headroom": HeadroomRow,
    "kernels": KernelRow,
    "ops": OpRow,
    "uncosted": UncostedRow,
    "phases": PhaseRow,
    "passes": Pass,
    "regions": RegionRow,
    "findings": Finding,
}

# Rows that stand in a field of the rows of a table, and the columns that tell these rows apart.
NESTED_TABLES = {
    "module_phases": ("modules", ("path",), "phases"),
    "block_phases": ("blocks", ("stack", "index"), "phases"),
    "block_parts": ("blocks", ("stack", "index"), "parts"),
    "type_phases": ("types", ("type",), "phases"),
}

# Those of Holistic Trace Analysis, with the fields of `Report.hta`; not there where nobody asked for it.
HTA_TABLES: dict[str, tuple[str, type[Row]]] = {
    "hta_ranks": ("ranks", HtaRank),
    "hta_idle": ("idle", HtaIdle),
}

TIMELINE = "timeline"

_INT64 = 2**63


@dataclass(frozen=True)
class Column:
    name: str
    kind: type  # bool, int, float or str
    optional: bool  # whether a value may be unknown: None; a float always may
    values: Sequence[Any]

    @property
    def is_known(self) -> bool:
        """Whether there is a value in it that is known."""
        return any(value is not None for value in self.values)


@dataclass(frozen=True)
class Table:
    name: str
    columns: list[Column]

    def __len__(self) -> int:
        return len(self.columns[0].values)


def table_of(report: Report, name: str, text: Callable[[Message], str] = str) -> Table:
    """One of `TABLES`, `NESTED_TABLES`, `HTA_TABLES` or "timeline", also without rows.

    `text` makes texts of messages. A float is finite or None. Integers are those of 64 bits, or the column is
    one of floats. Texts can be encoded.
    """
    if name == TIMELINE:
        return Table(name, _timeline(report))
    if name in TABLES:
        return Table(name, columns_of(getattr(report, name), TABLES[name], text))
    if name in HTA_TABLES:
        field, row_type = HTA_TABLES[name]
        return Table(name, columns_of(getattr(report.hta or Hta(), field), row_type, text))
    outer, keys, field = NESTED_TABLES[name]
    pairs = [(row, own) for row in getattr(report, outer) for own in getattr(row, field)]
    own_type = typing.get_args(typing.get_type_hints(TABLES[outer])[field])[0]
    key_fields = [one for one in fields_of(TABLES[outer]) if one.name in keys]
    return Table(
        name,
        [_column(one, [getattr(row, one.name) for row, _own in pairs], text) for one in key_fields]
        + columns_of([own for _row, own in pairs], own_type, text),
    )


def written_tables(report: Report) -> list[str]:
    """The tables that are written: all, and those of the nested ones and of HTA that have rows."""
    return [*TABLES, *(name for name in (*NESTED_TABLES, *HTA_TABLES) if len(table_of(report, name)))]


@dataclass(frozen=True)
class Field:
    name: str
    kind: type  # bool, int, float, str or Message
    optional: bool


@cache
def fields_of(row_type: type[Row]) -> tuple[Field, ...]:
    """The fields of a row that hold one value."""
    hints = typing.get_type_hints(row_type)
    known = {name: hints[name] for name in row_type.__struct_fields__}
    return tuple(_field(name, hint) for name, hint in known.items() if typing.get_origin(hint) is not tuple)


def _field(name: str, hint: Any) -> Field:
    if isinstance(hint, types.UnionType):
        (kind,) = (option for option in typing.get_args(hint) if option is not type(None))
        return Field(name, kind, optional=True)
    return Field(name, hint, optional=False)


def columns_of(
    rows: Sequence[Row], row_type: type[Row], text: Callable[[Message], str] = str
) -> list[Column]:
    """A column for each field of `row_type` that holds one value, as `table_of` has them."""
    return [_column(one, [getattr(row, one.name) for row in rows], text) for one in fields_of(row_type)]


def column_of(
    name: str, kind: type, optional: bool, values: list[Any], text: Callable[[Message], str] = str
) -> Column:
    """A column of bools, integers, floats, texts or messages, which become texts."""
    return _column(Field(name, kind, optional), values, text)


def _column(field: Field, values: list[Any], text: Callable[[Message], str] = str) -> Column:
    kind = field.kind
    if kind is Message:
        kind, values = str, [value if value is None else text(value) for value in values]
    if kind is str:
        values = [value if value is None else encodable(value) for value in values]
    # Cost formulas of a user's own can have any number of FLOPs.
    if kind is int and any(value is not None and not -_INT64 <= value < _INT64 for value in values):
        kind, values = float, [value if value is None else _float(value) for value in values]
    if kind is float:
        values = [value if value is not None and math.isfinite(value) else None for value in values]
    return Column(field.name, kind, field.optional, values)


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _timeline(report: Report) -> list[Column]:
    """A row per event on the GPU in one pass; its module is a path, that of the whole model being empty."""
    timeline = report.timeline or Timeline(None, 0.0, 0.0)
    events = timeline.events
    streams = [timeline.streams[position] for position in events.stream]
    modules = [None if position is None else report.modules[position].path for position in events.module]
    # A program can do more with the numbers that streams nearly always have.
    numbered = all(isinstance(one.stream, int) for one in timeline.streams)

    def column(name: str, kind: type, values: Iterable[Any], *, optional: bool = False) -> Column:
        return _column(Field(name, kind, optional), list(values))

    return [
        column("start_us", float, events.start_us),
        column("duration_us", float, events.duration_us),
        column("device", int, (one.device for one in streams)),
        column(
            "stream",
            int if numbered else str,
            (one.stream if numbered else str(one.stream) for one in streams),
        ),
        column("module", str, modules, optional=True),
        column("kernel", str, (timeline.kernels[position] for position in events.kernel)),
        column("count", int, events.count),
    ]
