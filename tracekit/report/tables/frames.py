"""The report's tables as pandas frames."""

from __future__ import annotations

import pandas as pd

from tracekit.analysis.schema import Report
from tracekit.report.tables.columns import Column, Table, table_of


def frame(report: Report, name: str) -> pd.DataFrame:
    """A frame of one of the tables of `columns`, with all its columns also without rows.

    An integer column is int64, or Int64 where its values may be unknown; an unknown float is NaN, an unknown
    text None. Messages are their English text.
    """
    return frame_of(table_of(report, name))


def frame_of(table: Table) -> pd.DataFrame:
    """The frame of a table of columns, as `frame` has it."""
    found: pd.DataFrame = pd.DataFrame(
        {one.name: pd.Series(one.values, dtype=_dtype(one)) for one in table.columns}
    )
    return found


def _dtype(column: Column) -> str:
    if column.kind is int:
        return "Int64" if column.optional else "int64"
    if column.kind is bool:
        return "boolean" if column.optional else "bool"
    return "float64" if column.kind is float else "object"
