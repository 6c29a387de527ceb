"""A report from a file: what was saved comes back, and what is no whole report is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
