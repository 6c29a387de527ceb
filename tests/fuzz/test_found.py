"""What the fuzzers have found, each as a small document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trace.contents import rows, rows_of
from tests.trace.damage import in_name, sound_trace
from tracekit.trace import open_source, read, with_events

SOUND = sound_trace(3)
ADDED = {"ph": "X", "name": "added"}
CUT = "tracekit.trace.cut"


def copied(path: Path) -> list[dict[str, object]]:
    """The events of the copy with one more."""
    layout = read(path).layout
    text = b"".join(with_events(path, layout, open_source(path).pieces(), [json.dumps(ADDED).encode()]))
    events: list[dict[str, object]] = json.loads(text)["traceEvents"]
    return events


@pytest.mark.parametrize("chunk_bytes", range(200, 1200, 37))
def test_copy_of_a_file_whose_last_chunk_has_no_whole_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    """The comma behind the chunk before it stood in the copy as well as the one before the new event."""
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 97)
    path = tmp_path / "t.json"
    for last in range(1, len(SOUND.events)):
        path.write_bytes(SOUND.document()[: SOUND.begin(last) + 20])
        assert copied(path) == [*SOUND.events[:last], ADDED]
        broken = SOUND.document({0: SOUND.texts[0].replace(b'"name": ', b"", 1)})
        path.write_bytes(broken[: SOUND.begin(last) + 20 - len(b'"name": ')])
        if last > 1:
            assert copied(path)[1:] == [*SOUND.events[1:last], ADDED]


def test_copy_of_a_trace_whose_end_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bracket that closes the events counted as lost, and then was looked for behind what was lost."""
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", 300)
    monkeypatch.setattr(f"{CUT}.EVENT_LIMIT_BYTES", 900)
    monkeypatch.setattr(f"{CUT}._OVERLAP_BYTES", 64)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 97)
    path = tmp_path / "t.json"
    path.write_bytes(
        SOUND.head + b",\n".join(SOUND.texts[:4]) + b', {"ph": "X", "name": ' + b"x " * 600 + b"]}"
    )
    trace = read(path)
    assert rows(trace) == rows_of(SOUND.events[:4])
    assert (trace.event_count, trace.skipped_count) == (4, 1)
    events = copied(path)
    assert events[:4] == SOUND.events[:4]
    assert events[-1] == ADDED
    assert not any("cut off" in str(warning) for warning in trace.warnings)


def test_missing_comma_behind_an_event_that_holds_what_looks_like_one(tmp_path: Path) -> None:
    """Nobody said that it was missing, and it was missing in the copy."""
    events = [{**SOUND.events[0], "args": {"a": [{"ph": "X"}]}}, SOUND.events[1], SOUND.events[2]]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(events).replace("}}, {", "}} {", 1))
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (3, 0)
    assert [warning.values["count"] for warning in trace.warnings if "commas" in str(warning)] == [1]
    text = b"".join(with_events(path, trace.layout, open_source(path).pieces(), []))
    assert json.loads(text) == events


NESTED = {**SOUND.events[0], "args": {"Input Dims": [[0], [{"ph": "X"}, {"ph": "Y"}, 4]]}}


@pytest.mark.parametrize("behind", range(5))
def test_event_that_holds_what_looks_like_events(tmp_path: Path, behind: int) -> None:
    """Whether it was read depended on how many events stood in its chunk, broken ones among them."""
    path = tmp_path / "t.json"
    texts = [json.dumps(NESTED).encode(), b'{"ph": "X}', *SOUND.texts[1 : 1 + behind]]
    path.write_bytes(b"[" + b", ".join(texts) + b"]")
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (1 + behind, 1)
    assert rows(trace) == rows_of([NESTED, *SOUND.events[1 : 1 + behind]])


