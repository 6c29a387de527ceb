"""The report's tables as Parquet files, for pandas, polars, DuckDB and the like; needs pyarrow.

Names are those from the trace, as in `report.json`. A column knows its unit: `unit` in the field's metadata.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet

from tracekit import __version__
from tracekit.analysis.schema import Report
from tracekit.report.escape import encodable
from tracekit.report.tables.columns import TIMELINE, Column, Table, table_of, written_tables
from tracekit.report.tables.labels import SYMBOLS, unit_of

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

_TYPES = {
    bool: pyarrow.bool_(),
    int: pyarrow.int64(),
    float: pyarrow.float64(),
    str: pyarrow.string(),
}
_NUMPY_TYPES = {bool: "bool", float: "float64", str: "object"}


def render_parquet(report: Report, locale: Locale) -> dict[str, bytes]:
    """File name to Parquet of every table; messages in the locale's language."""
    names = [*written_tables(report), *([TIMELINE] if report.timeline is not None else [])]
    return {f"{name}.parquet": _parquet(table_of(report, name, locale.message), report) for name in names}


def _parquet(table: Table, report: Report) -> bytes:
    schema = pyarrow.schema(
        [pyarrow.field(one.name, _TYPES[one.kind], metadata=_unit(one)) for one in table.columns],
        metadata={
            "tracekit.version": __version__,
            "tracekit.schema": report.schema,
            "tracekit.trace": encodable(report.trace.path),
            "pandas": json.dumps(_pandas(table)),
        },
    )
    arrays = [pyarrow.array(one.values, _TYPES[one.kind]) for one in table.columns]
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(arrays, schema=schema), sink, compression="zstd")
    contents: bytes = sink.getvalue().to_pybytes()
    return contents


def _unit(column: Column) -> dict[str, str] | None:
    unit = unit_of(column.name) if column.kind in (int, float) else None
    return None if unit is None or not SYMBOLS[unit] else {"unit": str(SYMBOLS[unit])}


def _pandas(table: Table) -> dict[str, Any]:
    """What pandas writes: without it, integers that may be unknown would come back as floats."""
    return {
        "index_columns": [],
        "column_indexes": [],
        "columns": [
            {
                "name": one.name,
                "field_name": one.name,
                "pandas_type": str(_TYPES[one.kind]),
                "numpy_type": _numpy_type(one),
                "metadata": None,
            }
            for one in table.columns
        ],
        "pandas_version": "2.1.0",
    }


def _numpy_type(column: Column) -> str:
    if column.kind is int:
        return "Int64" if column.optional else "int64"
    return _NUMPY_TYPES[column.kind]
