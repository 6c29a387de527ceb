"""Copies with lanes: what stood in the trace stands in them, slices nest, numbers are those of the report."""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tracekit import analyze, annotate
from tracekit.analysis import analyze_lanes
from tracekit.messages import UserError
from tracekit.report.annotate import CATEGORY, NAME_CHARACTERS, check_output
from tracekit.report.annotate import annotate as write

CORPUS = Path(os.environ.get("TRACEKIT_CORPUS", "/nonexistent"))
TRACES = sorted(path.name for path in CORPUS.glob("*.json.gz"))
WITHOUT_GPU = {"cpu_only_train.json.gz"}
TABLE = [
    {"index": 0, "path": "", "type": "Net"},
    {"index": 1, "path": "layers.0", "type": "Layer"},
    {"index": 2, "path": "layers.0.mlp", "type": "MLP"},
]
H100 = {"id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 85018279936}


def model(offset: float = 0.0) -> TraceBuilder:
    """A pass: 2 · 100 · 200 · 300 = 12,000,000 FLOPs in 40 µs; 8 µs idle, then another kernel of 10 µs."""
    builder, at = TraceBuilder(), 1000 + offset
    builder.metadata = {"deviceProperties": [H100], "tracekit": {"modules": TABLE}}
    builder.scope("forward", "0", at, at + 200).scope(0, "", at, at + 200)
    builder.scope(1, "layers.0", at + 10, at + 90).scope(2, "layers.0.mlp", at + 20, at + 60)
    builder.op("aten::mm", at + 30, at + 50, [[100, 200], [200, 300]], ["float", "float"])
    builder.launch(1, at + 35).kernel(1, at + 100, at + 140)
    builder.launch(2, at + 145).kernel(2, at + 148, at + 158)
    return builder


def annotated(builder: TraceBuilder, tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    """The events that were added."""
    path = builder.write(tmp_path / "t.json.gz")
    return added(annotate(path, tmp_path / "out.json.gz", **options))


def added(path: Path) -> list[dict[str, Any]]:
    return [event for event in load(path)["traceEvents"] if event.get("cat") == CATEGORY]


def load(path: Path) -> Any:
    """With times as decimals, so that nothing is rounded here."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data, parse_float=Decimal)


def slices(events: list[dict[str, Any]], thread: str) -> list[dict[str, Any]]:
    tid = next(one["tid"] for one in events if one["ph"] == "M" and one["args"].get("name") == thread)
    return [one for one in events if one["ph"] == "X" and one["tid"] == tid]


def seen(us: Decimal | int) -> int:
    """ns, as Perfetto reads a number: `llround(double * 1000)` of one with a fraction."""
    if isinstance(us, int):
        return us * 1000
    return int((Decimal(float(us) * 1000)).to_integral_value(ROUND_HALF_UP))


def check_nesting(events: list[dict[str, Any]]) -> None:
    """On each thread slices lie one within or behind the other, and an outer one stands first in the file."""
    threads: dict[tuple[Any, Any], list[tuple[int, int]]] = defaultdict(list)
    for one in events:
        if one["ph"] == "X":
            start = seen(one["ts"])
            threads[one["pid"], one["tid"]].append((start, start + seen(one["dur"])))
    for rows in threads.values():
        open_ends: list[int] = []
        latest = rows[0][0]
        for start, end in rows:
            assert latest <= start <= end
            latest = start
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1]
            open_ends.append(end)


def test_lanes_of_a_pass(tmp_path: Path) -> None:
    events = annotated(model(), tmp_path)
    names = [one["args"]["name"] for one in events if one["name"] in ("process_name", "thread_name")]
    assert names == ["tracekit · GPU 0", "passes", "blocks (stream 7)", "modules (stream 7)", "idle"]
    order = [one["args"]["sort_index"] for one in events if one["name"] == "thread_sort_index"]
    assert order == sorted(order)
    rows = [
        (thread, one["name"], one["ts"], one["dur"])
        for thread in ("passes", "blocks (stream 7)", "modules (stream 7)", "idle")
        for one in slices(events, thread)
    ]
    assert rows == [
        ("passes", "pass 0", 1100, 58),
        ("blocks (stream 7)", "layers.0", 1100, 40),
        ("modules (stream 7)", "Net", 1100, 58),
        ("modules (stream 7)", "layers.0", 1100, 40),
        ("modules (stream 7)", "mlp", 1100, 40),
        ("idle", "idle: waits for launches by Net", 1140, 8),
    ]
    counters = [(one["ts"], one["args"]["matrix"]) for one in events if one["ph"] == "C"]
    assert counters == [(1100, Decimal("0.3")), (1140, 0)]  # 12,000,000 FLOPs in 40 µs
    assert {one["name"] for one in events if one["ph"] == "C"} == {"TFLOP/s (GPU 0)"}


def test_facts_about_a_call_and_about_a_pass(tmp_path: Path) -> None:
    events = annotated(model(), tmp_path)
    report = analyze(tmp_path / "t.json.gz").data
    mlp = slices(events, "modules (stream 7)")[2]["args"]
    row = next(row for row in report.modules if row.path == "layers.0.mlp")
    assert mlp == {
        "path": "layers.0.mlp",
        "type": "MLP",
        "kernels": 1,
        "gpu_time_us": Decimal("40.000"),
        "matrix_flops": 12_000_000,
        "tflops": Decimal("0.3"),
        "all_calls": {"limited_by": "latency", "bound_share": Decimal(str(row.bound_share))},
    }
    net = slices(events, "modules (stream 7)")[0]["args"]
    assert (net["kernels"], net["gpu_time_us"], net["tflops"]) == (2, 50, Decimal("0.24"))
    (facts,) = (one["args"] for one in slices(events, "passes"))
    assert (facts["wall_us"], facts["gpu_time_us"], facts["gpu_idle_us"], facts["kernels"]) == (200, 50, 8, 2)
    idle = slices(events, "idle")[0]["args"]
    assert idle == {"cause": "launches", "module": "Net"}


def test_backward_synchronisation_and_what_is_queued_have_names(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100).scope(1, "layers.0", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.op("aten::mm", 10, 20, sequence=7).launch(1, 12).launch(2, 14).kernel(1, 30, 40).kernel(2, 42, 50)
    builder.event("cuda_runtime", "cudaStreamSynchronize", 45, 49)
    builder.node("MmBackward0", 150, 180, 7, tid=2).launch(3, 160, tid=2).kernel(3, 170, 190)
    builder.launch(4, 195).kernel(4, 200, 210)
    events = annotated(builder, tmp_path)
    assert [one["name"] for one in slices(events, "modules (stream 7)")][2:] == [
        "Net (backward)",
        "layers.0 (backward)",
    ]
    assert [one["name"] for one in slices(events, "idle")] == [
        "idle: between queued kernels",
        "idle: waits for launches by layers.0",
        "idle: waits for launches outside modules",
    ]


def test_a_call_that_waits_is_named_with_its_code(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100).scope(1, "layers.0", 5, 50)
    builder.metadata["tracekit"] = {"modules": TABLE}
    builder.launch(1, 12).kernel(1, 20, 40).event("cuda_runtime", "cudaStreamSynchronize", 30, 41)
    builder.launch(2, 44).kernel(2, 45, 50).event("cuda_runtime", "cudaDeviceSynchronize", 105, 110)
    builder.launch(3, 115).kernel(3, 120, 121)
    builder.events[-3]["ts"] -= 60
    events = annotated(builder, tmp_path)
    assert [one["name"] for one in slices(events, "idle")][:1] == [
        "idle: after cudaStreamSynchronize in layers.0"
    ]
    assert slices(events, "idle")[0]["args"] == {
        "cause": "synchronisation",
        "module": "layers.0",
        "call": "cudaStreamSynchronize",
    }


def test_blocks_of_several_stacks_have_whole_paths(tmp_path: Path) -> None:
    builder = TraceBuilder().scope(0, "", 0, 100)
    paths = [f"{stack}.layers.{index}" for stack in ("encoder", "decoder") for index in (0, 1)]
    builder.metadata["tracekit"] = {
        "modules": [
            {"index": index, "path": path, "type": "Layer" if path else "Net"}
            for index, path in enumerate(["", *paths, *(f"{path}.mlp" for path in paths)])
        ]
    }
    for index, path in enumerate(paths, 1):
        builder.scope(index, path, 10 * index, 10 * index + 8)
        builder.launch(index, 10 * index + 2).kernel(index, 100 + 10 * index, 110 + 10 * index)
    events = annotated(builder, tmp_path)
    assert [one["name"] for one in slices(events, "blocks (stream 7)")] == paths
    assert [one["name"] for one in slices(events, "modules (stream 7)")][1:] == ["layers.0", "layers.1"] * 2


def test_russian(tmp_path: Path) -> None:
    events = annotated(model(), tmp_path, lang="ru")
    names = [one["args"]["name"] for one in events if one["name"] == "thread_name"]
    assert names == ["проходы", "блоки (поток 7)", "модули (поток 7)", "простой"]
    assert [one["name"] for one in slices(events, "простой")] == ["простой: ждёт запусков из Net"]


def test_several_devices_and_numbers_that_are_taken(tmp_path: Path) -> None:
    builder = model()
    builder.launch(5, 1060).kernel(5, 1100, 1110, device=1).launch(6, 1065).kernel(6, 1115, 1120, device=1)
    builder.op("aten::add", 0, 1, pid=8_000_001, tid="8000002")
    events = annotated(builder, tmp_path)
    processes = {one["args"]["name"]: one["pid"] for one in events if one["name"] == "process_name"}
    assert list(processes) == ["tracekit · GPU 0", "tracekit · GPU 1"]
    numbers = [*processes.values(), *(one["tid"] for one in events if one["name"] == "thread_name")]
    assert len(set(numbers)) == len(numbers)
    assert not {8_000_001, 8_000_002} & set(numbers)
    check_nesting(events)


@pytest.mark.parametrize("offset", [0.0, 1_428_625_746_382.663])
def test_times_are_exact_to_the_nanosecond(tmp_path: Path, offset: float) -> None:
    path = model(0.123).write(tmp_path / "t.json")
    if offset:
        text = path.read_text()
        for event in load(path)["traceEvents"]:
            text = text.replace(f'"ts": {event["ts"]},', f'"ts": {event["ts"] + Decimal(str(offset))},')
        path.write_text(text)
    kernel = next(one for one in load(path)["traceEvents"] if one["cat"] == "kernel")
    annotate(path, tmp_path / "out.json")
    net = slices(added(tmp_path / "out.json"), "modules (stream 7)")[0]
    assert (net["ts"], net["dur"]) == (kernel["ts"], 58)


@pytest.mark.parametrize("offset", ["1695835585940000.373", "4458676400000.877"])
def test_slices_nest_where_a_viewer_sees_no_nanoseconds(tmp_path: Path, offset: str) -> None:
    builder = model()
    for number in range(3, 40):  # kernels of the block, each with an end and a start of its own
        builder.launch(number, 1021 + number).kernel(
            number, 1200 + 10.017 * number, 1207.011 + 10.017 * number
        )
    path = builder.write(tmp_path / "t.json")
    text = path.read_text()
    for event in load(path)["traceEvents"]:
        text = text.replace(f'"ts": {event["ts"]},', f'"ts": {event["ts"] + Decimal(offset)},')
    path.write_text(text)
    annotate(path, tmp_path / "out.json")
    events = added(tmp_path / "out.json")
    check_nesting(events)
    kernels = [one for one in load(path)["traceEvents"] if one["cat"] == "kernel"]
    net, *inner = slices(events, "modules (stream 7)")
    assert net["ts"] == kernels[0]["ts"]
    last = max(seen(one["ts"]) + seen(one["dur"]) for one in inner)
    assert abs(last - seen(kernels[-1]["ts"] + kernels[-1]["dur"])) <= 256
    exact = [Decimal(one["ts"]) + Decimal(one["dur"]) for one in (net, inner[0])]
    assert max(abs(end - kernels[-1]["ts"] - kernels[-1]["dur"]) for end in exact[:1]) < Decimal("0.257")


def test_names_from_a_trace_are_harmless(tmp_path: Path) -> None:
    evil = 'a"}],\n\u202e\u2028' + "x" * 5000
    builder = model()
    builder.metadata["tracekit"] = {"modules": [*TABLE[:2], {"index": 2, "path": evil, "type": "\x1b[2J"}]}
    events = annotated(builder, tmp_path)
    mlp = slices(events, "modules (stream 7)")[2]
    assert len(mlp["name"]) <= NAME_CHARACTERS
    assert mlp["name"].isprintable()
    assert mlp["args"]["path"] == evil
    assert mlp["args"]["type"] == "\x1b[2J"


def test_the_copy_says_the_same_as_the_trace(tmp_path: Path) -> None:
    path = model().write(tmp_path / "t.json.gz")
    original, copy = analyze(path).data, analyze(annotate(path, tmp_path / "out.json.gz")).data
    for field in ("accounting", "time", "flops", "passes", "modules", "kernels", "ops", "findings"):
        assert getattr(copy, field) == getattr(original, field), field


def test_a_copy_is_not_annotated_again(tmp_path: Path) -> None:
    copy = annotate(model().write(tmp_path / "t.json"), tmp_path / "copy.json")
    pretty = tmp_path / "pretty.json"
    pretty.write_text(json.dumps(json.loads(copy.read_text()), indent=2))
    for path in (copy, pretty):
        with pytest.raises(UserError, match="has lanes of tracekit's already"):
            annotate(path, tmp_path / "again.json.gz")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy.json", "pretty.json", "t.json"]


def test_a_mark_that_two_pieces_share_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = annotate(model().write(tmp_path / "t.json"), tmp_path / "copy.json")
    for size in (3, 5, 16, 17, 18, 29):
        monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", size)
        with pytest.raises(UserError, match="already"):
            annotate(copy, tmp_path / "again.json")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("t.json", "is the trace itself"),
        ("link.json", "is the trace itself"),
        ("out.txt", r"ends in \.json or \.json\.gz"),
        ("out.gz", r"ends in \.json or \.json\.gz"),
        ("folder.json", "is no file"),
        ("t.json/out.json", "cannot be written"),
    ],
)
def test_where_no_copy_can_be_written(tmp_path: Path, output: str, says: str) -> None:
    path = model().write(tmp_path / "t.json")
    before = path.read_bytes()
    (tmp_path / "link.json").symlink_to(path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(UserError, match=says):
        annotate(path, tmp_path / output)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_trace_without_a_gpu_has_nothing_to_draw(tmp_path: Path) -> None:
    path = TraceBuilder().op("aten::mm", 0, 10).write(tmp_path / "t.json")
    with pytest.raises(UserError, match="has no GPU events: there is nothing to draw"):
        annotate(path, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_stood_there_stays_until_the_copy_is_complete(tmp_path: Path, error: Any) -> None:
    path, output = model().write(tmp_path / "t.json"), tmp_path / "out.json.gz"
    output.write_bytes(b"mine")
    report, lanes = analyze_lanes(path)

    def interrupt(_count: int) -> None:
        raise error

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else UserError):
        write(report, lanes, output, progress=interrupt)
    assert output.read_bytes() == b"mine"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out.json.gz", "t.json"]
    write(report, lanes, output)
    assert len(added(output)) > 5


def test_permissions_are_those_of_a_new_file_or_of_the_one_replaced(tmp_path: Path) -> None:
    path = model().write(tmp_path / "t.json")
    mask = os.umask(0o027)
    try:
        output = annotate(path, tmp_path / "deep" / "out.json")
    finally:
        os.umask(mask)
    assert output.stat().st_mode & 0o777 == 0o640
    output.chmod(0o604)
    annotate(path, output)
    assert output.stat().st_mode & 0o777 == 0o604


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is a pipe, which can be read only once; name a file"):
        check_output(tmp_path / "pipe", tmp_path / "out.json")


def test_a_trace_that_is_cut_off_gives_a_copy_that_can_be_opened(tmp_path: Path) -> None:
    path = model().write(tmp_path / "t.json")
    text = path.read_text()
    path.write_text(text[: text.rindex('"kernel"')])
    report, lanes = analyze_lanes(path)
    done = write(report, lanes, tmp_path / "out.json")
    assert load(tmp_path / "out.json")["traceEvents"][:7] == json.loads(text)["traceEvents"][:7]
    assert [str(one) for one in done.warnings] == [
        f"the file is cut off, at byte {path.stat().st_size}; events read before that: 8",
        "events skipped that could not be decoded: 1, the first at byte 1321",
        "the copy ends there too, and is closed so that it can be opened",
    ]
    path.write_text(text.replace('"dur": 200', '"dur" 200', 1)[:-1])
    broken = text.rindex('{"ph"', 0, text.index('"dur": 200'))
    report, lanes = analyze_lanes(path)
    done = write(report, lanes, tmp_path / "out.json")
    assert load(tmp_path / "out.json")["traceEvents"][1:9] == json.loads(text)["traceEvents"][1:]
    assert [str(one) for one in done.warnings] == [
        f"the file is cut off, at byte {path.stat().st_size}; events read before that: 8",
        f"events skipped that could not be decoded: 1, the first at byte {broken}",
        "what is not JSON around the events is not in the copy",
        "the copy has what was mended, and a placeholder for each event that is no JSON",
    ]


@pytest.mark.skipif(not TRACES, reason="TRACEKIT_CORPUS names no folder of real traces")
@pytest.mark.parametrize("name", TRACES or ["none"])
def test_real_traces(name: str, tmp_path: Path) -> None:
    path, output = CORPUS / name, tmp_path / "out.json.gz"
    if name in WITHOUT_GPU:
        with pytest.raises(UserError, match="nothing to draw"):
            annotate(path, output)
        return
    report, lanes = analyze_lanes(path)
    write(report, lanes, output)
    original, copy = load(path), load(output)
    events = copy["traceEvents"] if isinstance(copy, dict) else copy
    before = original["traceEvents"] if isinstance(original, dict) else original
    assert events[: len(before)] == before
    new = events[len(before) :]
    assert all(one["cat"] == CATEGORY for one in new)
    if isinstance(copy, dict):
        assert {**copy, "traceEvents": 0} == {**original, "traceEvents": 0}
    check_nesting(new)
    numbers = {one.get("pid") for one in before} | {one.get("tid") for one in before}
    assert not numbers & ({one["pid"] for one in new} | {one["tid"] for one in new})

    again = analyze(output).data
    for field in ("accounting", "time", "flops", "passes", "modules", "kernels", "ops", "findings"):
        assert getattr(again, field) == getattr(report, field), field
    # The step function over time is what ops that launched something multiply.
    steps = [(one["ts"], one["args"]["matrix"]) for one in new if one["ph"] == "C"]
    flops = sum(value * (following - ts) for (ts, value), (following, _) in pairwise(steps))
    launched = sum(row.matrix_flops or 0 for row in report.ops if row.kernels)
    assert float(flops) * 1e6 == pytest.approx(launched, rel=1e-6)
    idle = sum(one["dur"] for one in new if one["ph"] == "X" and one["name"].startswith("idle"))
    # Of times since 1970 with a fraction viewers see a quarter of a µs, of those since a boot a ns or so.
    latest = max((one["ts"] for one in before if one.get("cat") == "kernel"), default=0)
    assert float(idle) == pytest.approx(report.time.gpu_idle_us, abs=5 if latest > 2**43 else 0.1)