@pytest.mark.parametrize(
    "text",
    [
        b'{"traceEvents": [%s,"]},',  # the last comma was forgotten, and stood in the copy
        b'[%s"],',
        b'{"traceEvents": [%s],, "a": 1}',
        b'{"traceEvents": [%s] "a": 1}',
        b'{"traceEvents": [%s]}\0,',
    ],
)
def test_copy_of_what_ends_with_commas_of_its_own(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(text % SOUND.texts[0])
    trace = read(path)
    assert trace.warnings
    copy = json.loads(b"".join(with_events(path, trace.layout, open_source(path).pieces(), [])))
    events = copy["traceEvents"] if isinstance(copy, dict) else copy
    assert events[0] == SOUND.events[0]


def test_surplus_comma_that_is_a_chunk_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody said so, and it stood in the copy."""
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", 40)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 10)
    path = tmp_path / "t.json"
    path.write_bytes(b"[, " + SOUND.texts[0] + b"]")
    for processes in (1, 2):
        trace = read(path, processes=processes)
        assert (trace.event_count, trace.skipped_count) == (1, 0)
        assert any("commas" in str(warning) for warning in trace.warnings)
    assert copied_list(path)[-1] == SOUND.events[0]


def copied_list(path: Path) -> list[dict[str, object]]:
    text = b"".join(with_events(path, read(path).layout, open_source(path).pieces(), []))
    events: list[dict[str, object]] = json.loads(text)
    return events


def test_event_with_something_to_mend_that_the_file_cuts_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as mended as well as skipped, and the copy had a placeholder for it without a comma."""
    path = tmp_path / "t.json"
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", len(SOUND.texts[0]))
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 40)
    path.write_bytes(SOUND.head + SOUND.texts[0] + b", " + in_name(SOUND.texts[1], b"\xff") + b', "name": "')
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (1, 1)
    assert not any("UTF-8" in str(warning) for warning in trace.warnings)
    assert copied(path) == [SOUND.events[0], ADDED]


@pytest.mark.parametrize("comma", [", ", " ", ", ,"])
def test_event_that_begins_as_none_does(tmp_path: Path, comma: str) -> None:
    """Beside a broken one it was passed over, or counted as skipped and yet stood in the copy."""
    path = tmp_path / "t.json"
    odd = {"#": 1, **SOUND.events[1]}
    for texts, before in (
        ([odd, "{", SOUND.events[0]], 0),
        ([SOUND.events[0], odd, "{", SOUND.events[2]], 1),
    ):
        path.write_text("[" + comma.join(map(json.dumps, texts)).replace('"{"', '{"ph": "X", ') + "]")
        trace = read(path)
        assert trace.skipped_count == 1
        assert copied_list(path)[before] == odd
        assert trace.event_count == len(texts) - 1


def test_event_with_an_event_in_the_place_of_its_time_is_one(tmp_path: Path) -> None:
    """It counted twice, as there is a phase in it and none of its own."""
    first, second = SOUND.events[:2]
    odd = {"cat": "cpu_op", "name": "odd", "ts": {"note": {"ph": "X", "ts": 1}}, "dur": 1}
    path = tmp_path / "t.json"
    for events in ([first, odd], [odd, first], [first, odd, second]):
        path.write_text(json.dumps({"traceEvents": events}))
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (len(events) - 1, 1)
        assert rows(trace) == rows_of([event for event in events if event is not odd])


