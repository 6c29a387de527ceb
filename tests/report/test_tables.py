import csv
import io

import pandas as pd
import pytest

from tests.report import build
from tracekit.analysis.schema import Finding, KernelRow, ModuleRow, OpRow
from tracekit.report.i18n import Locale
from tracekit.report.tables import TABLES, frame, render_csv


def test_columns_are_the_fields_and_types_hold_without_rows():
    modules = build.hybrid().modules
    full, empty = frame(modules, ModuleRow), frame((), ModuleRow)
    assert list(full.columns) == list(ModuleRow.__struct_fields__)
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
    assert sorted(files) == sorted(f"{table}.csv" for table in TABLES)
    for table, row_type in TABLES.items():
        read = list(csv.reader(io.StringIO(files[f"{table}.csv"].decode(), newline="")))
        assert read[0] == list(row_type.__struct_fields__)
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
