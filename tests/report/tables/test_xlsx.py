import io
import zipfile

import openpyxl
import pandas as pd
import pytest

from tests.report import build
from tracekit import report as renderers
from tracekit.analysis.schema import KernelRow
from tracekit.messages import N_
from tracekit.report.i18n import LANGUAGES, Locale
from tracekit.report.tables import xlsx
from tracekit.report.tables.columns import HTA_TABLES, NESTED_TABLES, TABLES, fields_of, table_of
from tracekit.report.tables.labels import LABELS, TITLES, header_of


def contents(report, lang="en"):
    return xlsx.render_xlsx(report, Locale(lang))


def book(report, lang="en"):
    return openpyxl.load_workbook(io.BytesIO(contents(report, lang)))


def rows(sheet):
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def facts(workbook):
    """Value, unit and remark by field of report.json."""
    found = rows(workbook.worksheets[0])
    return {row[4]: tuple(row[1:4]) for row in found if row[4] and "." in row[4] and row[4] != "report.json"}


def kernels(*names):
    return build.changed(
        build.hybrid(), kernels=tuple(KernelRow(name, "kernel", 1, 2.0, 2.0, 2.0, 2.0) for name in names)
    )


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", build.ALL)
def test_every_report_opens_and_holds_every_row(name, lang):
    report = build.ALL[name]()
    workbook, locale = book(report, lang), Locale(lang)
    lengths = {table: len(table_of(report, table)) for table in [*TABLES, *NESTED_TABLES]}
    titles = {locale.message(TITLES[table]): length for table, length in lengths.items() if length}
    assert workbook.sheetnames[0] == {"en": "Overview", "ru": "Обзор"}[lang]
    assert set(workbook.sheetnames[1:]) == set(titles)
    for sheet in workbook.worksheets[1:]:
        assert sheet.max_row == 2 + titles[sheet.title]


def test_the_sheets_stand_in_the_order_of_a_readers_questions():
    assert book(build.phases()).sheetnames == [
        *("Overview", "Findings", "To be won", "Transformer blocks", "Kinds of blocks"),
        *("Parts of the blocks", "All modules", "Module types", "Operators", "Kernels"),
        *("Kernels without a known cost", "Phases", "Modules by phase", "Module types by phase"),
        *("Blocks by phase", "Passes", "Regions"),
    ]


def test_fields_stand_above_what_readers_call_them():
    sheet = book(build.hybrid(), "ru")["Ядра"]
    assert rows(sheet)[:3] == [
        ["name", "kind", "calls", "gpu_time_us", "mean_us", "min_us", "max_us"],
        [
            *("Имя", "Вид", "Вызовов", "Время GPU (мкс)"),
            *("Среднее (мкс)", "Наименьшее (мкс)", "Наибольшее (мкс)"),
        ],
        ["void at::native::elementwise<128>(int)", "kernel", 60, 8000, 133.3333, 100, 200],
    ]
    assert all(cell.font.bold for cell in sheet[2])
    assert sheet.freeze_panes == "B3"
    assert sheet.auto_filter.ref == "A2:G4"


def test_pandas_reads_fields_as_columns():
    data = io.BytesIO(contents(build.hybrid(), "ru"))
    table = pd.read_excel(data, sheet_name="Transformer-блоки", skiprows=[1])
    assert table["matrix_flops_per_pass"].tolist() == [17_979_637_760, 17_140_121_600, 6_792_335_360]
    assert table["parameters"].tolist() == [147_450_624, 140_497_280, 55_054_720]
    assert table["tflops"].tolist() == [5.137, 17.14, 0.0213]
    assert table["bytes"].isna().all()
    assert table["beats_bound"].tolist() == [False] * 3


def test_number_formats_follow_units():
    workbook = book(build.hybrid())
    blocks = workbook["Transformer blocks"]
    formats = {blocks.cell(1, i).value: blocks.cell(3, i).number_format for i in range(1, 40)}
    assert formats["gpu_time_us"] == "#,##0.00"
    assert formats["parameters"] == "#,##0"
    assert formats["matrix_flops"] == '[>=1000000000]#,##0.00,,," G";[>=1000000]#,##0.00,," M";#,##0'
    headroom = workbook["To be won"]
    share = [headroom.cell(1, i).value for i in range(1, 10)].index("share") + 1
    assert (headroom.cell(3, share).value, headroom.cell(3, share).number_format) == (0.25, "0.0%")


def test_widths_are_those_of_the_contents():
    for name, width in (("k" * 30, 33), ("漢" * 20, 43), ("k" * 5000, 60)):
        column = book(kernels(name, "w"))["Kernels"].column_dimensions["A"]
        assert column.width == pytest.approx(width, abs=1)


def test_columns_of_which_nothing_is_known_are_folded():
    sheet = book(build.hybrid())["All modules"]
    letters = {cell.value: cell.column_letter for cell in sheet[1]}
    assert sheet.column_dimensions[letters["bound_us"]].hidden
    assert not sheet.column_dimensions[letters["gpu_time_us"]].hidden
    assert not sheet.column_dimensions[letters["parameters"]].hidden