@pytest.mark.parametrize("chunk_bytes", [300, 500, 700, 1100, 1 << 20])
def test_text_in_the_place_of_an_event_at_the_end_of_a_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    """It was taken for text beside an event, of which none is lost."""
    monkeypatch.setattr(f"{CUT}.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 97)
    path = tmp_path / "t.json"
    for at in range(len(SOUND.events)):
        path.write_bytes(SOUND.document({at: b"Killed"}))
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (len(SOUND.events) - 1, 1), at
        assert rows(trace) == rows_of([event for number, event in enumerate(SOUND.events) if number != at])


@pytest.mark.parametrize("is_list", [True, False])
@pytest.mark.parametrize("commas", [b",", b" , ", b",,\n"])
def test_surplus_comma_behind_the_last_event(tmp_path: Path, is_list: bool, commas: bytes) -> None:
    """Nothing is lost, and yet the file is no JSON, which nobody said."""
    text = b"[" + b",".join(SOUND.texts) + commas + b"]"
    path = tmp_path / "t.json"
    path.write_bytes(text if is_list else b'{"traceEvents":' + text + b"}")
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (len(SOUND.events), 0)
    assert rows(trace) == rows_of(SOUND.events)
    assert ["commas" in str(warning) for warning in trace.warnings] == [True]


def test_number_beyond_64_bits_in_the_metadata(tmp_path: Path) -> None:
    """It is JSON; all of the metadata on its side of the events was lost."""
    path = tmp_path / "t.json"
    events = b",".join(SOUND.texts)
    path.write_bytes(b'{"a": -1e400, "b": 1, "traceEvents":[' + events + b'], "c": 1e999, "d": 2}')
    trace = read(path)
    assert (trace.event_count, trace.warnings) == (len(SOUND.events), ())
    assert trace.metadata == {"a": None, "b": 1, "c": None, "d": 2}


def test_copy_holds_what_was_mended_of_the_metadata(tmp_path: Path) -> None:
    """Without it the copy of a capture had another report."""
    path = tmp_path / "t.json"
    events = b",".join(SOUND.texts)
    path.write_bytes(rb'{"a": "C:\q", "b": [1], "traceEvents":[' + events + rb'], "c": "D:\q"}')
    layout = read(path).layout
    copy = json.loads(b"".join(with_events(path, layout, open_source(path).pieces(), [])))
    assert copy == {"a": "C:\\q", "b": [1], "traceEvents": SOUND.events, "c": "D:\\q"}


def test_events_of_the_wrong_types_count_one_by_one(tmp_path: Path) -> None:
    """They counted as one where one of them alone has a phase."""
    first, second = SOUND.events[:2]
    odd = [{"ph": 6.5, "cat": "cpu_op"}, {"cat": "cpu_op", "name": 7, "ts": 1, "dur": 1}]
    path = tmp_path / "t.json"
    for events in ([*odd, first], [first, *odd], [first, *odd, second], [first, *odd[::-1], second]):
        path.write_text(json.dumps({"traceEvents": events}))
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (len(events) - 2, 2)
        assert rows(trace) == rows_of([event for event in events if event not in odd])


def test_half_a_character_in_the_metadata(tmp_path: Path) -> None:
    """A lone surrogate cannot be written: the copy failed."""
    path = tmp_path / "t.json"
    path.write_bytes(rb'{"a": "\ud800", "traceEvents":[' + b",".join(SOUND.texts) + b"]}")
    assert read(path).event_count == len(SOUND.events)
    assert copied(path) == [*SOUND.events, ADDED]


@pytest.mark.parametrize("is_list", [True, False])
def test_last_event_cannot_be_decoded_and_holds_what_looks_like_one(tmp_path: Path, is_list: bool) -> None:
    """The list of events seemed to end within it."""
    odd = {
        "ph": "X",
        "cat": [{"a": 1}, {"ph": "X"}],
        "name": "odd",
        "ts": 1,
        "dur": 1,
        "args": {"\ud800": [1]},
    }
    events = [*SOUND.events, odd]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(events if is_list else {"traceEvents": events, "b": [1]}))
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (len(SOUND.events), 1)
    assert not any("behind the end" in str(warning) for warning in trace.warnings)


@pytest.mark.parametrize("is_list", [True, False])
def test_copy_of_a_trace_that_reading_gave_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_list: bool
) -> None:
    """A bracket in the last text that was read seemed to close the events, and what follows was copied."""
    for name, value in (
        ("CHUNK_BYTES", 300),
        ("EVENT_LIMIT_BYTES", 900),
        ("BLIND_LIMIT_BYTES", 2500),
        ("_OVERLAP_BYTES", 64),
    ):
        monkeypatch.setattr(f"{CUT}.{name}", value)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 97)
    path = tmp_path / "t.json"
    head = b"[" if is_list else b'{"traceEvents": ['
    rest = b', {"ph": "X", "name": ' + b"]" * 8000
    path.write_bytes(head + b",\n".join(SOUND.texts) + rest + (b"]" if is_list else b"]}"))
    trace = read(path)
    assert any("the rest is not read" in str(warning) for warning in trace.warnings)
    assert rows(trace) == rows_of(SOUND.events)
    layout = trace.layout
    text = b"".join(with_events(path, layout, open_source(path).pieces(), [json.dumps(ADDED).encode()]))
    document = json.loads(text)
    assert (document if is_list else document["traceEvents"])[-1] == ADDED


def test_collective_whose_name_is_no_utf8(tmp_path: Path) -> None:
    """It was lost, where the copy, which is mended, had it."""
    path = tmp_path / "t.json"
    event = (
        b'{"ph":"X","cat":"cpu_op","name":"record_param_comms","pid":1,"tid":1,"ts":1,"dur":1,'
        b'"args":{"Collective name":"all\xffreduce","Group size":8,"dtype":"Float"}}'
    )
    path.write_bytes(b'{"traceEvents":[' + b",".join((event, *SOUND.texts)) + b"]}")
    (known,) = {one.collective for one in read(path).signatures if one.collective is not None}
    assert (known.name, known.group_size, known.dtype) == ("all\ufffdreduce", 8, "Float")
