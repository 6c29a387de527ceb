"""One broken event costs one event at most, and what is read and skipped is counted exactly and told.

Expected rows come from the events that the damaged text was made from. Chunks are a few events long here,
and every damage is done to every event, so that all places in a chunk and at its borders are tried.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.trace.contents import Rows, assert_told, read_text, rows, rows_of
from tests.trace.damage import (
    LOG,
    commented,
    in_args,
    in_name,
    in_python,
    interrupted,
    lost,
    sound_trace,
    surplus,
    torn,
    twice,
    with_value,
    without,
)
from tracekit.messages import UserError
from tracekit.trace import read

SOUND = sound_trace()
ALL = range(len(SOUND.events))
NINES = b"9" * 400


@dataclass(frozen=True)
class Damaged:
    """What one damaged event comes to. `skipped`: the counts that are right; mostly there is one.

    `endings`: what its name may have at its end where it is read. `told`: what the warning about mending
    says, "" where there is nothing to say, None where either is right.
    """

    what: str
    damage: Callable[[bytes], bytes]
    skipped: tuple[int, ...]
    endings: tuple[str, ...] = ("",)
    told: str | None = None


def name(what: str, raw: bytes, *endings: str, told: str | None = "") -> Damaged:
    return Damaged(f"{what} in a name", lambda event: in_name(event, raw), (0,), endings, told)


def args(what: str, raw: bytes, told: str | None) -> Damaged:
    return Damaged(f"{what} in args", lambda event: in_args(event, raw), (0,), told=told)


def gone(what: str, damage: Callable[[bytes], bytes], *skipped: int) -> Damaged:
    return Damaged(what, damage, skipped or (1,))


def value(key: str, raw: bytes) -> Damaged:
    return gone(f"{key} {raw[:20].decode()}", lambda event: with_value(event, key, raw))


SLASH, CONTROL, UTF_8, NO_NUMBER = "backslash", "control", "UTF-8", "NaN"

SOUND_BUT_ODD = [
    name("escapes", rb"\u00e9\\\/\"\t\u0000", 'é\\/"\t\0'),
    name("UTF-8 of two to four bytes", "é€😀".encode(), "é€😀"),
    name("an escaped pair of surrogates", rb"\ud83d\ude00", "😀"),
    name("what looks like a border", b"}, {", "}, {"),
    name("brackets that do not match", b"[{{]", "[{{]"),
    Damaged("dur twice", lambda event: twice(event, "dur", b"99"), (0,), told=""),
    Damaged("ts twice, once absurd", lambda event: twice(event, "ts", b"-1e300"), (0,), told=""),
    Damaged("name twice", lambda event: twice(event, "name", b'"other"'), (0,), told=""),
    Damaged("args twice", lambda event: twice(event, "args", b'{"correlation": 77}'), (0,), told=""),
]

MENDED = [
    name("a Windows path", rb"C:\Users\dir", r"C:\Users\dir", told=SLASH),
    name("a Windows path that has an escape", rb"C:\Users\new", "C:\\Users\new", r"C:\Users\new", told=SLASH),
    name("a short \\u", rb"\u12", r"\u12", told=SLASH),
    name("a \\u without hexadecimals", rb"\user_1234", r"\user_1234", told=SLASH),
    name("a \\x", rb"\x41", r"\x41", told=SLASH),
    name("an escaped backslash beside one that is not", rb"\\\U", r"\\U"[1:], r"\\U", told=SLASH),
    args("a Windows path", rb'"C:\Users\dir"', SLASH),
    args("a Windows path as a key", rb'{"C:\Users\dir": 1}', SLASH),
    args("a short \\u", rb'"\u12"', SLASH),
    *(name(f"control character {code}", bytes([code]), chr(code), told=CONTROL) for code in range(32)),
    args("a newline", b'"a\nb"', CONTROL),
    args("a NUL", b'"a\0b"', CONTROL),
    name("Latin-1", b"caf\xe9", "caf\ufffd", told=UTF_8),
    name("a character that is cut", b"\xe2\x82", "\ufffd", told=UTF_8),
    name("the first byte of four", b"\xf0", "\ufffd", told=UTF_8),
    name("a surrogate as UTF-8", b"\xed\xa0\x80", "\ufffd", told=UTF_8),
    name("an overlong NUL", b"\xc0\x80", "\ufffd", told=UTF_8),
    name("a byte that never occurs", b"\xff", "\ufffd", told=UTF_8),
    args("Latin-1", b'"caf\xe9"', None),
    args("a character that is cut", b'"\xe2\x82"', None),
    name("half a pair of surrogates", rb"\ud800", "\ufffd", r"\ud800", told="."),
    name("the other half", rb"\udc00", "\ufffd", r"\udc00", told="."),
    name("half a pair and an escape", rb"\ud800\u0041", "\ufffdA", r"\ud800A", r"\ud800\u0041", told="."),
    args("half a pair of surrogates", rb'"\ud800"', None),
    args("NaN", b"NaN", NO_NUMBER),
    args("Infinity", b"Infinity", "NaN|Infinity"),
    args("-Infinity", b"-Infinity", "NaN|Infinity"),
    args("a list of NaN", b"[NaN,NaN, Infinity,-Infinity, {}]", "NaN|Infinity"),
    name(
        "words for no number beside a backslash",
        rb"\U: [NaN, -Infinity]",
        r"\U: [NaN, -Infinity]",
        told=SLASH,
    ),
    Damaged(
        "all of it at once",
        lambda event: in_args(in_name(event, b"\xff\\U\n"), b"NaN"),
        (0,),
        ("\ufffd\\U\n",),
        told=".",
    ),
]

SKIPPED = [
    gone("two quotes", lambda event: in_name(event, b' "b" c')),
    gone("one quote", lambda event: in_name(event, b' " c')),
    gone("three quotes", lambda event: in_name(event, b' "" " c')),
    gone("a quote and a comma", lambda event: in_name(event, b'", "')),
    gone("a quote and a brace", lambda event: in_name(event, b'"}')),
    gone("a quote and brackets", lambda event: in_name(event, b'"]}, ')),
    gone("quotes and an opening brace", lambda event: in_name(event, b'": {"')),
    gone("a quote in args", lambda event: in_args(event, b'"a"b"')),
    gone("a brace in args", lambda event: in_args(event, b"{")),
    gone("a bracket in args", lambda event: in_args(event, b"[1, [2]")),
    gone("a surplus bracket in args", lambda event: in_args(event, b"[1]]")),
    gone("two surplus brackets in args", lambda event: in_args(event, b"]]")),
    gone("a surplus brace in args", lambda event: in_args(event, b"{}}")),
    gone("a surplus brace behind the name's key", lambda event: surplus(event, b'"name": ', b"}")),
    gone("a surplus brace behind ph", lambda event: surplus(event, b'"ph": "X"', b"}")),
    gone("a surplus comma", lambda event: surplus(event, b'"ph": "X",', b",")),
    gone("a surplus comma in args", lambda event: lost(event, b"}}") + b",}}"),
    gone("a surplus comma at the end", lambda event: event[:-1] + b",}"),
    gone("no closing brace", lambda event: lost(event, b"}")),
    gone("no closing braces", lambda event: lost(event, b"}}")),
    gone("no opening brace", lambda event: event[1:]),
    gone("no opening brace of args", lambda event: lost(event, b"{")),
    gone("no comma", lambda event: lost(event, b",")),
    gone("no colon", lambda event: lost(event, b":")),
    gone("no opening quote", lambda event: event.replace(b'": "', b'": ', 1)),
    gone("no closing quote", lambda event: lost(event, b'"')),
    gone("no value", lambda event: with_value(event, "pid", b"")),
    gone("Python", in_python),
    gone("torn", torn),
    gone("a line of a log", lambda event: interrupted(event, LOG)),
    gone("a comment", lambda event: commented(event, b"/* edited, {by} hand */")),
    gone("a comment to the end of the line", lambda event: commented(event, b"// don't\n")),
    gone("text instead of an event", lambda event: b"Killed"),
]

UNTIMED = [
    gone("no ts", lambda event: without(event, "ts")),
    gone("no dur", lambda event: without(event, "dur")),
    *(
        value(key, raw)
        for key in ("ts", "dur")
        for raw in (b"null", b"1e300", b"99999999999999999999", NINES)
    ),
    *(
        value(key, raw)
        for key in ("ts", "dur")
        for raw in (b"NaN", b"Infinity", b"-Infinity", b'"12,5"', b"[]")
    ),
    value("dur", b"-1"),
    value("dur", b"-0.001"),
]

# Those that leave a `"ph":`, by which events are counted where nothing decodes.
KEYED = [damaged for damaged in SKIPPED if b'"ph":' in damaged.damage(SOUND.texts[0])]

# What was meant is a matter of opinion: to mend it would be fine as well.
EITHER = [
    gone("nan of C++", lambda event: in_args(event, b"nan"), 0, 1),
    gone("-inf of C++", lambda event: in_args(event, b"-inf"), 0, 1),
    gone("a surplus brace at the end", lambda event: event + b"}", 0, 1),
    Damaged(
        "a path with a backslash at the end",
        lambda event: in_name(event, b"C:\\dir\\"),
        (0, 1),
        ("C:\\dir\\",),
    ),
    gone("such a path in args", lambda event: in_args(event, b'"C:\\dir\\"'), 0, 1),
    # Both sides of what looks like a border between two events are damaged.
    gone("quotes around a border", lambda event: in_name(event, b'"}, {"'), 1, 2),
]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", 2000)
    monkeypatch.setattr("tracekit.trace.source.PIECE_BYTES", 700)


def renamed(event: dict[str, Any], ending: str) -> dict[str, Any]:
    return {**event, "name": event["name"] + ending}


def with_one_mark(found: Rows) -> Rows:
    """One U+FFFD for each run: how many a broken character becomes is not laid down."""
    return {
        kind: [(re.sub("\ufffd+", "\ufffd", name), *row) for name, *row in table]
        for kind, table in found.items()
    }


@pytest.mark.parametrize(
    "damaged", [*SOUND_BUT_ODD, *MENDED, *SKIPPED, *UNTIMED, *EITHER], ids=lambda damaged: damaged.what
)
def test_one_damaged_event_costs_that_event_at_most(tmp_path: Path, damaged: Damaged) -> None:
    for position in ALL:
        text = damaged.damage(SOUND.texts[position])
        trace = read_text(tmp_path, SOUND.document({position: text}))
        before, event, behind = SOUND.events[:position], SOUND.events[position], SOUND.events[position + 1 :]
        expected = [[*before, renamed(event, ending), *behind] for ending in damaged.endings]
        if trace.skipped_count:
            expected = [before + behind]
        assert trace.skipped_count in damaged.skipped, position
        assert trace.event_count == len(expected[0]), position
        assert with_one_mark(rows(trace)) in map(rows_of, expected), position
        begin = SOUND.begin(position)
        if trace.skipped_count:
            count = 1 if damaged.skipped == (1,) else None
            assert_told(trace, "skipped", count, begin - 2, begin + len(text))
        elif damaged.told:
            assert_told(trace, damaged.told, 1, begin - 2, begin + len(text))
        elif damaged.told == "":
            assert trace.warnings == (), position


@pytest.mark.parametrize("chunk_bytes", [300, 2000, 1 << 20])
def test_every_event_is_mended_where_all_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", chunk_bytes)
    texts = {i: in_args(in_name(SOUND.texts[i], rb"C:\Users"), b"NaN") for i in ALL}
    trace = read_text(tmp_path, SOUND.document(texts))
    assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
    assert rows(trace) == rows_of([renamed(event, r"C:\Users") for event in SOUND.events])
    assert_told(trace, SLASH, len(ALL), SOUND.begin(0), SOUND.begin(1))


@pytest.mark.parametrize("damaged", [*SKIPPED, *UNTIMED], ids=lambda damaged: damaged.what)
def test_a_trace_of_which_no_event_is_whole_is_refused(tmp_path: Path, damaged: Damaged) -> None:
    texts = {i: damaged.damage(text) for i, text in enumerate(SOUND.texts)}
    with pytest.raises(UserError) as caught:
        read_text(tmp_path, SOUND.document(texts))
    assert "t.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_many_damaged_events_cost_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, processes: int
) -> None:
    """Whatever the kinds of damage are, and with several whole chunks in the trace.

    No two neighbours, which can make one event together: one without its `}`, one without its `{`.
    """
    monkeypatch.undo()
    sound = sound_trace(4000)
    chooser = random.Random(7)
    damages: Sequence[Damaged] = [*SOUND_BUT_ODD, *MENDED, *KEYED, *UNTIMED]
    texts: dict[int, bytes] = {}
    expected = dict(enumerate(sound.events))
    for position in chooser.sample(range(0, len(sound.events), 2), round(share * len(sound.events))):
        damaged = chooser.choice([d for d in damages if len(d.endings) == 1])
        texts[position] = damaged.damage(sound.texts[position])
        if damaged.skipped == (1,):
            del expected[position]
        else:
            expected[position] = renamed(expected[position], damaged.endings[0])
    path = tmp_path / "t.json"
    path.write_bytes(sound.document(texts))
    assert path.stat().st_size > 3_000_000
    trace = read(path, processes=processes)
    assert (trace.event_count, trace.skipped_count) == (len(expected), len(sound.events) - len(expected))
    assert with_one_mark(rows(trace)) == rows_of([expected[position] for position in sorted(expected)])


def test_neighbours_may_be_damaged_each_in_its_own_way(tmp_path: Path) -> None:
    for first in [*KEYED, *UNTIMED]:
        for second in (KEYED[0], KEYED[1], MENDED[0]):
            texts = {6: first.damage(SOUND.texts[6]), 7: second.damage(SOUND.texts[7])}
            trace = read_text(tmp_path, SOUND.document(texts))
            events = [*SOUND.events[:6], *SOUND.events[8:]]
            if second.skipped == (0,):
                events.insert(6, renamed(SOUND.events[7], second.endings[0]))
            assert rows(trace) == rows_of(events), (first.what, second.what)
            assert (trace.event_count, trace.skipped_count) == (len(events), len(ALL) - len(events)), (
                first.what
            )


@pytest.mark.parametrize("count", [1, 3])
def test_events_without_a_phase_behind_a_broken_one_are_read(tmp_path: Path, count: int) -> None:
    """They become no rows, but are events, of which none may be lost unsaid."""
    for damaged in KEYED:
        texts = {7 + i: without(SOUND.texts[7 + i], "ph") for i in range(count)}
        trace = read_text(tmp_path, SOUND.document({6: damaged.damage(SOUND.texts[6]), **texts}))
        assert rows(trace) == rows_of([*SOUND.events[:6], *SOUND.events[7 + count :]]), damaged.what
        assert (trace.event_count, trace.skipped_count) == (len(ALL) - 1, 1), damaged.what
