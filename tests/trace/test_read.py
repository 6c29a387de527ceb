"""The reader: everything that Kineto has written over the years, read to the nanosecond."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit.messages import UserError
from tracekit.trace import NO_ID, read
from tracekit.trace.cut import CHUNK_BYTES


def small() -> TraceBuilder:
    return (
        TraceBuilder()
        .op("aten::mm", 10, 30, [[2, 3], [3, 4]], ["float", "float"], ["", ""])
        .launch(1, 12)
        .kernel(1, 40, 45.5, name="gemm")
        .frame("Linear_0", 5, 35)
        .range("ProfilerStep#1", 0, 50)
    )


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "form",
    [
        "object",
        "list",
        "metadata behind",
        "metadata on both sides",
        "pretty",
        "compact",
        "gzip",
        "BOM",
        "members",
    ],
)
def test_forms_of_the_same_trace(tmp_path: Path, form: str) -> None:
    document = small().document()
    events = document["traceEvents"]
    properties = [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}, {"id": 1, "name": "x"}]
    text = {
        "list": json.dumps(events),
        "metadata behind": json.dumps({"traceEvents": events, "deviceProperties": properties}),
        "metadata on both sides": json.dumps(
            {"a": 'a "traceEvents": [ in a string', "traceEvents": events, "deviceProperties": properties}
        ),
        "pretty": json.dumps(document, indent=2),
        "compact": json.dumps(document, separators=(",", ":")),
    }.get(form, json.dumps(document))
    path = write(tmp_path / "t.json", ("\ufeff" if form == "BOM" else "") + text)
    if form == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    if form == "members":
        half = len(text) // 2
        path.write_bytes(gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode()))
    trace = read(path)
    assert trace.event_count == 5
    assert [
        len(t) for t in (trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations)
    ] == [1] * 5
    assert trace.skipped_count == 0
    assert trace.warnings == ()
    assert (trace.gpu_events.start[0], trace.gpu_events.end[0]) == (40_000, 45_500)
    assert trace.names[trace.gpu_events.name[0]] == "gemm"
    signature = trace.signatures[trace.ops.signature[0]]
    assert (signature.name, json.loads(signature.shapes)) == ("aten::mm", [[2, 3], [3, 4]])
    if "metadata" in form:
        assert trace.metadata["deviceProperties"] == properties
    if form == "metadata on both sides":
        assert trace.metadata["a"] == 'a "traceEvents": [ in a string'


@pytest.mark.parametrize(
    ("ts", "dur", "start_ns", "end_ns"),
    [
        ("5", "3", 5_000, 8_000),
        ("1419247332972.313", "4426.114", 1419247332972_313, 1419247337398_427),
        ("1695835585940062", "12", 1695835585940062_000, 1695835585940074_000),
        # Since 1970 with fractions: a float of this size is a multiple of 0.25 µs.
        ("1695835585940062.123", "0.456", 1695835585940062_123, 1695835585940062_579),
        ("9007199254740.993", "0.001", 9007199254740_993, 9007199254740_994),
    ],
)
def test_times_are_exact_to_the_nanosecond(
    tmp_path: Path, ts: str, dur: str, start_ns: int, end_ns: int
) -> None:
    rest = '"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"args":{"correlation":1}'
    text = f'[{{"ts":{ts},"dur":{dur},{rest}}}]'
    events = read(write(tmp_path / "t.json", text)).gpu_events
    assert (int(events.start[0]), int(events.end[0])) == (start_ns, end_ns)


def test_times_of_flows_since_1970_are_exact(tmp_path: Path) -> None:
    text = json.dumps(TraceBuilder().arrow(1, forward=111, backward=222).op("op", 0, 1).document())
    text = text.replace(" 111,", " 1695835585940062.123,").replace(" 222,", " 1695835585940062.871,")
    flows = read(write(tmp_path / "t.json", text)).flows
    assert flows.time.tolist() == [1695835585940062_123, 1695835585940062_871]


def test_what_links_forward_and_backward(tmp_path: Path) -> None:
    builder = TraceBuilder().op("aten::mm", 0, 1, sequence=5).op("aten::add", 2, 3)
    builder.op("MmBackward0", 4, 5, sequence=5, forward_thread=3, tid=2)
    builder.arrow("0x1", forward=0, backward=4).arrow(7, forward=1, backward=6, cat="forward_backward")
    builder.arrow(1, forward=0, backward=4, cat="ac2g")  # from a launch to a kernel: nobody reads it
    trace = read(builder.write(tmp_path / "t.json"))
    assert trace.ops.sequence.tolist() == [5, NO_ID, 5]
    assert trace.ops.forward_thread.tolist() == [0, NO_ID, 3]
    assert trace.flows.arrow.tolist() == [0, 0, 1, 1]
    assert trace.flows.is_end.tolist() == [0, 1, 0, 1]
    assert trace.flows.time.tolist() == [0, 4_000, 1_000, 6_000]
    assert [trace.threads[thread] for thread in trace.flows.thread] == [(1, 1), (1, 2)] * 2
    assert trace.skipped_count == 0


def test_old_category_names_and_string_ids(tmp_path: Path) -> None:
    builder = TraceBuilder(pid="python 12", tid="thread 0 (main)")
    builder.event("Runtime", "cudaLaunchKernel", 1, 2, args={"correlation": 7})
    builder.event("Kernel", "k", 3, 4, pid=0, tid="stream 7", args={"correlation": 7})
    builder.event("Memcpy", "m", 4, 5, pid=0, tid="stream 7", args={"correlation": 8})
    builder.event("Memset", "s", 5, 6, pid=0, tid="stream 7", args={"correlation": 9})
    builder.event("Operator", "aten::add", 0, 2)
    trace = read(builder.write(tmp_path / "t.json"))
    assert trace.gpu_events.kind.tolist() == [0, 1, 2]
    assert (len(trace.launches), len(trace.ops)) == (1, 1)
    assert trace.threads[0] == ("python 12", "thread 0 (main)")


def test_many_chunks_lose_nothing(tmp_path: Path) -> None:
    builder = TraceBuilder()
    count = 3 * CHUNK_BYTES // 150
    for i in range(count):
        # Nested lists of objects in the arguments look like a boundary between events, but are none.
        builder.event("cpu_op", f"op{i % 7}", i, i + 1, args={"rows": [{"a": 1}, {"b": "}, {"}]})
    trace = read(builder.write(tmp_path / "t.json.gz"))
    assert trace.event_count == count
    assert len(trace.ops) == count
    assert trace.ops.start.tolist() == [i * 1000 for i in range(count)]
    assert trace.skipped_count == 0


def test_first_event_may_begin_as_no_other_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", 1000)
    monkeypatch.setattr("tracekit.trace.cut.EVENT_LIMIT_BYTES", 4000)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 500)
    common = {"ph": "X", "pid": 1, "tid": 1, "dur": 1}
    events = [{"cat": "cpu_op", "name": f"op{i}", "ts": i, **common} for i in range(200)]
    first = {"origin": "somebody", "name": "note", "ph": "i", "ts": 0}
    trace = read(write(tmp_path / "t.json", json.dumps([first, *events])))
    assert (trace.event_count, trace.skipped_count, trace.warnings) == (201, 0, ())
    assert trace.ops.start.tolist() == [i * 1000 for i in range(200)]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("is_list", [True, False])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_looks_like_events_in_an_event_is_a_part_of_it(
    tmp_path: Path, at: int, is_list: bool, separators: tuple[str, str]
) -> None:
    builder = TraceBuilder()
    inner = TraceBuilder().event("cpu_op", "a", 1, 2).event("cpu_op", "b", 1, 2)
    for i in range(3):
        builder.event("cpu_op", f"op{i}", i, i + 1, args={"rows": inner.events} if i == at else {})
    document = builder.events if is_list else {"traceEvents": builder.events, "rows": inner.events}
    trace = read(write(tmp_path / "t.json", json.dumps(document, separators=separators)))
    assert [trace.names[code] for code in trace.ops.name] == ["op0", "op1", "op2"]
    assert (trace.event_count, trace.skipped_count, trace.warnings) == (3, 0, ())


def test_numbers_in_quotes_and_whole_ones_with_a_fraction(tmp_path: Path) -> None:
    builder = TraceBuilder(pid=1.0, tid="7").op("aten::mm", 0, 9).launch(3, 1).kernel(3, 20, 30)
    op, launch, kernel = builder.events
    op["ts"], op["dur"] = "1698818123123456.789", "12.001"
    launch["args"]["correlation"], kernel["args"]["correlation"], kernel["args"]["device"] = 3.0, "3", 2.0
    builder.op("aten::add", 1, 2).events[-1]["ts"] = "null"
    trace = read(builder.write(tmp_path / "t.json"))
    assert (trace.event_count, trace.skipped_count) == (3, 1)
    assert trace.ops.start.tolist() == [1_698_818_123_123_456_789]
    assert (trace.ops.end - trace.ops.start).tolist() == [12_001]
    assert (trace.launches.correlation.tolist(), trace.gpu_events.correlation.tolist()) == ([3], [3])
    assert trace.threads[trace.ops.thread[0]] == (1, "7")
    assert [device for _, device in trace.devices] == [2]


def test_broken_event_costs_one_event(tmp_path: Path) -> None:
    good = json.dumps(small().document())
    bad = good.replace('"dur": 1.0', '"dur": NaN').replace('"dur": 1,', '"dur": NaN,')
    assert bad != good
    trace = read(write(tmp_path / "t.json", bad))
    assert (trace.event_count, trace.skipped_count) == (4, 1)
    assert "without a time or duration that can be: 1" in str(trace.warnings[0])


def test_cut_off_trace_is_read_up_to_the_cut(tmp_path: Path) -> None:
    text = json.dumps(small().document())
    cut = text[: text.index("Linear_0")]
    trace = read(write(tmp_path / "t.json", cut))
    assert (trace.event_count, trace.skipped_count) == (3, 1)
    assert "cut off" in str(trace.warnings[0])


def test_ids_near_the_limit_of_64_bits(tmp_path: Path) -> None:
    builder = TraceBuilder().launch(2**64 - 1, 1).kernel(2**64 - 1, 5, 6).launch(2**63 - 1, 8)
    trace = read(builder.write(tmp_path / "t.json"))
    assert trace.launches.correlation[0] == trace.gpu_events.correlation[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"time,name\n1,2\n", "is not JSON"),
        (b" \n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b'\n<!DOCTYPE html>\n<html><body>{"traceEvents": []}</body></html>', "is a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is XML"),
        (b"SQLite format 3\0" + bytes(99), "is a database"),
        (gzip.compress(b"t.json".ljust(257, b"\0") + b"ustar\x0000" + bytes(500)), "is a tar archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "is packed as 7z"),
        (b'{"a": 1}', "has no traceEvents"),
        (b"null", "has no traceEvents"),
        (
            b"[1, 2, 3]",
            "no op, kernel or module in it can be read; events skipped that could not be decoded: ",
        ),
        (
            b'[{"ph": "X" "cat": "cpu_op"}, {"ph": "X", "cat": "cpu_op", "name": "a"}]',
            "no op, kernel or module in it can be read; events skipped that could not be decoded: 1,",
        ),
        (
            b'[{"ph": "X" "cat": "cpu_op"}, {"ph": "X", "cat": "cpu',
            "no op, kernel or module in it can be read; ",
        ),
        (
            b'[{"ph": "M"}, {"ph": "X", "cat": "kernel", "name": "n", "ts": 1.7e18, "dur": 1}]',
            "no op, kernel or module in it can be read; events skipped without a time .* can be: 1,",
        ),
        (b'{"traceEvents": []}', "has no events; was the profiler running"),
        (
            b'{"traceEvents": [{"ph": "X", "cat": "blink", "name": "n", "ts": 1, "dur": 1}]}',
            "none of its 1 events",
        ),
        (gzip.compress(json.dumps(small().document()).encode())[:40], "cut off"),
        (b'{"traceEvents": [{"ph": "X", "ca', "ends before its first event"),
        (b"\x28\xb5\x2f\xfd1234", "cut off|damaged"),
        (b"PK\x03\x04zip", "the zip file is cut off"),
        (b"PK\x05\x06" + bytes(18), "is a zip file without a trace in it"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("dur", ["-1", "1e300", "99999999999999999999", "null"])
def test_events_with_absurd_durations_are_skipped_and_counted(tmp_path: Path, dur: str) -> None:
    text = json.dumps(small().document()).replace('"dur": 5.5', f'"dur": {dur}')
    trace = read(write(tmp_path / "t.json", text))
    assert (len(trace.gpu_events), len(trace.ops), trace.skipped_count) == (0, 1, 1)


def test_what_follows_the_gzip_stream_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(json.dumps(small().document()).encode()) + b"trailing garbage")
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (5, 0)
    assert [str(warning) for warning in trace.warnings] == [
        "behind the compressed stream stand bytes that are no part of it, at byte 702; "
        "events read before that: 5"
    ]
