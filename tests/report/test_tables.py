import csv
import io

import pandas as pd
import pytest

from tests.report import build
from tracekit.analysis.schema import Finding, KernelRow, ModuleRow, OpRow
from tracekit.report.i18n import Locale
from tracekit.report.tables import NESTED_TABLES, TABLES, columns_of, frame, nested_frame, render_csv


def test_columns_are_the_fields_and_types_hold_without_rows():
    modules = build.hybrid().modules
    full, empty = frame(modules, ModuleRow), frame((), ModuleRow)
    assert list(full.columns) == [name for name in ModuleRow.__struct_fields__ if name != "phases"]
    assert full.dtypes.equals(empty.dtypes)
    assert len(empty) == 0
    assert full.dtypes["calls"] == "int64"
    assert full.dtypes["parameters"] == "Int64"
    assert full.dtypes["gpu_time_us"] == "float64"
    assert full["gpu_self_time_us"].sum() == 10_000


def test_the_unknown_is_missing():
    modules = frame(build.hybrid().modules, ModuleRow)
    assert modules["parameters"].tolist()[1] == 1000
    assert modules["parameters"].isna().sum() == 4
    assert modules["tflops"].isna().all()
    assert modules["parent"].tolist() == [None] * 5


def test_messages_are_text():
    assert frame(build.hybrid().findings, Finding)["evidence"][0].startswith("one of its 20 calls")


@pytest.mark.parametrize("name", build.ALL)
def test_csv_files(name):
    files = render_csv(build.ALL[name](), Locale("ru"))
    report = build.ALL[name]()
    expected = [*TABLES]
    for nested, (table, _keys, field) in NESTED_TABLES.items():
        if any(getattr(row, field) for row in getattr(report, table)):
            expected.append(nested)
    assert sorted(files) == sorted(f"{table}.csv" for table in expected)
    for table, row_type in TABLES.items():
        read = list(csv.reader(io.StringIO(files[f"{table}.csv"].decode(), newline="")))
        assert read[0] == columns_of(row_type)
        assert len(read) == 1 + len(getattr(build.ALL[name](), table))


def test_csv_numbers_are_plain_and_messages_translated():
    files = render_csv(build.hybrid(), Locale("ru"))
    flops = pd.read_csv(io.BytesIO(files["ops.csv"]))["matrix_flops"]
    assert flops.tolist() == [143_277_424_640]
    assert "один из вызовов (всего 20) занимает 404,2 мс" in files["findings.csv"].decode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_disarmed(start):
    row = KernelRow(f"{start}1+1", "kernel", -1, -2.5, 0.0, 0.0, 0.0)
    report = build.changed(build.hybrid(), kernels=(row,))
    read = list(
        csv.DictReader(io.StringIO(render_csv(report, Locale("en"))["kernels.csv"].decode(), newline=""))
    )
    assert read[0]["name"] == "'" + {"\t": r"\t", "\r": r"\r"}.get(start, start) + "1+1"
    # A negative number is a number.
    assert read[0]["gpu_time_us"] == "-2.5"
    assert read[0]["calls"] == "-1"


def test_ops_without_rows():
    assert frame((), OpRow)["shapes"].tolist() == []


def test_phases_of_blocks_are_rows():
    table = nested_frame(build.phases(), "block_phases")
    assert list(table.columns[:4]) == ["stack", "index", "phase", "calls"]
    assert table["phase"].tolist() == ["prefill", "decode"] * 3
    # Blocks of 3.5, 1 and 0.5 ms in the prefill, a tenth of that in the decode.
    decode = table[table["phase"] == "decode"]
    assert decode["gpu_time_per_pass_us"].tolist() == pytest.approx([350, 100, 50])
    assert len(nested_frame(build.hybrid(), "module_phases")) == 0
