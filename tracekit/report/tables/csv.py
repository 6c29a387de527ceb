"""The report's tables as CSV files.

Numbers are plain (no grouping, a decimal point), and a text that a spreadsheet would take for a formula is
disarmed with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tracekit.analysis.schema import Report
from tracekit.report.escape import clean, is_formula
from tracekit.report.tables.columns import Table, table_of, written_tables

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale


def render_csv(report: Report, locale: Locale) -> dict[str, bytes]:
    """File name to CSV (UTF-8, lines end in \\n) of every table; messages in the locale's language."""
    names = written_tables(report)
    return {f"{name}.csv": _csv(table_of(report, name, locale.message)) for name in names}


def _csv(table: Table) -> bytes:
    columns = [
        [value if value is None else _disarmed(value) for value in one.values]
        if one.kind is str
        else one.values
        for one in table.columns
    ]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(one.name for one in table.columns)
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue().encode()


def _disarmed(text: str) -> str:
    """`text` on one line, and never a formula."""
    shown = clean(text)
    return f"'{shown}" if is_formula(text) else shown
