"""Large traces are what their making promises, and `bench.py analyze` runs through at its smallest sizes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tracekit.trace import read

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_traces" / "llama_small.json.gz"

HEAD = """{
  "schemaVersion": 1,
  "traceEvents": [
  {
    "ph": "M", "name": "process_name", "ts": 1.000, "pid": 5, "tid": 0,
    "args": { "name": "busy at 100%d" }
  },"""
EVENTS = """
  {
    "ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 5, "tid": 5,
    "ts": 100.250, "dur": 20.500,
    "args": {
      "External id": 3,"Ev Idx": 0, "Sequence number": 41, "Input Dims": [[8, 4], [4, 8]]
    }
  },
  {
    "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 5,
    "ts": 105.000, "dur": 5.000,
    "args": { "External id": 3, "correlation": 7 }
  },
  {
    "ph": "s", "id": 9, "pid": 5, "tid": 5, "ts": 105.000, "cat": "ac2g", "name": "ac2g"
  },
  {
    "ph": "X", "cat": "kernel", "name": "gemm<100%s>(\\"ts\\": 3)", "pid": 0, "tid": 7,
    "ts": 130.125, "dur": 70.000,
    "args": { "External id": 3, "correlation": 7, "stream": 7 }
  }"""
# All of it takes 99.875 µs, and 1000 µs are between the copies: the next one is 1100 whole µs later.
EVENTS_AGAIN = """
  {
    "ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 5, "tid": 5,
    "ts": 1200.250, "dur": 20.500,
    "args": {
      "External id": 7,"Ev Idx": 1, "Sequence number": 83, "Input Dims": [[8, 4], [4, 8]]
    }
  },
  {
    "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 5,
    "ts": 1205.000, "dur": 5.000,
    "args": { "External id": 7, "correlation": 15 }
  },
  {
    "ph": "s", "id": 19, "pid": 5, "tid": 5, "ts": 1205.000, "cat": "ac2g", "name": "ac2g"
  },
  {
    "ph": "X", "cat": "kernel", "name": "gemm<100%s>(\\"ts\\": 3)", "pid": 0, "tid": 7,
    "ts": 1230.125, "dur": 70.000,
    "args": { "External id": 7, "correlation": 15, "stream": 7 }
  }"""
TAIL = '\n  ],\n  "traceName": "small"\n}\n'
SMALL = HEAD + EVENTS + TAIL


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")


def large(folder: Path, text: str, wanted_bytes: int, share: float = 0.0) -> Any:
    from bench_traces import make

    trace = folder / "small.json"
    trace.write_text(text)
    return make(trace, folder, [wanted_bytes / 1e9], share)[0]


@pytest.mark.usefixtures("scripts")
def test_copies_are_the_text_with_other_numbers(tmp_path: Path) -> None:
    made = large(tmp_path, SMALL, len(SMALL) + 1)
    text = Path(made.plain).read_text()
    assert text == HEAD + EVENTS + "," + EVENTS_AGAIN + TAIL
    assert gzip.decompress(Path(made.compressed).read_bytes()).decode() == text
    assert (made.copies, made.events, made.bytes) == (2, 9, len(text))


@pytest.mark.usefixtures("scripts")
def test_a_part_has_whole_events_and_the_metadata(tmp_path: Path) -> None:
    made = large(tmp_path, SMALL, (HEAD + EVENTS).index('"cuda_runtime"'))
    document = json.loads(Path(made.plain).read_text())
    assert [event["name"] for event in document["traceEvents"]] == [
        "process_name",
        "aten::mm",
        "cudaLaunchKernel",
    ]
    assert document["traceName"] == "small"
    assert made.events == 3


@pytest.mark.usefixtures("scripts")
def test_diverse_copies_have_names_and_shapes_of_their_own(tmp_path: Path) -> None:
    names = [
        "nn.Module: Net_0",
        "nn.Module: Linear_0",
        "nn.Module: Linear_1",
        "tracekit:4:model.layers.3.mlp",
    ]
    others = "".join(
        f',\n  {{"ph": "X", "cat": "python_function", "name": "{name}", "pid": 5, "tid": 5, '
        '"ts": 110, "dur": 1}'
        for name in names
    )
    made = large(tmp_path, HEAD + EVENTS + others + TAIL, len(SMALL + others) + 1, share=1.0)
    copy = json.loads(Path(made.plain).read_text())["traceEvents"][9:]
    assert copy[0]["args"]["Input Dims"] == [[9, 4], [4, 9]]
    assert copy[3]["name"] == 'gemm<100%s>("ts": 3)_1'
    assert [event["name"] for event in copy[4:]] == [
        "nn.Module: Net_0",  # the only one of its type
        "nn.Module: Linear_2",
        "nn.Module: Linear_3",
        "tracekit:9:model.layers.7.mlp",
    ]
    assert made.own_share == 5 / 8


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_large_trace_is_read_whole(tmp_path: Path, share: float) -> None:
    from bench_traces import make

    made = make(SAMPLE, tmp_path, [0.006], share)[0]
    assert made == make(SAMPLE, tmp_path, [0.006], share)[0]  # as it lies there
    small, repeated = read(SAMPLE), read(made.compressed)
    assert (repeated.event_count, repeated.skipped_count) == (made.events, 0)
    assert len(repeated.ops) == made.copies * len(small.ops)
    assert (len(repeated.signatures) > len(small.signatures)) == bool(share)
    assert sum(repeated.ops.end - repeated.ops.start) == made.copies * sum(small.ops.end - small.ops.start)


@pytest.mark.usefixtures("scripts")
def test_the_exponent_is_that_of_least_squares() -> None:
    from bench_analyze import slope

    assert slope([(0, 0), (1, 1), (2, 5)]) == 2.5


@pytest.mark.usefixtures("scripts")
def test_tables_replace_those_between_the_marks_alone(tmp_path: Path) -> None:
    from bench_analyze import Benchmark, Measured, write_markdown

    step = Measured("1 GB .json", 10**9, 10**6, "floor", 2.0, 3.0, 2.0, 0.5, 40.0, 1.0, 1.0, 30.0)
    result = Benchmark("small.json repeated", "a machine", [step], {".json": {"floor": 1.01}})
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nbehind\n")
    write_markdown(result, page)
    assert page.read_text().startswith("before\n<!-- speed -->\nsmall.json repeated;")
    assert "\n| floor | 2.00 |  | 0.50 | 40 | 1.00 | 30.0 | 1.01 |\n" in page.read_text()
    assert page.read_text().endswith("\n<!-- /speed -->\nbehind\n")
    assert "old" not in page.read_text()
    assert asdict(result)["steps"][0]["bytes"] == 10**9


def test_bench_analyze_measures_every_step(tmp_path: Path) -> None:
    figures, tables = tmp_path / "figures.json", tmp_path / "tables.md"
    command = [sys.executable, ROOT / "scripts" / "bench.py", "analyze", "--smoke"]
    command += ["--json", figures, "--markdown", tables]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads(figures.read_text())
    steps = {(one["file"], one["step"]): one for one in result["steps"]}
    parts = ["read", "attribution", "costs", "rest of the analysis", "report.json"]
    for file in ("0.002 GB .json", "0.002 GB .json.gz", "0.008 GB .json", "0.008 GB .json.gz"):
        floor, whole = steps[file, "floor"], steps[file, "all steps"]
        assert whole["seconds"] == pytest.approx(sum(steps[file, part]["seconds"] for part in parts))
        assert whole["to_floor"] == pytest.approx(whole["seconds"] / floor["seconds"])
        assert whole["gb_per_second"] * whole["seconds"] == pytest.approx(whole["bytes"] / 1e9)
        assert steps[file, "all, two processes"]["peak_mib"] > 10
    assert set(result["growth"]) == {".json", ".json.gz"}
    assert len(result["startup"]) == 3
    assert tables.read_text().count("\n| read |") == 1


def test_chance_is_no_change_and_a_slowed_module_is_named_first(tmp_path: Path) -> None:
    """By real captures of a small model; with `--repetitions 100` at least 95 have to report nothing."""
    found = tmp_path / "noise.json"
    command = [sys.executable, "scripts/bench.py", "noise", "--repetitions", "6", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(found.read_text())
    assert row["without_change"] >= 5
    assert row["named_first"] == row["slowed"]
