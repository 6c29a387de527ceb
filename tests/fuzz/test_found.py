"""What the fuzzers have found, each as a small document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trace.contents import rows, rows_of
from tests.trace.damage import sound_trace
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
