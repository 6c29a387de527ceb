import csv
import io

import pandas as pd
import pytest

from tests.report import build
from tracekit.analysis.schema import KernelRow
from tracekit.report.i18n import Locale
from tracekit.report.tables.columns import NESTED_TABLES, TABLES, fields_of
from tracekit.report.tables.csv import render_csv


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
        assert read[0] == [one.name for one in fields_of(row_type)]
        assert len(read) == 1 + len(getattr(build.ALL[name](), table))


def test_numbers_are_plain_and_messages_translated():
    files = render_csv(build.hybrid(), Locale("ru"))
    flops = pd.read_csv(io.BytesIO(files["ops.csv"]))["matrix_flops"]
    assert flops.tolist() == [143_277_424_640]
    assert "один из вызовов (всего 20) занимает 404,2 мс" in files["findings.csv"].decode()


def test_a_file_as_it_is():
    assert render_csv(build.hybrid(), Locale("en"))["headroom.csv"].decode() == (
        "kind,place,type,modules,gpu_time_us,bound_us,headroom_us,share,limited_by\n"
        "modules,layers.*.mixer.in_proj,Linear,2,2000.0,500.0,1500.0,0.25,memory\n"
        "launches,,,0,0.0,,600.0,0.1,host\n"
    )


def kernel_names(*names):
    rows = tuple(KernelRow(name, "kernel", -1, -2.5, 0.0, 0.0, 0.0) for name in names)
    text = render_csv(build.changed(build.hybrid(), kernels=rows), Locale("en"))["kernels.csv"].decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"'\t=1"),
        ("\r=1", r"'\r=1"),
        ("\n=1", r"'\n=1"),
        (" =1", "' =1"),
        ("  \u00a0=1", r"'  \xa0=1"),
        ("\uff1dcmd", "'\uff1dcmd"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM", "'\uff20SUM"),
        ('=HYPERLINK("http://a","b")', '\'=HYPERLINK("http://a","b")'),
        ("a=1", "a=1"),
        ("aten::mm -1", "aten::mm -1"),
        ("", ""),
    ],
)
def test_formulas_are_disarmed(name, written):
    (row,) = kernel_names(name)
    assert row["name"] == written


def test_a_negative_number_is_a_number():
    (row,) = kernel_names("k")
    assert (row["gpu_time_us"], row["calls"]) == ("-2.5", "-1")


def test_every_row_is_one_line():
    rows = render_csv(build.hostile(), Locale("en"))["modules.csv"].decode().splitlines()
    assert len(rows) == 1 + len(build.hostile().modules)
