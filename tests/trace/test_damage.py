"""One broken event costs one event at most, and what is read and skipped is counted exactly and told.

Expected rows come from the events that the damaged text was made from. Chunks are a few events long here,
and every damage is done to every event, so that all places in a chunk and at its borders are tried.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.trace import damage
from tests.trace.contents import Rows, rows, rows_of
from tests.trace.damage import (
    Sound,
    commented,
    holed,
    in_args,
    in_name,
    in_python,
    interrupted,
    lost,
    overwritten,
    sound_trace,
    surplus,
    torn,
    twice,
    with_value,
    without,
)
from tracekit.messages import UserError
from tracekit.trace import Trace, read

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
LOG = b"[W1201 12:00:00.1 CUDAGuardImpl.h:124] Warning: {'x': \"y\"} (function destroyEvent)\n"

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
        for raw in (b"NaN", b"Infinity", b"-Infinity", b'"12.5"', b"[]")
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


def read_text(directory: Path, text: bytes) -> Trace:
    path = directory / "t.json"
    path.write_bytes(text)
    return read(path)


def renamed(event: dict[str, Any], ending: str) -> dict[str, Any]:
    return {**event, "name": event["name"] + ending}


def with_one_mark(found: Rows) -> Rows:
    """One U+FFFD for each run: how many a broken character becomes is not laid down."""
    return {
        kind: [(re.sub("\ufffd+", "\ufffd", name), *row) for name, *row in table]
        for kind, table in found.items()
    }


def numbers(warning: object) -> list[int]:
    return [int(digits.replace(",", "")) for digits in re.findall(r"\d+(?:,\d{3})*", str(warning))]


def assert_told(trace: Trace, what: str, count: int | None, begin: int, end: int) -> None:
    """A warning says what, how many, and a place between two byte offsets."""
    said = [numbers(warning) for warning in trace.warnings if re.search(what, str(warning), re.IGNORECASE)]
    assert any(
        (count is None or count in found) and any(begin <= number <= end for number in found)
        for found in said
    ), (list(map(str, trace.warnings)), what, count, begin, end)


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
    assert_told(trace, NO_NUMBER, 1, len(damage.HEAD), len(sound.head))


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


METADATA = [
    (rb'"C:\Users\dir"', r"C:\Users\dir"),
    (b'"a\nb"', "a\nb"),
    (b'"caf\xe9"', "caf\ufffd"),
    (b"NaN", None),
]


@pytest.mark.parametrize(("raw", "meant"), METADATA)
def test_metadata_is_mended_like_events(tmp_path: Path, raw: bytes, meant: object) -> None:
    member = b'"note": ' + raw + b","
    for head, tail in (
        (damage.HEAD.replace(b"{", b"{" + member, 1), damage.TAIL),
        (damage.HEAD, damage.TAIL.replace(b"],", b"]," + member, 1)),
    ):
        trace = read_text(tmp_path, Sound(SOUND.events, SOUND.texts, head, tail).document())
        assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
        assert rows(trace) == rows_of(SOUND.events)
        assert trace.metadata["note"] == meant
        assert trace.metadata["deviceProperties"][0]["name"] == "NVIDIA H100 80GB HBM3"
        assert trace.metadata["traceName"] == "trace.json"
        assert trace.warnings


@pytest.mark.parametrize("raw", [b'"a "b" c"', b'"a " c"', b"[1", b"1]", b"{", b"'x'", b'"C:\\dir\\"', b",,"])
def test_metadata_that_cannot_be_mended_costs_no_event(tmp_path: Path, raw: bytes) -> None:
    member = b'"note": ' + raw + b","
    for head, tail in (
        (damage.HEAD.replace(b"{", b"{" + member, 1), damage.TAIL),
        (damage.HEAD, damage.TAIL.replace(b"],", b"]," + member, 1)),
    ):
        trace = read_text(tmp_path, Sound(SOUND.events, SOUND.texts, head, tail).document())
        assert (trace.event_count, trace.skipped_count) == (len(ALL), 0)
        assert rows(trace) == rows_of(SOUND.events)
        assert any("metadata" in str(warning) for warning in trace.warnings)
