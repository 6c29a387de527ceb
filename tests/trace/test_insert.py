"""Copies with more events: what was read stands in them as it was, and they are JSON whatever the file is."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tracekit.messages import UserError
from tracekit.trace import open_source, read, with_events
from tracekit.trace.salvage import NO_EVENT

ADDED = [{"ph": "X", "name": "added", "args": {"a": "],}"}}, {"ph": "M", "name": "more"}]
BROKEN = json.loads(NO_EVENT)
CUT = "tracekit.trace.cut"


def small() -> TraceBuilder:
    builder = TraceBuilder().op("aten::mm", 10, 30, [[2, 3], [3, 4]], ["float", "float"], ['a "}], {', ""])
    return builder.launch(1, 12).kernel(1, 40, 45.5, name="gemm").frame("Linear_0", 5, 35)


def copied(path: Path) -> bytes:
    trace = read(path)
    events = [json.dumps(event).encode() for event in ADDED]
    return b"".join(with_events(path, trace.layout, open_source(path).pieces(), events))


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


EVENTS = small().events
FORMS = {
    "object": json.dumps({"a": 1, "traceEvents": EVENTS}),
    "list": json.dumps(EVENTS),
    "metadata behind": json.dumps({"traceEvents": EVENTS, "b": {"c": ["]"]}}),
    "both": json.dumps({"a": '"traceEvents": [', "traceEvents": EVENTS, "b": [1]}, indent=1) + "\n",
    "compact": json.dumps({"traceEvents": EVENTS, "b": 1}, separators=(",", ":")),
}


@pytest.mark.parametrize("form", FORMS)
def test_sound_traces_stay_as_they_are(tmp_path: Path, form: str) -> None:
    text = FORMS[form]
    found = copied(write(tmp_path / "t.json", text))
    document, original = json.loads(found), json.loads(text)
    if form == "list":
        assert document == [*original, *ADDED]
        return
    assert document == {**original, "traceEvents": [*EVENTS, *ADDED]}
    # Byte for byte up to the end of the last event, and from the bracket behind it on.
    end = text.rindex("}", 0, text.rindex("]", 0, text.index('"b"') if '"b"' in text else None)) + 1
    assert found.startswith(text[:end].encode())
    assert found.endswith(text[text.index("]", end) :].encode())


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    text = FORMS["both"].encode()
    path = write(tmp_path / "t.json", text)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = b"".join(with_events(path, read(path).layout, pieces, [b'{"ph":"M"}']))
    assert json.loads(found) == {**json.loads(text), "traceEvents": [*EVENTS, {"ph": "M"}]}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_ends_anywhere(tmp_path: Path, form: str) -> None:
    text, seen = FORMS[form], set()
    for length in range(1, len(text)):
        path = write(tmp_path / "t.json", text[:length])
        try:
            read(path)
        except UserError:
            continue
        document = json.loads(copied(path))
        events = document if form == "list" else document["traceEvents"]
        assert events[-2:] == ADDED
        assert events[:-2] == EVENTS[: len(events) - 2]
        seen.add(len(events) - 2)
        if form == "object":
            assert document["a"] == 1
    assert seen == {1, 2, 3, 4}


def test_a_compressed_stream_that_is_cut_off(tmp_path: Path) -> None:
    builder = TraceBuilder()
    for number in range(2000):
        builder.op(f"op{number * 7919 % 1009}", number, number + 1, [[number * 31 % 257]])
    data = gzip.compress(json.dumps(builder.document()).encode())
    path = write(tmp_path / "t.json.gz", data[: len(data) // 2])
    count = read(path).event_count
    assert 100 < count < 2000
    assert json.loads(copied(path))["traceEvents"] == [*builder.events[:count], *ADDED]


def changed(old: str, new: str, form: str = "compact") -> str:
    assert old in FORMS[form]
    return FORMS[form].replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "events", "behind"),
    [
        (changed('"dur":20,', '"dur":20,,'), [BROKEN, *EVENTS[1:]], True),
        (changed('"ph":"X"', '"ph":NaN'), [{**EVENTS[0], "ph": None}, *EVENTS[1:]], True),
        (
            changed('"name":"gemm"', '"name":"ge\nmm"'),
            [*EVENTS[:2], {**EVENTS[2], "name": "ge\nmm"}, EVENTS[3]],
            True,
        ),
        (changed("},{", "}{"), EVENTS, True),
        (changed("},{", "},,{"), EVENTS, True),
        (changed("},{", "} junk {"), EVENTS, True),
        (changed('"dur":30}],', '"dur":30},],'), EVENTS, True),
        (changed('"traceEvents":[', '"traceEvents":[,'), EVENTS, True),
        (changed('"b":1}', '"b":1'), EVENTS, True),
        (changed('"b":1}', '"b":1,}'), EVENTS, False),
        (changed('"b":1}', '"b":1}}'), EVENTS, True),
        # An event that is JSON but no event stays as it is.
        (changed('"dur":20', '"dur":"long"'), [{**EVENTS[0], "dur": "long"}, *EVENTS[1:]], True),
    ],
)
def test_what_is_no_json_is_mended(tmp_path: Path, text: str, events: list[Any], behind: bool) -> None:
    document = json.loads(copied(write(tmp_path / "t.json", text)))
    assert document == {"traceEvents": [*events, *ADDED], **({"b": 1} if behind else {})}


def test_metadata_before_the_events_that_is_no_json(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", changed('"a": 1', '"a": oops', "object"))
    assert json.loads(copied(path)) == {"traceEvents": [*EVENTS, *ADDED]}


def test_a_list_with_something_behind_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", FORMS["list"] + "\n junk")
    assert json.loads(copied(path)) == [*EVENTS, *ADDED]


@pytest.mark.parametrize("chunk", [200, 700, 3000])
def test_chunks_of_any_size_with_broken_events_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", chunk)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 64)
    texts: list[str] = []
    expected: list[Any] = []
    for number in range(60):
        event = {
            "ph": "X",
            "cat": "cpu_op",
            "name": f"op{number}",
            "pid": 1,
            "tid": 1,
            "ts": number,
            "dur": 1,
        }
        text = json.dumps(event)
        if number % 13 == 5:
            text, event = text.replace('"dur"', '"dur" "dur"'), BROKEN
        texts.append(text)
        expected.append(event)
    path = write(tmp_path / "t.json", '{"traceEvents": [' + " , ".join(texts) + '\n], "z": 2}')
    assert json.loads(copied(path)) == {"traceEvents": [*expected, *ADDED], "z": 2}
    assert read(path).skipped_count == 5


def test_an_event_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", 300)
    monkeypatch.setattr(f"{CUT}.EVENT_LIMIT_BYTES", 600)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 64)
    events = [
        {"ph": "X", "cat": "cpu_op", "name": f"op{number}", "pid": 1, "tid": 1, "ts": number, "dur": 1}
        for number in range(40)
    ]
    texts = [json.dumps(event) for event in events]
    texts[6] = texts[6].replace('"pid": 1', '"pid": {1')
    path = write(tmp_path / "t.json", '{"traceEvents": [' + ", ".join(texts) + "]}")
    trace = read(path)
    found = json.loads(copied(path))["traceEvents"]
    assert found[-2:] == ADDED
    assert found[:6] == events[:6]
    assert BROKEN in found
    assert [event for event in found[6:-2] if event != BROKEN] == events[-len(found) + 2 + 7 :]
    assert trace.event_count == len(found) - 2 - found.count(BROKEN)


def test_a_file_that_has_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", FORMS["compact"])
    layout = read(path).layout
    for text in (FORMS["compact"][:200], "x" + FORMS["compact"]):
        with pytest.raises(UserError, match=r"t\.json: was changed while it was read"):
            list(with_events(path, layout, [text.encode()], []))
    assert list(with_events(path, replace(layout, closing=None), [FORMS["compact"].encode()], []))


def test_layout_of_a_sound_trace(tmp_path: Path) -> None:
    text = FORMS["compact"]
    layout = read(write(tmp_path / "t.json", text)).layout
    assert (layout.is_list, layout.sound_head, layout.sound_tail, layout.damaged) == (False, True, True, ())
    assert layout.events_start == len('{"traceEvents":[')
    assert text[layout.events_end :] == '],"b":1}'
    assert layout.closing == layout.events_end
