"""A report from a file: what was saved comes back, and what is no whole report is refused in one line."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.analysis.compare.models import Model
from tracekit.analysis import Report
from tracekit.analysis.compare import is_report, load, read_report
from tracekit.messages import UserError
from tracekit.report.json import plain, render_json


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Model({"a:Linear": [10, 11, 12]}).report(tmp_path)


def _never(path: Path) -> Report:
    raise AssertionError(path)


def test_all_of_a_report_comes_back(report: Report, tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    saved.write_bytes(render_json(report))
    assert is_report(saved)
    assert plain(load(saved, _never)) == plain(report)


def test_texts_with_braces_come_back(report: Report, tmp_path: Path) -> None:
    odd = msgspec.structs.replace(report.trace, path="a {b}.json")
    document = plain(msgspec.structs.replace(report, trace=odd))
    document["trace"]["warnings"] = ["skipped {1} of {x}"]
    saved = tmp_path / "report.json"
    saved.write_text('{"schema": "tracekit.report/1", ' + json.dumps(document)[1:])
    read = read_report(saved)
    assert [str(one) for one in read.trace.warnings] == ["skipped {1} of {x}"]
    assert read.trace.path == "a {b}.json"


def test_a_trace_is_analysed(report: Report, tmp_path: Path) -> None:
    assert not is_report(tmp_path / "t.json")
    assert not is_report(tmp_path / "none.json")
    assert load(tmp_path / "t.json", lambda _path: report) is report


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "no whole report.json"),
        (lambda text: text.replace("tracekit.report/1", "tracekit.report/9"), "schema tracekit.report/9"),
        (lambda text: text.replace('"passes":3', '"passes":"three"'), "no report of this version"),
    ],
)
def test_what_is_no_report_is_refused(
    report: Report, tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    saved = tmp_path / "report.json"
    text = render_json(report).decode()
    assert change(text) != text
    saved.write_text(change(text))
    with pytest.raises(UserError, match=said):
        read_report(saved)


def test_a_report_without_statistics_is_of_an_older_version(report: Report, tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    saved.write_bytes(render_json(msgspec.structs.replace(report, statistics=())))
    with pytest.raises(UserError, match="analyze the trace again"):
        read_report(saved)


@pytest.mark.parametrize(
    "written",
    [
        gzip.compress,
        bz2.compress,
        lambda text: json.dumps(json.loads(text), separators=(",", ":")).encode(),
        lambda text: json.dumps(json.loads(text), indent=8, sort_keys=True).encode(),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
    ],
    ids=["gzip", "bzip2", "compact", "sorted", "byte order mark", "UTF-16"],
)
def test_a_report_may_be_packed_and_written_anew(
    report: Report, tmp_path: Path, written: Callable[[bytes], bytes]
) -> None:
    saved = tmp_path / "baseline"
    saved.write_bytes(written(render_json(report)))
    assert plain(load(saved, _never)) == plain(report)


def test_what_tracekit_writes_beside_is_no_trace(tmp_path: Path) -> None:
    saved = tmp_path / "comparison.json"
    saved.write_text('{"schema": "tracekit.comparison/1", "before": {}}')
    with pytest.raises(UserError, match=r"schema tracekit\.comparison/1, not"):
        load(saved, _never)


def test_a_pipe_is_left_to_who_reads_traces(report: Report, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = b'{"traceEvents": []}'
    writer = threading.Thread(target=pipe.write_bytes, args=(text,), daemon=True)
    writer.start()
    read: list[bytes] = []

    def analyze(path: Path) -> Report:
        read.append(path.read_bytes())
        return report

    load(pipe, analyze)
    writer.join(timeout=60)
    assert read == [text]


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(of: dict[str, Any]) -> None:
        of[name] = value

    return change


@pytest.mark.parametrize(
    ("part", "change", "field"),
    [
        ("statistics", _set("row", [99]), "row"),
        ("statistics", _set("row", [-1]), "row"),
        ("statistics", _set("mean_us", []), "mean_us"),
        ("statistics", _set("median_us", [-1.0]), "median_us"),
        ("statistics", _set("std_us", [1e300]), "std_us"),
        ("statistics", _set("passes", 0), "passes"),
        ("statistics", _set("table", "rows"), "table"),
        ("module_kernels", _set("kernel", [99]), "kernel"),
        ("module_kernels", _set("row", [-1]), "row"),
        ("op_kernels", _set("gpu_time_us", [1.0] * 99), "gpu_time_us"),
    ],
)
def test_columns_that_do_not_go_with_the_tables_are_refused(
    report: Report, tmp_path: Path, part: str, change: Callable[[dict[str, Any]], None], field: str
) -> None:
    document = plain(report)
    document = {"schema": document.pop("schema"), **document}
    change(document[part][0] if part == "statistics" else document[part])
    saved = tmp_path / "report.json"
    saved.write_text(json.dumps(document))
    where = rf"\$\.{part}(\[0\])?\.{field} do not go"
    with pytest.raises(UserError, match=where):
        read_report(saved)


def test_a_report_whose_findings_are_none_is_refused(report: Report, tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    saved.write_text(json.dumps({**plain(report), "findings": 1.5}))
    with pytest.raises(UserError, match="no report of this version"):
        read_report(saved)


def test_a_small_file_with_endless_text_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules[read_report.__module__], "_MOST_BYTES", 1 << 20)
    saved = tmp_path / "report.json.gz"
    saved.write_bytes(gzip.compress(b'{"schema": "tracekit.report/1", ' + b" " * (2 << 20)))
    with pytest.raises(UserError, match=r"is larger than a report\.json can be \(1 MiB\)"):
        read_report(saved)