def test_headline_facts():
    found = facts(book(build.hybrid()))
    assert found["time.latency_us"] == (5000, "µs", None)
    assert found["flops.matrix_per_pass"] == (1_012_456_488_960, "FLOPs", None)
    assert found["flops.headline_tflops"] == (202.49, "TFLOP/s", "matrix FLOPs of a pass ÷ latency")
    assert found["flops.peak_share"] == (0.2047, None, None)
    # 10 of 12 ms
    assert found["accounting.modules_forward.us"] == (10_000, "µs", "83.3%, 80 events")
    assert found["accounting.gpu_time_us"] == (12_000, "µs", None)
    assert found["model.parameters"] == (8_888_227_328, None, None)
    assert found["model.class"] == ("NemotronHForCausalLM", None, None)
    assert "flops.bound_us" not in found


def test_headline_facts_of_phases():
    found = facts(book(build.phases(), "ru"))
    assert found["phases.0.latency_us"] == (5000, "мкс", None)
    assert found["phases.1.matrix_flops"] == (20_000_000_000, "FLOPs", None)
    assert found["phases.1.headline_tflops"] == (40, "TFLOP/s", "матричные FLOPs прохода ÷ задержка")
    labels = [row[0] for row in rows(book(build.phases(), "ru").worksheets[0])]
    assert "decode: Задержка без профилировщика" in labels


def test_without_a_gpu_nothing_is_said_of_one():
    assert not [field for field in facts(book(build.cpu_only())) if "gpu" in field or "accounting" in field]


def test_the_first_sheet_leads_to_the_others():
    sheet = book(build.hybrid()).worksheets[0]
    links = {cell.value: cell.hyperlink.location for row in sheet for cell in row if cell.hyperlink}
    assert links["All modules"] == "'All modules'!A1"
    listed = {row[0]: row[1] for row in rows(sheet)}
    assert (listed["All modules"], listed["Kernels"]) == (5, 2)


def test_what_the_trace_lacks_is_told():
    first = [row[0] for row in rows(book(build.empty()).worksheets[0])]
    assert "the trace has no shapes: capture it with record_shapes=True" in first


FORMULAS = [
    *("=cmd|' /C calc'!A0", "@SUM(A1:A9)", "+1", "-1", "{=A1}", "=1+1", " =1"),
    *("\uff1d1", "http://example.org/", "mailto:a@b.c", "internal:Sheet1!A1", "123", "1e5", "TRUE", "#N/A"),
    *("<r><t>x</t></r>", "<r>", "</r>", "<r></r>", " a ", "a&b<c>\"d'", "😀漢字", "[bold]", ""),
]


def test_texts_are_texts():
    data = contents(kernels(*FORMULAS))
    sheet = openpyxl.load_workbook(io.BytesIO(data))["Kernels"]
    cells = [sheet.cell(3 + i, 1) for i in range(len(FORMULAS))]
    assert [cell.value or "" for cell in cells] == FORMULAS
    assert {cell.data_type for cell, text in zip(cells, FORMULAS, strict=True) if text} <= {"s", "inlineStr"}
    assert not any(cell.hyperlink for cell in cells)
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        sheets = [files.read(name) for name in files.namelist() if name.startswith("xl/worksheets/sheet")]
        assert not any(b"<f>" in sheet or b"<f " in sheet for sheet in sheets)
        # The only links lead from the first sheet to the others.
        assert not [name for name in files.namelist() if name.startswith("xl/worksheets/_rels")]


def test_a_formula_stays_a_text_when_its_cell_is_edited():
    sheet = book(kernels("=1+1", "gemm"))["Kernels"]
    assert sheet["A3"].quotePrefix
    assert not sheet["A4"].quotePrefix


def test_what_excel_would_take_for_an_escape_is_escaped():
    with zipfile.ZipFile(io.BytesIO(contents(kernels("_x0041_")))) as files:
        sheets = [files.read(name) for name in files.namelist() if name.startswith("xl/worksheets/sheet")]
    # Excel reads A in _x0041_, and _ in _x005F_.
    assert [sheet.count(b"<t>_x005F_x0041_</t>") for sheet in sheets if b"_x0041_" in sheet] == [1]


def test_the_invisible_is_shown():
    found = [row[0] for row in rows(book(kernels("\ta\x00\x1b[31m\r\n\u202e", "a\ud800\ufffeb"))["Kernels"])]
    assert found[2:] == [r"\ta\x00\x1b[31m\r\n\u202e", r"a\ud800\ufffeb"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a" * 32_767, "a" * 32_767),
        ("a" * 32_768, "a" * 32_766 + "…"),
        # Letters beyond the first plane count twice, and none is cut in half.
        ("😀" * 16_383, "😀" * 16_383),
        ("😀" * 16_384, "😀" * 16_383 + "…"),
        ("b" + "😀" * 16_384, "b" + "😀" * 16_382 + "…"),
        ("<r>" + "<" * 20_000 + "</r>", "<r>" + "<" * 20_000 + "</r" + "…"),
    ],
)
def test_what_is_too_long_for_a_cell_is_cut(text, written):
    assert book(kernels(text))["Kernels"]["A3"].value == written


