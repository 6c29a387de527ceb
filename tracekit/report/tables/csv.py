"""The report's tables as CSV files.

Numbers are plain (no grouping, a decimal point), and a text that a spreadsheet would take for a formula is
disarmed with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tracekit.analysis.schema import Report
from tracekit.report.escape import clean, is_formula
from tracekit.report.tables.columns import Table, table_of, written_tables

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

# So many rows are written at a time.
ROWS_AT_ONCE = 4096


def render_csv(report: Report, locale: Locale) -> dict[str, bytes]:
    """File name to CSV (UTF-8, lines end in \\n) of every table; messages in the locale's language."""
    return {name: b"".join(pieces) for name, pieces in csv_pieces(report, locale)}


def csv_pieces(report: Report, locale: Locale) -> Iterator[tuple[str, Iterator[bytes]]]:
    """`render_csv` one file after another, each in pieces: a table may have a million rows."""
    for name in written_tables(report):
        yield f"{name}.csv", table_pieces(table_of(report, name, locale.message))


def table_pieces(table: Table) -> Iterator[bytes]:
    """A table as the pieces of a CSV file."""
    yield _lines([[one.name for one in table.columns]])
    for first in range(0, len(table), ROWS_AT_ONCE):
        values = (one.values[first : first + ROWS_AT_ONCE] for one in table.columns)
        columns = [
            [value if value is None else _disarmed(value) for value in own] if one.kind is str else own
            for one, own in zip(table.columns, values, strict=True)
        ]
        yield _lines(zip(*columns, strict=True))


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def _disarmed(text: str) -> str:
    """`text` on one line, and never a formula."""
    shown = clean(text)
    return f"'{shown}" if is_formula(text) else shown
