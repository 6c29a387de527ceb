"""The report's tables as pandas frames and as CSV files.

Columns are the fields of `report.json`'s rows; what rows say of phases and parts has tables of its own. In
CSV numbers are plain (no grouping, a decimal point) and a text that a spreadsheet would take for a formula is
disarmed with an apostrophe.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from tracekit.analysis.schema import (
    BlockKindRow,
    BlockRow,
    Finding,
    HeadroomRow,
    KernelRow,
    ModuleRow,
    OpRow,
    Pass,
    PhaseRow,
    RegionRow,
    Report,
    Row,
    TypeRow,
    UncostedRow,
)
from tracekit.messages import Message
from tracekit.report.escape import clean

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

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

_DTYPES = {int: "Int64", float: "float64", bool: "bool"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def frame(rows: Sequence[Row], row_type: type[Row]) -> pd.DataFrame:
    """A frame with a column per field of `row_type`, also without rows.

    An integer column is int64, or Int64 where its values may be unknown; an unknown float is NaN, an unknown
    text None. Messages become their English text.
    """
    hints = typing.get_type_hints(row_type)
    columns = {}
    for name in columns_of(row_type):
        values = [getattr(row, name) for row in rows]
        if hints[name] is Message:
            values = [str(value) for value in values]
        columns[name] = pd.Series(values, dtype=_dtype(hints[name]))
    table: pd.DataFrame = pd.DataFrame(columns)
    return table


def columns_of(row_type: type[Row]) -> list[str]:
    """The fields that hold one value."""
    hints = typing.get_type_hints(row_type)
    return [name for name in row_type.__struct_fields__ if typing.get_origin(hints[name]) is not tuple]


def nested_frame(report: Report, name: str) -> pd.DataFrame:
    """One of `NESTED_TABLES`: a row for each phase, or part, of each row of its table."""
    table, keys, field = NESTED_TABLES[name]
    pairs = [(row, own) for row in getattr(report, table) for own in getattr(row, field)]
    hints = typing.get_type_hints(TABLES[table])
    found = frame([own for _row, own in pairs], typing.get_args(hints[field])[0])
    for position, key in enumerate(keys):
        column = pd.Series([getattr(row, key) for row, _own in pairs], dtype=_dtype(hints[key]))
        found.insert(position, key, column)
    return found


def _dtype(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        known = next(option for option in typing.get_args(hint) if option is not type(None))
        return _DTYPES.get(known, "object")
    return "int64" if hint is int else _DTYPES.get(hint, "object")


def render_csv(report: Report, locale: Locale) -> dict[str, bytes]:
    """File name to CSV (UTF-8, lines end in \\n) of every table; messages in the locale's language."""
    files = {}
    for name, row_type in TABLES.items():
        rows = getattr(report, name)
        table, hints = frame(rows, row_type), typing.get_type_hints(row_type)
        for column in [column for column in table.columns if hints[column] is Message]:
            table[column] = pd.Series([locale.message(getattr(row, column)) for row in rows], dtype="object")
        files[f"{name}.csv"] = _csv(table)
    nested = {name: nested_frame(report, name) for name in NESTED_TABLES}
    return files | {f"{name}.csv": _csv(table) for name, table in nested.items() if len(table)}


def _csv(table: pd.DataFrame) -> bytes:
    for name in table.columns:
        if table[name].dtype == "object":
            table[name] = table[name].map(_disarmed, na_action="ignore")
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _disarmed(text: str) -> str:
    """`text` on one line, and never a formula."""
    shown = clean(text)
    return f"'{shown}" if text.startswith(_FORMULA_STARTS) else shown
