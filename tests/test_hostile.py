"""Traces that are made to hurt, through the whole command: what is in them is shown, never obeyed.

Larger ones of the same kinds (a million names) are tried by hand: they differ in nothing but patience.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import tracekit
from tests.builder import TraceBuilder
from tracekit.analysis import analyze
from tracekit.analysis.schema import Report
from tracekit.cli import main
from tracekit.hta import is_installed
from tracekit.report import sections, view
from tracekit.report.i18n import Locale
from tracekit.report.page import render_page
from tracekit.report.page.payload import NAME_CHARACTERS

FORMATS = "md,svg,html,json,csv,xlsx"
TABLES = (
    *("modules", "types", "blocks", "block_kinds", "headroom", "kernels", "ops", "uncosted"),
    *("phases", "passes", "regions", "findings"),
)
PICTURES = ("layer_time", "type_time", "block_time", "roofline", "headroom")
FILES = {
    *("report.md", "report.html", "report.json", "report.xlsx", ".tracekit-report"),
    *(f"{name}.csv" for name in TABLES),
    *(f"hta_{name}.csv" for name in ("ranks", "idle") if is_installed()),
    *(f"{name}.svg" for name in PICTURES),
}

NAMES = [
    "../../etc/passwd",
    "/tmp/absolute",
    "C:\\Windows\\System32",
    "CON",
    "NUL",
    "report.html",
    ".",
    "..",
    "",
    "</script><script>touch('touched')</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}{% include 'page.html.j2' %}${7*7}",
    "$(touch touched)`touch touched`;touch touched|touch touched",
    "__import__('os').system('touch touched')",
    "{0.__class__} {name} %s %n",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "![x](http://example.org/x.png) [link](javascript:alert(1)) | a | b |\n# heading",
    "\u202egnp.exe\u202c",
    "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "\x1b]0;title\x07\x1b[2J\x1b[31m",
    "\ud800",
    "x" * 20_000,
]


def hostile_trace(name: str) -> TraceBuilder:
    """The name wherever a trace has names."""
    builder = TraceBuilder()
    builder.frame(f"{name}_0", 0, 50).frame("Linear_0", 1, 40).range(name, 2, 30)
    builder.op(name, 3, 20, [[2, 3], [3, 4]], ["float", name], [name]).op("aten::mm", 21, 29)
    builder.launch(1, 5).kernel(1, 60, 70, name).launch(2, 22).kernel(2, 70, 75, f"void {name}<{name}>()")
    builder.metadata["deviceProperties"] = [{"id": 0, "name": name}]
    builder.metadata["tracekit"] = {"model": {"name": name, "class": name, "dtype": name}, "mode": name}
    return builder


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()
    }


def test_no_name_of_a_trace_is_obeyed_or_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "a" / "b" / "c"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    builder = TraceBuilder()
    for number, name in enumerate(NAMES):
        start = number * 100
        builder.events += [
            {**event, "ts": event["ts"] + start, "args": {**event.get("args", {}), "correlation": number}}
            for event in hostile_trace(name).events
        ]
    builder.write(place / "t.json")
    before = tree(tmp_path)
    assert main(["analyze", "t.json", "-o", "out", "--format", FORMATS, "--lang", "en"]) == 0
    assert main(["annotate", "t.json", "-o", "copy.json"]) == 0
    written = {name: data for name, data in tree(tmp_path).items() if name not in before}
    assert written.keys() == {"a/b/c/copy.json", *(f"a/b/c/out/{name}" for name in FILES)}
    assert {name: data for name, data in tree(tmp_path).items() if name in before} == before
    assert sum(map(len, written.values())) < 20_000_000
    text = capsys.readouterr().out
    assert not [c for c in text if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_everywhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile_trace(name).write(tmp_path / "t.json")
    assert main(["analyze", "t.json", "-o", "out", "--format", "md,html,json,csv", "--lang", "ru"]) == 0
    assert "t.json" in os.listdir(tmp_path)
    assert set(os.listdir(tmp_path)) == {"t.json", "out"}
    shown = capsys.readouterr().out + (tmp_path / "out" / "report.md").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert not [c for c in shown if not c.isprintable() and c not in "\n\u00a0"]
    assert "<img src=x" not in page
    assert "<script>touch" not in page
    assert "7*7" in page if "7*7" in name else "49" not in name
    json.loads((tmp_path / "out" / "report.json").read_text())
    with (tmp_path / "out" / "kernels.csv").open(newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell[:1] in ("=", "@")]


LIMITS = [-1, 0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30]


@pytest.mark.parametrize("number", LIMITS)
def test_numbers_at_the_limits(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As process, thread, correlation, device, stream, sequence number and shape."""
    monkeypatch.chdir(tmp_path)
    builder = TraceBuilder(pid=number, tid=number)
    builder.frame("Net_0", 0, 50)
    builder.op("aten::mm", 1, 9, [[number, 3], [3, number]], ["float", "float"], sequence=number)
    builder.launch(number, 5).kernel(number, 20, 30, device=number, stream=number)
    builder.write(tmp_path / "t.json")
    code = main(["analyze", "t.json", "-o", "out", "--format", "md,html,json,csv", "--lang", "en"])
    errors = capsys.readouterr().err
    assert (code, errors) == (0, "")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["accounting"]["gpu_events"] <= 1


