"""The report's tables as pandas frames and as CSV files.

Columns are the fields of `report.json`'s rows. In CSV numbers are plain (no grouping, a decimal point) and a
text that a spreadsheet would take for a formula is disarmed with an apostrophe.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from tracekit.analysis.schema import (
    BlockRow,
    Finding,
    KernelRow,
    ModuleRow,
    OpRow,
    Pass,
    RegionRow,
    Report,
    Row,
    TypeRow,
)
from tracekit.messages import Message
from tracekit.report.escape import clean

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

TABLES: dict[str, type[Row]] = {
    "modules": ModuleRow,
    "types": TypeRow,
    "blocks": BlockRow,
    "kernels": KernelRow,
    "ops": OpRow,
    "passes": Pass,
    "regions": RegionRow,
    "findings": Finding,
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
    for name in row_type.__struct_fields__:
        values = [getattr(row, name) for row in rows]
        if hints[name] is Message:
            values = [str(value) for value in values]
        columns[name] = pd.Series(values, dtype=_dtype(hints[name]))
    table: pd.DataFrame = pd.DataFrame(columns)
    return table


def _dtype(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        known = next(option for option in typing.get_args(hint) if option is not type(None))
        return _DTYPES.get(known, "object")
    return "int64" if hint is int else _DTYPES.get(hint, "object")


def render_csv(report: Report, locale: Locale) -> dict[str, bytes]:
    """File name to CSV (UTF-8, lines end in \\n) of every table; messages in the locale's language."""
    return {f"{name}.csv": _csv(getattr(report, name), row_type, locale) for name, row_type in TABLES.items()}


def _csv(rows: Sequence[Row], row_type: type[Row], locale: Locale) -> bytes:
    table = frame(rows, row_type)
    hints = typing.get_type_hints(row_type)
    for name in table.columns:
        if hints[name] is Message:
            table[name] = pd.Series([locale.message(getattr(row, name)) for row in rows], dtype="object")
        if table[name].dtype == "object":
            table[name] = table[name].map(_disarmed, na_action="ignore")
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()


def _disarmed(text: str) -> str:
    """`text` on one line, and never a formula."""
    shown = clean(text)
    return f"'{shown}" if text.startswith(_FORMULA_STARTS) else shown
