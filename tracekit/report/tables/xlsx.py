"""The report's tables as an Excel workbook: a sheet of facts, then a sheet for each table that has rows.

Above the columns stand the names of their fields and what a reader calls them; numbers are numbers, in the
units of the fields, and the unknown is an empty cell. Texts from a trace are texts: never formulas, links or
numbers. What a sheet cannot hold goes to a second one, and what a cell cannot hold is cut and said to be.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from itertools import compress
from tempfile import TemporaryDirectory
from typing import Any

from xlsxwriter import Workbook

from tracekit import __version__
from tracekit.analysis.schema import Report
from tracekit.report import view
from tracekit.report.escape import ELLIPSIS, clean, is_formula
from tracekit.report.i18n import Locale
from tracekit.report.tables.columns import HTA_TABLES, NESTED_TABLES, TABLES, Column, Table, table_of
from tracekit.report.tables.labels import SENTENCES, TITLES, WORDS, header_of, symbol_of, unit_of
from tracekit.report.tables.overview import lacks, overview

CELL_LIMIT = 32_767  # UTF-16 units in a cell
ROW_LIMIT = 1_048_576  # rows of a sheet
HEADER_ROWS = 2

# In the order of a reader's questions: what to do, where in the model, which work, when.
SHEETS = tuple(name for name in TITLES if name in {*TABLES, *NESTED_TABLES, *HTA_TABLES})

_FORMATS = {
    "us": "#,##0.00",
    "share": "0.0%",
    # Giga and mega, so that one sees what is large; the cell holds the whole number.
    "flops": '[>=1000000000]#,##0.00,,," G";[>=1000000]#,##0.00,," M";#,##0',
    "bytes": '[>=1000000000]#,##0.00,,," G";[>=1000000]#,##0.00,," M";#,##0',
    "gbs": "#,##0.0",
    "tflops": "[>=1]#,##0.00;0.0000",
    "gflops": "[>=1]#,##0.00;0.0000",
    "intensity": "#,##0.00",
}
_INTEGER, _NUMBER = "#,##0", "#,##0.00"
_SCALED = ("flops", "bytes")
_SENTENCE_WIDTH = 64
_WIDEST, _NARROWEST = 60, 9
_BAR = {"type": "data_bar", "bar_color": "#A9CBE8"}
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def render_xlsx(report: Report, locale: Locale) -> bytes:
    """The workbook; the same report gives the same bytes."""
    stream = io.BytesIO()
    with TemporaryDirectory(prefix="tracekit.") as directory:
        workbook = Workbook(stream, _OPTIONS | {"tmpdir": directory})
        workbook.set_properties(
            {
                "title": clean(view.title(report))[:255],
                "comments": f"tracekit {__version__}",
                "created": datetime(2000, 1, 1),
            }
        )
        _Book(workbook, locale).fill(report)
        workbook.close()
    return stream.getvalue()


class _Book:
    """The workbook in the making: its formats, and what had to be cut."""

    def __init__(self, workbook: Any, locale: Locale) -> None:
        self.workbook = workbook
        self.locale = locale
        self.cuts = 0
        add = workbook.add_format
        title = {"bold": True, "font_size": 16}
        self.title = add(title)
        self.section = add({"bold": True, "font_size": 12, "bottom": 1, "bottom_color": "#8EA9C1"})
        self.field = add({"font_size": 8, "font_color": "#7F7F7F", "align": "left", "indent": 1})
        heads = {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#DCE6F1", "bottom": 1}
        self.header = add(heads | {"align": "left", "indent": 1})
        self.number_header = add(heads | {"align": "right"})
        self.link = add({"font_color": "#0563C1", "underline": 1, "indent": 1})
        plain = {"valign": "top", "align": "left", "indent": 1}
        wrapped = plain | {"text_wrap": True}
        self.text, self.wrapped = add(plain), add(wrapped)
        self.boolean = add({"valign": "top", "align": "center"})
        # An apostrophe that is no part of the text: who edits the cell does not make a formula of it.
        self.formulas = {
            self.title: add(title | {"quote_prefix": True}),
            self.text: add(plain | {"quote_prefix": True}),
            self.wrapped: add(wrapped | {"quote_prefix": True}),
        }
        self.numbers = {
            pattern: add({"valign": "top", "num_format": pattern, "align": "right"})
            for pattern in dict.fromkeys([*_FORMATS.values(), _INTEGER, _NUMBER])
        }

    def fill(self, report: Report) -> None:
        first = self.workbook.add_worksheet(self.locale._("Overview"))
        sheets: list[tuple[str, int]] = []
        for name in SHEETS:
            table = table_of(report, name, self.locale.message)
            sheets += self._sheets(table)
        self._overview(first, report, sheets)

    def _sheets(self, table: Table) -> list[tuple[str, int]]:
        """Adds the sheets of a table: none without rows, several where it is too long for one."""
        title, added = self.locale.message(TITLES[table.name]), []
        most = ROW_LIMIT - HEADER_ROWS
        for number, start in enumerate(range(0, len(table), most), 1):
            part = [Column(c.name, c.kind, c.optional, c.values[start : start + most]) for c in table.columns]
            added.append((title if number == 1 else f"{title} {number}", len(part[0].values)))
            self._fill_sheet(self.workbook.add_worksheet(added[-1][0]), Table(table.name, part))
        return added

    def _fill_sheet(self, sheet: Any, table: Table) -> None:
        columns = [self._shown(one) for one in table.columns]
        formats = [self._format(one) for one in columns]
        writers = [self._writer(sheet, one) for one in columns]
        headers = [header_of(one.name, self.locale) for one in columns]
        widths = [_width(one, header) for one, header in zip(columns, headers, strict=True)]

        for position, one in enumerate(columns):
            sheet.write_string(0, position, one.name, self.field)
        shown = [one.is_known for one in columns]
        lines = max(
            _lines(header, width) for header, width in compress(zip(headers, widths, strict=True), shown)
        )
        sheet.set_row(1, 15 * lines + 3)
        for position, (one, header) in enumerate(zip(columns, headers, strict=True)):
            sheet.write_string(
                1, position, header, self.number_header if one.kind in (int, float) else self.header
            )
        sentences = [one for one in columns if one.name in SENTENCES]
        for row, values in enumerate(zip(*(one.values for one in columns), strict=True), HEADER_ROWS):
            if sentences:
                texts = (one.values[row - HEADER_ROWS] for one in sentences)
                sheet.set_row(row, 15 * max(_lines(text or "", _SENTENCE_WIDTH) for text in texts))
            for position, value in enumerate(values):
                if value is not None:
                    writers[position](row, position, value, formats[position])

        last = HEADER_ROWS + len(table) - 1
        self._lay_out(sheet, columns, widths)
        # What tells the rows apart stays in sight: a path or a name, or stack and number.
        sheet.freeze_panes(HEADER_ROWS, 2 if columns[0].name == "stack" else 1)
        sheet.autofilter(1, 0, last, len(columns) - 1)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{last + 1}"})
        for position, limits in _bars(columns).items():
            sheet.conditional_format(HEADER_ROWS, position, last, position, _BAR | limits)
        _print_across(sheet)
        sheet.repeat_rows(0, HEADER_ROWS - 1)

    def _shown(self, column: Column) -> Column:
        """A column with texts as they are written."""
        if column.kind is not str:
            return column
        words = {word: self.locale.message(text) for word, text in WORDS.get(column.name, {}).items()}
        values = [None if value is None else words.get(value) or clean(value) for value in column.values]
        return Column(column.name, str, column.optional, values)

    def _format(self, column: Column) -> Any:
        if column.kind is bool:
            return self.boolean
        if column.kind is str:
            return self.wrapped if column.name in SENTENCES else self.text
        return self._number_format(column.name, column.kind)

    def _number_format(self, field: str, kind: type) -> Any:
        pattern = _FORMATS.get(unit_of(field) or "", _INTEGER if kind is int else _NUMBER)
        return self.numbers[pattern]

    def _writer(self, sheet: Any, column: Column) -> Callable[[int, int, Any, Any], object]:
        if column.kind is str:
            return lambda row, position, value, form: self._write_text(sheet, row, position, value, form)
        writer: Callable[[int, int, Any, Any], object] = (
            sheet.write_boolean if column.kind is bool else sheet.write_number
        )
        return writer

    def _write_text(self, sheet: Any, row: int, position: int, text: str, form: Any) -> None:
        written = _cell_text(text)
        if len(text) > CELL_LIMIT // 2 and _utf16_length(text) > CELL_LIMIT:
            self.cuts += 1
            count = self.locale.count(len(text))
            note = self.locale._("cut: the text has {count} characters; report.json holds it whole")
            sheet.write_comment(row, position, note.format(count=count))
        sheet.write_string(row, position, written, self.formulas[form] if is_formula(text) else form)

    def _lay_out(self, sheet: Any, columns: Sequence[Column], widths: Sequence[float]) -> None:
        """Widths; columns of which nothing is known are folded."""
        was_folded = False
        for position, (column, width) in enumerate(zip(columns, widths, strict=True)):
            fold = not column.is_known
            options: dict[str, Any] = {"level": 1, "hidden": True} if fold else {}
            if was_folded and not fold:
                options["collapsed"] = True
            sheet.set_column(position, position, width, None, options)
            was_folded = fold
        if was_folded:
            sheet.set_column(len(columns), len(columns), None, None, {"collapsed": True})

    def _overview(self, sheet: Any, report: Report, sheets: list[tuple[str, int]]) -> None:
        _ = self.locale._
        for position, width in enumerate((46, 22, 11, 52, 34)):
            sheet.set_column(position, position, width)
        sheet.hide_gridlines(2)
        _print_across(sheet)
        self._write_text(sheet, 0, 0, clean(view.title(report)), self.title)
        row = 2
        for section in overview(report, self.locale):
            row = self._head(sheet, row, section.title, "", "", "", "report.json")
            for fact in section.facts:
                self._write_text(sheet, row, 0, fact.label, self.text)
                if isinstance(fact.value, str):
                    self._write_text(sheet, row, 1, fact.value, self.text)
                else:
                    form = self._number_format(fact.field, type(fact.value))
                    sheet.write_number(row, 1, fact.value, form)
                    if symbol := symbol_of(fact.field, self.locale):
                        sheet.write_string(row, 2, symbol, self.text)
                if fact.remark:
                    sheet.write_string(row, 3, fact.remark, self.text)
                sheet.write_string(row, 4, fact.field, self.field)
                row += 1
            row += 1
        row = self._head(sheet, row, _("Sheets"), _("Rows"))
        for name, rows in sheets:
            sheet.write_url(row, 0, f"internal:'{name}'!A1", self.link, name)
            sheet.write_number(row, 1, rows, self.numbers[_INTEGER])
            row += 1
        row = self._head(sheet, row + 1, _("How to read the sheets"))
        row = self._lines(sheet, row, self._notes())
        row = self._head(sheet, row + 1, _("What the trace lacks"))
        self._lines(sheet, row, lacks(report, self.locale) or [_("Nothing.")])

    def _notes(self) -> list[str]:
        _ = self.locale._
        notes = [
            _(
                "The first row of a sheet names the fields of report.json. "
                "Times are totals over the whole trace unless they are said to be per pass."
            ),
            _("An empty cell is unknown, not 0; columns of which nothing is known are folded."),
        ]
        if self.cuts:
            notes.append(
                self.locale.ngettext(
                    "{n} text was too long for a cell and is cut; a comment stands at it.",
                    "{n} texts were too long for their cells and are cut; comments stand at them.",
                    self.cuts,
                )
            )
        return notes

    def _head(self, sheet: Any, row: int, *texts: str) -> int:
        """Writes a heading across the sheet and returns the row below it."""
        for position in range(5):
            text = texts[position] if position < len(texts) else ""
            sheet.write_string(row, position, text, self.section)
        return row + 1

    def _lines(self, sheet: Any, row: int, texts: Sequence[str]) -> int:
        for text in texts:
            self._write_text(sheet, row, 0, text, self.text)
            row += 1
        return row


def _print_across(sheet: Any) -> None:
    """All columns on one page's width."""
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _cell_text(text: str) -> str:
    """`text` cut to what a cell holds, and such that XlsxWriter does not take it for markup of its own."""
    if len(text) > CELL_LIMIT // 2:
        text = _cut(text)
    if not (text.startswith("<r>") and text.endswith("</r>")):
        return text
    run = f'<r><t xml:space="preserve">{escape(text, quote=False)}</t></r>'
    return run if _utf16_length(run) <= CELL_LIMIT else text[:-1] + ELLIPSIS


