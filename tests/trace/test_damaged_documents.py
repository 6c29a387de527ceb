"""Damage between and around events: what stands in the wrong place, holes, second documents, broken metadata.

Expected rows come from the events that the damaged text was made from. Chunks are a few events long here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.trace import damage
from tests.trace.contents import assert_told, numbers, read_text, rows, rows_of
from tests.trace.damage import LOG, Sound, holed, overwritten, sound_trace

SOUND = sound_trace()
ALL = range(len(SOUND.events))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", 2000)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 700)


@pytest.mark.parametrize(
    ("separator", "skipped"),
    [
        (b"", (0,)),  # }{
        (b"\n", (0,)),
        (b",,", (0,)),
        (b", ,\n,", (0,)),
        (b"," + LOG, (0, 1)),  # no event is lost, but nobody can know that
        (LOG + b",", (0, 1)),
        (b", /* five events, by hand */", (0, 1)),
        (b", null,", (0, 1)),
        (b", [],", (0, 1)),
        (b",\0\0\0", (0, 1)),
        (b",\xef\xbb\xbf", (0, 1)),
    ],
)
def test_what_stands_between_events_costs_none(
    tmp_path: Path, separator: bytes, skipped: tuple[int, ...]
) -> None:
    for position in ALL[:-1]:
        trace = read_text(tmp_path, SOUND.document(separators={position: separator}))
        assert rows(trace) == rows_of(SOUND.events), position
        assert trace.event_count == len(ALL)
        assert trace.skipped_count in skipped


@pytest.mark.parametrize("comma", [b",", b",,", b" , \n"])
def test_commas_at_the_ends_of_the_events_cost_none(tmp_path: Path, comma: bytes) -> None:
    trace = read_text(tmp_path, SOUND.document(separators={len(ALL) - 1: comma}))
    assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
    assert trace.metadata["traceName"] == "trace.json"
    leading = Sound(SOUND.events, SOUND.texts, head=damage.HEAD + comma)
    assert read_text(tmp_path, leading.document()).event_count == len(ALL)


def test_order_of_the_file_is_kept_where_times_run_backwards(tmp_path: Path) -> None:
    backwards = Sound(SOUND.events[::-1], SOUND.texts[::-1])
    trace = read_text(tmp_path, backwards.document())
    assert rows(trace) == rows_of(SOUND.events[::-1])
    assert (trace.skipped_count, trace.warnings) == (0, ())


@pytest.mark.parametrize("ends_in_text", [False, True])
def test_hole_costs_the_events_that_it_touches(tmp_path: Path, ends_in_text: bool) -> None:
    """4096 zero bytes from any place of event 2 on; those that lie wholly in it left no trace."""
    sound = sound_trace(12)
    document, begin = sound.document(), sound.begin(2)
    for start in range(begin, begin + len(sound.texts[2])):
        end = start + 4096
        broken = holed(document, start, end)
        first, last = (
            max(i for i in range(len(sound.events)) if sound.begin(i) <= place) for place in (start, end - 1)
        )
        untouched = [*sound.events[:first], *sound.events[last + 1 :]]
        remains = broken[sound.begin(first) : sound.begin(last + 1)]
        in_strings = all(
            document[sound.begin(i) : place].count(b'"') % 2 for i, place in ((first, start), (last, end))
        )
        if in_strings != ends_in_text:
            continue
        trace = read_text(tmp_path, broken)
        lost_events = max(1, len(re.findall(rb'"ph"\s*:', remains)))
        # From a string into a string the hole makes one event of two, whose name has 4096 NUL characters.
        chimeras = trace.event_count - len(untouched)
        assert chimeras in ((0, 1) if ends_in_text else (0,)), start
        assert trace.event_count + trace.skipped_count == len(untouched) + lost_events, start
        if not chimeras:
            assert rows(trace) == rows_of(untouched), start
            assert_told(trace, "skipped", lost_events, sound.begin(first) - 2, end)


def test_event_of_a_kind_that_nobody_reads_needs_no_time(tmp_path: Path) -> None:
    others = [
        b'{"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "python"}}',
        b'{"ph": "M", "name": "process_labels", "pid": 1, "ts": NaN}',
        b'{"ph": "i", "name": "Iteration Start", "ts": null, "s": "g"}',
        b'{"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)"}',
        b'{"ph": "X", "cat": "python_function", "name": "torch/nn/modules/linear.py(110): forward"}',
        b"{}",
    ]
    sound = Sound(SOUND.events, SOUND.texts, head=damage.HEAD + b", ".join(others) + b", ")
    trace = read_text(tmp_path, sound.document())
    assert (trace.event_count, trace.skipped_count) == (len(ALL) + len(others), 0)
    assert rows(trace) == rows_of(SOUND.events)
    assert_told(trace, "NaN", 1, len(damage.HEAD), len(sound.head))


@pytest.mark.parametrize("between", [b"", b"\n", b"\n\n\n"])
def test_second_document_behind_the_first_is_not_read(tmp_path: Path, between: bytes) -> None:
    document = SOUND.document().rstrip()
    second = sound_trace(2).document()
    trace = read_text(tmp_path, document + between + second)
    assert (trace.event_count, trace.skipped_count) == (len(ALL), 10)
    assert rows(trace) == rows_of(SOUND.events)
    assert trace.metadata["traceName"] == "trace.json"
    said = [numbers(warning) for warning in trace.warnings]
    assert any(
        10 in found and {len(between + second), len(second), len(second.rstrip())} & {*found}
        for found in said
    )


def test_lists_one_behind_the_other(tmp_path: Path) -> None:
    first, second = (json.dumps(sound_trace(groups).events).encode() for groups in (3, 2))
    trace = read_text(tmp_path, first + second)
    assert (trace.event_count, trace.skipped_count) == (15, 10)
    assert rows(trace) == rows_of(sound_trace(3).events)


def test_shorter_trace_written_over_a_longer_one(tmp_path: Path) -> None:
    shorter, longer = sound_trace(3), sound_trace(6).document()
    document = shorter.document().rstrip()
    trace = read_text(tmp_path, overwritten(longer, document))
    rest = longer[len(document) :]
    assert (trace.event_count, trace.skipped_count) == (15, rest.count(b'"ph":'))
    assert rows(trace) == rows_of(shorter.events)
    assert any({len(rest), len(rest.rstrip())} & {*numbers(warning)} for warning in trace.warnings)


def test_bracket_between_events_may_end_them_but_loses_none_unsaid(tmp_path: Path) -> None:
    trace = read_text(tmp_path, SOUND.document(separators={9: b"],\n"}))
    whole, before = SOUND.events, SOUND.events[:10]
    possible = [whole, before, whole[:9] + whole[10:], whole[:10] + whole[11:]]
    assert (trace.event_count, rows(trace)) in [(len(events), rows_of(events)) for events in possible]
    assert trace.event_count + trace.skipped_count == len(ALL)
    assert trace.warnings


def test_second_list_of_events_is_not_read(tmp_path: Path) -> None:
    second = b",".join(sound_trace(2).texts)
    document = SOUND.document().rstrip()[:-1] + b', "traceEvents": [' + second + b"]}"
    trace = read_text(tmp_path, document)
    assert (trace.event_count, trace.skipped_count) == (len(ALL), 10)
    assert rows(trace) == rows_of(SOUND.events)


def with_note(raw: bytes) -> tuple[bytes, bytes]:
    """The sound document with `raw` as a value of the metadata before the events, and of that behind them."""
    member = b'"note": ' + raw + b","
    head = damage.HEAD.replace(b"{", b"{" + member, 1)
    tail = damage.TAIL.replace(b"],", b"]," + member, 1)
    return (
        Sound(SOUND.events, SOUND.texts, head=head).document(),
        Sound(SOUND.events, SOUND.texts, tail=tail).document(),
    )


METADATA = [
    (rb'"C:\Users\dir"', r"C:\Users\dir"),
    (b'"a\nb"', "a\nb"),
    (b'"caf\xe9"', "caf\ufffd"),
    (b"NaN", None),
]


@pytest.mark.parametrize(("raw", "meant"), METADATA)
def test_metadata_is_mended_like_events(tmp_path: Path, raw: bytes, meant: object) -> None:
    for document in with_note(raw):
        trace = read_text(tmp_path, document)
        assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
        assert rows(trace) == rows_of(SOUND.events)
        assert trace.metadata["note"] == meant
        assert trace.metadata["deviceProperties"][0]["name"] == "NVIDIA H100 80GB HBM3"
        assert trace.metadata["traceName"] == "trace.json"
        assert trace.warnings


@pytest.mark.parametrize("raw", [b'"a "b" c"', b'"a " c"', b"[1", b"1]", b"{", b"'x'", b'"C:\\dir\\"', b",,"])
def test_metadata_that_cannot_be_mended_costs_no_event(tmp_path: Path, raw: bytes) -> None:
    for document in with_note(raw):
        trace = read_text(tmp_path, document)
        assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
        assert rows(trace) == rows_of(SOUND.events)
        assert any("metadata" in str(warning) for warning in trace.warnings)
