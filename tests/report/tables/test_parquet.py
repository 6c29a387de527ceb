import io
import json
import os
import subprocess
import sys

import pandas as pd
import pyarrow.parquet
import pytest

from tests.report import build
from tests.report.tables.test_columns import timeline
from tracekit import report as renderers
from tracekit.messages import UserError
from tracekit.report.i18n import Locale
from tracekit.report.tables.columns import TABLES
from tracekit.report.tables.frames import frame
from tracekit.report.tables.parquet import render_parquet


def read(report, lang="en"):
    files = render_parquet(report, Locale(lang))
    return {name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(data)) for name, data in files.items()}


@pytest.mark.parametrize("name", build.ALL)
def test_what_is_read_back_is_the_frame(name):
    report = build.ALL[name]()
    tables = read(report)
    assert set(TABLES) <= set(tables)
    for table, found in tables.items():
        # pandas may have a type of its own for texts; names within sentences are cleaned.
        texts = {name: object for name, kind in found.dtypes.items() if kind in ("str", "object")}
        sentences = ["evidence", "advice"] if table == "findings" else []
        pd.testing.assert_frame_equal(
            found.astype(texts).drop(columns=sentences),
            frame(report, table).drop(columns=sentences),
            check_exact=True,
        )


def test_types_and_units():
    files = render_parquet(build.phases(), Locale("en"))
    schema = pyarrow.parquet.read_schema(io.BytesIO(files["modules.parquet"]))
    types = {field.name: str(field.type) for field in schema}
    assert types["path"] == "string"
    assert types["calls"] == types["parameters"] == "int64"
    assert types["gpu_time_us"] == "double"
    assert types["beats_bound"] == "bool"
    units = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in schema}
    assert (units["gpu_time_us"], units["matrix_flops"], units["bytes"]) == ("µs", "FLOPs", "B")
    assert (units["gbs"], units["tflops"], units["arithmetic_intensity"]) == ("GB/s", "TFLOP/s", "FLOP/byte")
    assert units["calls"] == units["path"] == units["bound_share"] == ""
    assert schema.metadata[b"tracekit.schema"] == b"tracekit.report/1"
    assert schema.metadata[b"tracekit.trace"] == b"/traces/nano.json.gz"


def test_the_unknown_is_null_and_large_integers_are_exact():
    report = build.hybrid()
    modules = (build.changed(report.modules[0], parameters=2**60 + 1), *report.modules[1:])
    files = render_parquet(build.changed(report, modules=modules), Locale("en"))
    table = pyarrow.parquet.read_table(io.BytesIO(files["modules.parquet"]))
    assert table["parameters"].to_pylist() == [2**60 + 1, 1000, None, None, None]
    assert table["tflops"].to_pylist() == [None] * 5


def test_names_are_those_of_the_trace():
    found = read(build.hostile())["kernels"]["name"][0]
    assert found == build.HOSTILE.replace("\ud800", "\\ud800")
    assert read(build.changed(build.hybrid(), kernels=()))["kernels"]["name"].tolist() == []


def test_messages_are_translated():
    assert read(build.hybrid(), "ru")["findings"]["evidence"][0].startswith("один из вызовов")


def test_the_timeline_is_there_if_it_is_known():
    assert "timeline" not in read(build.hybrid())
    found = read(build.changed(build.hybrid(), timeline=timeline()))["timeline"]
    assert found["duration_us"].groupby(found["stream"]).sum().to_dict() == {7: 15.0, 13: 2.5}


def test_the_same_report_gives_the_same_bytes():
    assert render_parquet(build.hybrid(), Locale("en")) == render_parquet(build.hybrid(), Locale("en"))


def test_files_of_a_report(tmp_path):
    path = renderers.save(build.hybrid(), tmp_path / "out", ["parquet"])
    names = {*TABLES, "block_parts"}
    assert {one.name for one in path.glob("[!.]*")} == {f"{name}.parquet" for name in names}


def test_without_pyarrow_the_format_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"needs pyarrow: pip install 'tracekit\[parquet\]'"):
        renderers.check_formats(["md", "parquet"])
    renderers.check_formats(["md", "xlsx"])


def test_without_pyarrow_the_command_ends_before_the_analysis(tmp_path):
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    (tmp_path / "t.json").write_text(json.dumps({"traceEvents": "not read"}))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tracekit", "analyze", str(tmp_path / "t.json"), "--format", "parquet"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    line = "tracekit: format parquet needs pyarrow: pip install 'tracekit[parquet]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