def _cut(text: str) -> str:
    """The beginning of a text that is too long, with an ellipsis."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * CELL_LIMIT:
        return text
    # Half of a pair at the cut is dropped.
    return units[: 2 * (CELL_LIMIT - 1)].decode("utf-16-le", "ignore") + ELLIPSIS


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _bars(columns: Sequence[Column]) -> dict[int, dict[str, Any]]:
    """Columns with bars in their cells: every share, and the first column of times that has any."""
    found = {}
    for position, column in enumerate(columns):
        if unit_of(column.name) == "share" and column.is_known:
            found[position] = {"min_type": "num", "min_value": 0, "max_type": "num", "max_value": 1}
    times = (i for i, one in enumerate(columns) if unit_of(one.name) == "us" and any(one.values))
    first = next(times, None)
    return found if first is None else {first: {"min_type": "num", "min_value": 0}, **found}


def _width(column: Column, header: str) -> float:
    """That of the widest of its cells, and of the longest word of its header, with bounds."""
    if column.name in SENTENCES:
        return _SENTENCE_WIDTH
    word = 1.15 * max(map(_cells, header.split())) + 3  # bold, and the filter's button
    known = [value for value in column.values if value is not None]
    return max(_NARROWEST, min(_WIDEST, max(word, _content_width(column, known) + 3)))


def _content_width(column: Column, known: Sequence[Any]) -> int:
    if not known or column.kind is bool:
        return 5
    if column.kind is str:
        return max(map(_cells, known))
    unit = unit_of(column.name)
    greatest = max(abs(max(known)), abs(min(known)))
    if unit in _SCALED:
        return len("999.99 M") if greatest < 1e12 else len(f"{greatest / 1e9:,.2f} G")
    return len(f"{greatest:,.0f}" if column.kind is int else f"{greatest:,.2f}")


def _cells(text: str) -> int:
    """The width of a text in characters; those of East Asia are twice as wide."""
    if text.isascii():
        return len(text)
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def _lines(text: str, width: float) -> int:
    """How many lines a text takes in a column."""
    lines, used = 1, 0
    for word in text.split():
        if used and used + 1 + _cells(word) > width - 3:
            lines, used = lines + 1, 0
        used += _cells(word) + bool(used)
        if used > width:
            lines, used = lines + int(used / width), int(used % width)
    return lines