@pytest.mark.parametrize("start", [0, 1e15, 9.2e15, 1e18, -1e9, 1e300])
def test_times_at_the_limits(
    tmp_path: Path, start: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that cannot be are skipped, and said to be."""
    monkeypatch.chdir(tmp_path)
    builder = TraceBuilder().frame("Net_0", 0, 50).op("aten::mm", 1, 9).launch(1, 5).kernel(1, 20, 30)
    builder.frame("Net_1", start, start + 50).event("kernel", "late", start, start + 1e15)
    builder.write(tmp_path / "t.json")
    code = main(["analyze", "t.json", "-o", "out", "--format", "md,html,json,csv", "--lang", "en"])
    assert (code, capsys.readouterr().err) == (0, "")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["trace"]["events"] + report["trace"]["skipped_events"] == 6


def nested_modules(depth: int) -> TraceBuilder:
    builder = TraceBuilder()
    for level in range(depth):
        builder.frame(f"Wrap_{level}", level, 4 * depth - level)
    return (
        builder.op("aten::mm", depth, depth + 1).launch(1, depth + 0.2, depth + 0.5).kernel(1, 5e4, 5e4 + 5)
    )


def test_modules_deeper_than_python_recurs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nested_modules(1200).write(tmp_path / "t.json")
    assert main(["analyze", "t.json", "-o", "out", "--format", "md,svg,html,json,csv", "-q"]) == 0
    assert main(["annotate", "t.json", "-o", "copy.json", "-q"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["depth"] for row in report["modules"]] == list(range(256))
    assert (tmp_path / "out" / "report.json").stat().st_size < 2_000_000
    # The kernel of 5 µs is launched in the innermost of all.
    assert {row["gpu_time_us"] for row in report["modules"]} == {5}
    assert [row["gpu_self_time_us"] for row in report["modules"]] == [0] * 255 + [5]
    assert report["accounting"]["modules_forward"] == {"events": 1, "us": 5}
    (warning,) = report["trace"]["warnings"]
    assert warning.startswith("modules are nested 1200 levels deep: 944 of them, below level 256, have no")
    findings = {one["id"]: one for one in report["findings"]}
    assert findings["trace.deep_nesting"]["evidence"] == warning
    assert "trace.damaged" not in findings


def report_of(tmp_path: Path, builder: TraceBuilder) -> Report:
    return analyze(builder.write(tmp_path / "t.json"))


def test_outputs_for_people_say_how_many_rows_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five kernels and operators of 1 to 5 µs, of modules of a type each; two are shown of each."""
    builder = TraceBuilder().frame("Net_0", 0, 1000)
    for number in range(1, 6):
        start = 100 * number
        builder.frame(f"Layer{number}_{number}", start, start + 50).op(
            f"my::op{number}", start + 1, start + 9
        )
        builder.launch(number, start + 2).kernel(number, start + 20, start + 20 + number, f"kernel{number}")
    report = report_of(tmp_path, builder)
    monkeypatch.setattr(view, "TABLE_ROWS", 2)
    monkeypatch.setattr(sections, "TYPE_ROWS", 2)
    page = render_page(report, "en")
    data = json.loads(page.split('id="payload">')[1].split("</script>")[0])
    assert data["kernels"]["name"] == ["kernel5", "kernel4"]
    assert data["ops"]["name"] == ["my::op5", "my::op4"]
    assert page.count('<span lang="en"> 3 more are in report.json.</span>') == 2
    lines = sections.types(report, Locale("en")).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    # Net has no time of its own; it and the shorter three are 1 + 2 + 3 + 0 µs.
    shown = {row[0]: row[1:3] for row in cells[2:]}
    assert shown["4 more"] == ["4", "0.0060"]
    assert {name: row[1] for name, row in shown.items() if name != "4 more"} == {
        "Layer5": "0.0050",
        "Layer4": "0.0040",
        "**Total**": "0.015",
    }


def payload_of(page: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(page.split('id="payload">')[1].split("</script>")[0])
    return payload


def test_a_page_has_the_modules_of_most_time_and_what_they_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of five stages holds a layer of 1 to 5 µs on the GPU."""
    builder = TraceBuilder().frame("Net_0", 0, 1000)
    for number in range(1, 6):
        start = 100 * number
        builder.frame(f"Stage_{number}", start, start + 50).frame(f"Linear_{number}", start + 1, start + 40)
        builder.op("aten::mm", start + 2, start + 9)
        builder.launch(number, start + 3).kernel(number, start + 20, start + 20 + number)
    report = report_of(tmp_path, builder)
    monkeypatch.setattr(view, "PAGE_MODULES", 3)  # the root, and of the longest stage …
    page = render_page(report, "en")
    payload = payload_of(page)
    assert payload["modules"]["label"] == ["Net_0", "Stage_5", "Linear_5"]
    assert payload["modules"]["parent"] == [None, 0, 1]
    # … so that all other kernels are the root's.
    assert payload["timeline"]["events"]["module"] == [0, 0, 0, 0, 2]
    assert page.count('<span lang="en"> 8 more are in report.json.</span>') == 3
    assert len(report.modules) == 11


def test_a_page_has_the_first_last_and_slowest_passes_and_the_spread_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twelve passes of 3 to 9 µs the sixth takes 80 µs and the eighth 10."""
    builder = TraceBuilder()
    walls = [3, 4, 5, 6, 7, 80, 9, 10, 9, 8, 7, 6]
    for number, wall in enumerate(walls):
        builder.frame("Net_0", 100 * number, 100 * number + wall)
    report = report_of(tmp_path, builder)
    monkeypatch.setattr(view, "TABLE_ROWS", 6)
    page = render_page(report, "en")
    payload = payload_of(page)
    assert payload["passes"]["index"] == [0, 1, 5, 7, 10, 11]
    assert payload["spread"] == {"": {"passes": 12, "outliers": 1, "least": 3, "greatest": 10}}
    assert "Here are the first, the last and the slowest. 6 more are in report.json." in page


_ANALYZER = """
import sys
from pathlib import Path
from tracekit.analysis import analyze
from tracekit.report.saving import save

report = analyze(sys.argv[1], processes=1)
save(report, sys.argv[2], ["md", "html", "json", "csv"])
try:
    print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024)
except OSError:  # no Linux
    print(0)
"""


def sizes_apart(tmp_path: Path, events: Iterable[bytes], limit_seconds: float) -> dict[str, int]:
    """Bytes of each file of a report that a process of its own writes, and of its `peak` of memory.

    What is quadratic in the events does not end in time.
    """
    path = tmp_path / "t.json"
    with path.open("wb") as file:
        file.write(b'{"traceEvents": [{}')
        file.writelines(b",\n" + event for event in events)
        file.write(b"]}")
    command = [sys.executable, "-c", _ANALYZER, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_seconds)
    assert done.returncode == 0, done.stderr
    sizes = {one.name: one.stat().st_size for one in (tmp_path / "out").iterdir()}
    return {**sizes, "peak": int(done.stdout)}


def frame(name: bytes, start: float, duration: float) -> bytes:
    return (
        b'{"ph": "X", "cat": "python_function", "name": "nn.Module: %b", "pid": 1, "tid": 1, "ts": %.1f, '
        b'"dur": %.1f}' % (name, start, duration)
    )


def test_a_page_of_very_many_passes_stays_small(tmp_path: Path) -> None:
    count = 200_000
    sizes = sizes_apart(tmp_path, (frame(b"Net_0", 10 * i, 9) for i in range(count)), 120)
    assert max(sizes["report.html"], sizes["report.md"]) < 4_000_000
    with (tmp_path / "out" / "passes.csv").open() as file:
        assert sum(1 for _ in file) == count + 1
    assert sizes["peak"] < 600_000_000


def test_a_page_of_very_many_blocks_stays_small(tmp_path: Path) -> None:
    """Of all of them the CSV files have a row."""
    count = 16_000
    frames = [frame(b"Net_0", 0, 10 * count)]
    for i in range(count):
        frames += [frame(b"DecoderLayer_%d" % i, 10 * i, 9), frame(b"Linear_%d" % i, 10 * i + 1, 7)]
    sizes = sizes_apart(tmp_path, frames, 120)
    assert max(sizes["report.html"], sizes["report.md"]) < 20_000_000
    with (tmp_path / "out" / "blocks.csv").open() as file:
        assert sum(1 for _ in file) == count + 1
    assert sizes["peak"] < 1_000_000_000


def test_a_page_lacks_the_middle_of_names_that_nobody_reads(tmp_path: Path) -> None:
    name = "a" * 1_000_000 + "b"
    page = render_page(report_of(tmp_path, hostile_trace(name)), "en")
    assert "a" * NAME_CHARACTERS not in page
    assert len(page) < 3_000_000


# What turns text into code; of a process that was started for it, one module reads the answer.
EVALUATING = {"eval", "exec", "compile", "system", "popen", "loads", "load", "run_path", "import_module"}
ALLOWED = {
    "tracekit/__init__.py": {"import_module"},
    "tracekit/report/__init__.py": {"import_module"},
    "tracekit/report/comparison/__init__.py": {"import_module"},
    # What reads a trace or a report.json, as data.
    "tracekit/api.py": {"load"},
    "tracekit/api_compare.py": {"load"},
    "tracekit/cli_compare.py": {"load"},
    "tracekit/cli_gate.py": {"load"},
    "tracekit/report/catalogue.py": {"load"},  # of the catalogues, our own
    "tracekit/report/saving.py": {"import_module"},
    "tracekit/costs/extension.py": {"run_path", "load"},
    "tracekit/trace/parallel.py": {"loads"},
}


def test_nothing_is_evaluated() -> None:
    root = Path(tracekit.__file__).parent
    found: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        if "capture" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                is_of_module = isinstance(function, ast.Attribute)
                name = function.attr if is_of_module else getattr(function, "id", "")
                if is_of_module and ast.unparse(function) in ("re.compile", "json.loads", "json.load"):
                    continue
                if name in EVALUATING:
                    found.setdefault(str(path.relative_to(root.parent)), set()).add(name)
                assert not [word for word in node.keywords if word.arg == "shell"], path
    assert found == ALLOWED