def test_a_cut_is_told():
    workbook = book(kernels("a" * 40_000, "b" * 32_767))
    sheet = workbook["Kernels"]
    assert sheet["A3"].comment.text.endswith("the text has 40,000 characters; report.json holds it whole")
    assert sheet["A4"].comment is None
    notes = [row[0] for row in rows(workbook.worksheets[0])]
    assert "1 text was too long for a cell and is cut; a comment stands at it." in notes
    assert not any("too long" in f"{row[0]}" for row in rows(book(build.hybrid()).worksheets[0]))


def test_what_is_too_long_for_a_sheet_goes_on_in_another(monkeypatch):
    monkeypatch.setattr(xlsx, "ROW_LIMIT", 5)
    workbook = book(kernels(*"abcdefg"))
    assert [row[0] for row in rows(workbook["Kernels"])[2:]] == ["a", "b", "c"]
    assert [row[0] for row in rows(workbook["Kernels 2"])] == ["name", "Name", "d", "e", "f"]
    assert [row[0] for row in rows(workbook["Kernels 3"])[2:]] == ["g"]
    listed = {row[0]: row[1] for row in rows(workbook.worksheets[0])}
    assert (listed["Kernels"], listed["Kernels 3"]) == (3, 1)


def test_what_is_no_number_is_an_empty_cell():
    row = KernelRow("k", "kernel", 1, float("nan"), float("inf"), float("-inf"), 2.0)
    sheet = book(build.changed(build.hybrid(), kernels=(row,)))["Kernels"]
    assert rows(sheet)[2] == ["k", "kernel", 1, None, None, None, 2]


def test_very_many_flops():
    op = build.changed(build.hybrid().ops[0], matrix_flops=10**30)
    sheet = book(build.changed(build.hybrid(), ops=(op,)))["Operators"]
    column = rows(sheet)[0].index("matrix_flops")
    assert rows(sheet)[2][column] == 1e30


def test_words_of_the_report_are_translated():
    workbook = book(build.hybrid(), "ru")
    assert [row[1] for row in rows(workbook["Выводы"])[1:]] == ["Важность", "заметно"]
    won = rows(workbook["Можно выиграть"])
    limit = won[0].index("limited_by")
    assert [row[limit] for row in won[2:]] == ["память", "хост (GPU ждёт)"]
    evidence = rows(workbook["Выводы"])[2][3]
    assert evidence.startswith("один из вызовов (всего 20) занимает 404,2 мс")


def test_the_same_report_gives_the_same_bytes():
    first = contents(build.hybrid())
    assert contents(build.hybrid()) == first
    assert openpyxl.load_workbook(io.BytesIO(first)).properties.created.year == 2000


@pytest.mark.parametrize("lang", LANGUAGES)
def test_names_of_sheets_are_such_as_excel_allows(lang):
    titles = [Locale(lang).message(TITLES[name]) for name in xlsx.SHEETS]
    assert len(set(map(str.lower, titles))) == len(titles) == len({*TABLES, *NESTED_TABLES, *HTA_TABLES})
    for title in titles:
        assert len(f"{title} 2") <= 31
        assert not set(title) & set("[]:*?/\\'")


def test_every_column_has_a_label():
    report = build.phases()
    names = {
        one.name
        for table in [*TABLES, *NESTED_TABLES, *HTA_TABLES, "timeline"]
        for one in table_of(report, table).columns
    }
    assert names == set(LABELS)
    assert {one.name for row_type in TABLES.values() for one in fields_of(row_type)} <= set(LABELS)


def test_headers_name_units():
    locale = Locale("en")
    headers = {
        "gpu_time_per_pass_us": "GPU time per pass (µs)",
        "matrix_flops": "Matrix FLOPs",
        "bytes": "Least memory traffic (B)",
        "gbs": "Achieved bandwidth (GB/s)",
        "tflops": "Achieved (TFLOP/s)",
        "cpu_gflops": "Achieved on the CPU (GFLOP/s)",
        "arithmetic_intensity": "Arithmetic intensity (FLOP/byte)",
        "bound_share": "Bound reached",
        "calls": "Calls",
        "mine": "mine",
    }
    assert {field: header_of(field, locale) for field in headers} == headers


def test_a_title_of_any_kind(tmp_path):
    report = build.hybrid()
    named = build.changed(report, model=build.changed(report.model, name="=x" + "y" * 40_000))
    assert len(book(named).worksheets[0]["A1"].value) == 32_767
    path = renderers.save(named, tmp_path / "out", ["xlsx"])
    assert [one.name for one in path.glob("[!.]*")] == ["report.xlsx"]


def test_temporary_files_are_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    contents(build.hybrid())
    finding = build.changed(build.hybrid().findings[0], evidence=N_("{missing}"))
    with pytest.raises(KeyError):
        contents(build.changed(build.hybrid(), findings=(finding,)))
    assert list(tmp_path.iterdir()) == []
