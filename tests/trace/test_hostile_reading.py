"""Files that are made to hurt, or that nobody meant: bounded memory, linear time, exact counts or a refusal.

Large files are read in a process of their own, which says how much memory it took. Times are not asserted:
the files are so large that whatever is quadratic does not end within the limit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tests.trace.contents import read_text, rows, rows_of
from tests.trace.damage import TAIL, Sound, in_args, in_name, sound_trace, with_value
from tracekit.analysis import analyze
from tracekit.messages import UserError
from tracekit.report.json import render_json
from tracekit.trace import read

SOUND = sound_trace()
COUNT = len(SOUND.events)
MEGABYTE = 1_000_000
LIMIT_SECONDS = 60
PEAK_BYTES = 500 * MEGABYTE

_READER = """
import json, sys
from pathlib import Path
from tracekit.messages import UserError
from tracekit.trace import read

try:
    trace = read(sys.argv[1])
except UserError as error:
    result = {"refused": str(error)}
else:
    result = {"read": trace.event_count, "skipped": trace.skipped_count, "names": len(set(trace.names))}
    result |= {"longest": max(map(len, trace.names)), "warnings": list(map(str, trace.warnings))}
try:
    status = Path("/proc/self/status").read_text()
    result["peak"] = int(status.split("VmHWM:")[1].split()[0]) * 1024
except OSError:  # no Linux
    result["peak"] = 0
print(json.dumps(result))
"""


def read_apart(path: Path, parts: Iterable[bytes]) -> dict[str, Any]:
    """What a process of its own makes of a file of these parts, and its `peak` of memory in bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
    command = [sys.executable, "-c", _READER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    path.unlink()
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def changed(damage: Any, position: int = 12) -> list[bytes]:
    """The sound document with one event changed."""
    return [SOUND.document({position: damage(SOUND.texts[position])})]


def with_metadata(before: bytes = b"", behind: bytes = b"") -> Sound:
    """The sound trace with more members of metadata."""
    return Sound(
        SOUND.events,
        SOUND.texts,
        b'{"a": 1, ' + before + b'"traceEvents": [',
        TAIL.replace(b"],", b"]," + behind),
    )


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


def blanks(megabytes: int) -> list[bytes]:
    return [b" " * MEGABYTE] * megabytes


# --- nesting


@pytest.mark.parametrize("raw", [nested(100_000), nested(100_000, b'{"a":', b"}").replace(b":}", b":1}")])
def test_nesting_in_args_costs_one_event_at_most(tmp_path: Path, raw: bytes) -> None:
    for position in (0, 12, COUNT - 1):
        trace = read_text(tmp_path, changed(lambda event: in_args(event, raw), position)[0])
        assert trace.skipped_count in (0, 1)
        assert trace.event_count + trace.skipped_count == COUNT
        if trace.skipped_count:
            assert rows(trace) == rows_of(SOUND.events[:position] + SOUND.events[position + 1 :])
        else:
            assert rows(trace) == rows_of(SOUND.events)


@pytest.mark.parametrize("depth", [500, 100_000])
def test_nesting_in_the_metadata_costs_no_event(tmp_path: Path, depth: int) -> None:
    member = b'"note": ' + nested(depth) + b","
    for sound in (with_metadata(before=member), with_metadata(behind=member)):
        trace = read_text(tmp_path, sound.document())
        assert (trace.event_count, trace.skipped_count) == (COUNT, 0)
        assert rows(trace) == rows_of(SOUND.events)
        report = analyze(tmp_path / "t.json")
        json.loads(render_json(report))


@pytest.mark.parametrize("raw", [b"[", b'{"a":', b'[{"a":'])
def test_nesting_that_never_ends_costs_one_event(tmp_path: Path, raw: bytes) -> None:
    result = read_apart(
        tmp_path / "t.json", changed(lambda event: in_args(event, raw * (2 * MEGABYTE // len(raw))))
    )
    assert (result["read"], result["skipped"]) == (COUNT - 1, 1)
    assert result["peak"] < PEAK_BYTES


def test_events_inside_events_are_not_read(tmp_path: Path) -> None:
    inner = SOUND.texts[3]
    trace = read_text(tmp_path, changed(lambda event: in_args(event, b"[" + inner + b", " + inner + b"]"))[0])
    assert (trace.event_count, trace.skipped_count) == (COUNT, 0)
    assert rows(trace) == rows_of(SOUND.events)


def test_lists_of_events_inside_the_metadata_are_not_read(tmp_path: Path) -> None:
    """100,000 of them: to try each from the beginning of the file would be quadratic."""
    member = b'"runs": [' + b", ".join([b'{"traceEvents": [{"ph": "M"}]}'] * 100_000) + b"], "
    result = read_apart(tmp_path / "t.json", [with_metadata(before=member).document()])
    assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])


def test_strings_like_the_start_of_the_events_are_none(tmp_path: Path) -> None:
    member = b'"note": ' + json.dumps('"traceEvents": [{"ph": "M"}]').encode() + b', "traceEvents ": [], '
    trace = read_text(tmp_path, with_metadata(before=member).document())
    assert (trace.event_count, trace.skipped_count, trace.warnings) == (COUNT, 0, ())


# --- numbers and ids


@pytest.mark.parametrize(
    "number",
    [2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**128, 10**400, 0, -1, -(2**63), -(2**64)],
)
def test_ids_of_any_size_cost_no_event(tmp_path: Path, number: int) -> None:
    """A launch and its kernel find each other by them where 64 bits hold them."""
    builder = TraceBuilder(pid=number, tid=number).op("aten::mm", 0, 50)
    builder.launch(number, 10).kernel(number, 20, 30.5, device=number, stream=number)
    trace = read(builder.write(tmp_path / "t.json"))
    assert (trace.event_count, trace.skipped_count, trace.warnings) == (3, 0, ())
    assert (len(trace.ops), len(trace.launches), len(trace.gpu_events)) == (1, 1, 1)
    assert trace.threads[trace.ops.thread[0]] == (number, number)
    assert trace.launches.correlation[0] == trace.gpu_events.correlation[0]
    if 0 <= number < 2**63:
        assert trace.launches.correlation[0] == number


@pytest.mark.parametrize(
    "raw", [b"1.0", b"1.5", b"1e3", b'"1"', b"null", b"true", b"[1]", b"{}", b"-0.0", b"1e400"]
)
def test_ids_of_another_type_cost_their_event_at_most(tmp_path: Path, raw: bytes) -> None:
    for position in range(COUNT):
        for key in (b'"correlation": ', b'"device": ', b'"stream": ', b'"pid": ', b'"tid": '):
            before, found, behind = SOUND.texts[position].partition(key)
            if not found:
                continue
            text = before + found + raw + behind[min(behind.find(end) for end in b",}" if end in behind) :]
            trace = read_text(tmp_path, SOUND.document({position: text}))
            assert trace.skipped_count in (0, 1), (position, key)
            assert trace.event_count + trace.skipped_count == COUNT, (position, key)
            assert sum(map(len, rows(trace).values())) == trace.event_count
            analyze(tmp_path / "t.json")


@pytest.mark.parametrize(
    "digits", [b"9" * 400, b"0." + b"3" * 400, b"1" + b"0" * 100_000, b"-" + b"7" * 400, b"1e99999"]
)
def test_numbers_of_many_digits_in_args_cost_no_event(tmp_path: Path, digits: bytes) -> None:
    trace = read_text(tmp_path, changed(lambda event: in_args(event, digits))[0])
    assert (trace.event_count, trace.skipped_count) == (COUNT, 0)
    assert rows(trace) == rows_of(SOUND.events)


def test_fractions_of_many_digits_are_times(tmp_path: Path) -> None:
    text = with_value(SOUND.texts[12], "dur", b"5.5" + b"0" * 400)
    trace = read_text(tmp_path, SOUND.document({12: text}))
    assert rows(trace) == rows_of(SOUND.events)
    assert trace.skipped_count == 0


# --- many and long


def test_million_names_are_kept_apart(tmp_path: Path) -> None:
    events = (
        b'%s{"ph":"X","cat":"user_annotation","name":"step%d","pid":1,"tid":1,"ts":%d,"dur":1}'
        % (b"," if i else b"[", i, i)
        for i in range(MEGABYTE)
    )
    result = read_apart(tmp_path / "t.json", [*events, b"]"])
    assert (result["read"], result["skipped"], result["names"]) == (MEGABYTE, 0, MEGABYTE)


@pytest.mark.parametrize("place", ["name", "args", "metadata before", "metadata behind"])
def test_string_of_many_megabytes(tmp_path: Path, place: str) -> None:
    long = b"x" * (20 * MEGABYTE)
    text = {
        "name": changed(lambda event: in_name(event, long)),
        "args": changed(lambda event: in_args(event, b'"' + long + b'"')),
        "metadata before": [with_metadata(before=b'"note": "' + long + b'", ').document()],
        "metadata behind": [with_metadata(behind=b'"note": "' + long + b'", ').document()],
    }[place]
    result = read_apart(tmp_path / "t.json", text)
    assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])
    assert result["peak"] < PEAK_BYTES
    if place == "name":
        assert result["longest"] == 20 * MEGABYTE + len(SOUND.events[12]["name"])


def test_string_of_many_megabytes_that_has_to_be_mended(tmp_path: Path) -> None:
    result = read_apart(
        tmp_path / "t.json", changed(lambda event: in_name(event, b"\\U\xff\n" * (MEGABYTE // 2)))
    )
    assert (result["read"], result["skipped"]) == (COUNT, 0)
    assert result["longest"] == 2 * MEGABYTE + len(SOUND.events[12]["name"])
    assert result["peak"] < PEAK_BYTES


@pytest.mark.parametrize("key", [b'"note": 1, ', b'"ts": 1, ', b'"name": "n", '])
def test_key_repeated_a_million_times(tmp_path: Path, key: bytes) -> None:
    text = changed(lambda event: b"{" + key * MEGABYTE + event[1:])
    result = read_apart(tmp_path / "t.json", text)
    assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])


def test_key_repeated_a_million_times_in_the_metadata(tmp_path: Path) -> None:
    member = b'"note": 1, ' * MEGABYTE
    for sound in (with_metadata(before=member), with_metadata(behind=member)):
        result = read_apart(tmp_path / "t.json", [sound.document()])
        assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])


def test_million_keys_in_args(tmp_path: Path) -> None:
    members = b"{" + b", ".join(b'"%d": 1' % i for i in range(MEGABYTE)) + b"}"
    result = read_apart(tmp_path / "t.json", changed(lambda event: in_args(event, members)))
    assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])


@pytest.mark.parametrize("where", ["in an event", "between events", "before the events", "behind the events"])
def test_blanks_of_many_megabytes_cost_no_event(tmp_path: Path, where: str) -> None:
    document = SOUND.document()
    place = {
        "in an event": SOUND.begin(12) + 1,
        "between events": SOUND.begin(12),
        "before the events": 1,
        "behind the events": len(document) - 3,
    }[where]
    result = read_apart(tmp_path / "t.json", [document[:place], *blanks(64), document[place:]])
    assert (result["read"], result["skipped"], result["warnings"]) == (COUNT, 0, [])
    assert result["peak"] < PEAK_BYTES


# --- what never begins or ends


@pytest.mark.parametrize(
    ("start", "part", "megabytes"),
    [
        (b"{", b" ", 100),
        (b"", b" ", 10),
        (b"", b"\0", 10),
        (b'{"a": "', b"x", 100),
        (b'{"a": "', b'\\"', 10),
        (b'{"a": [', b"1, ", 10),
        (b'{"a": ', b"[", 10),
        (b'{"a": 1, ', b'"b": {}, ', 10),
        (b'{"a": [', b'{"ph": "X"}, ', 10),
        (b'{"traceEvents":[', b" ", 50),
        (b'{"traceEvents":[', b"x", 100),
        (b'{"traceEvents":[', b"\0", 5),
        (b'{"traceEvents":[', b"x, ", 5),
        (b'{"traceEvents":[', b'"', 10),
        (b'{"traceEvents":[', b"\\", 5),
        (b'{"traceEvents":[', b"[", 5),
        (b'{"traceEvents":[', b"{", 5),
        (b'{"traceEvents":[', b"}", 5),
        (b'{"traceEvents":[', b"}, {", 5),
        (b'{"traceEvents":[', b'{"ph":', 2),
        (b'{"traceEvents":[', b'{"ph": "X", "name": "a" b"}, ', 2),
        (b"[", b"1, ", 10),
    ],
)
def test_file_without_an_event_is_refused(tmp_path: Path, start: bytes, part: bytes, megabytes: int) -> None:
    garbage = part * (MEGABYTE // len(part))
    path = tmp_path / "t.json"
    result = read_apart(path, [start, *[garbage] * megabytes])
    assert str(path) in result["refused"]
    assert "\n" not in result["refused"]
    assert result["peak"] < PEAK_BYTES


@pytest.mark.parametrize("megabytes", [65, 100])
@pytest.mark.parametrize("behind", [b'"}}]}', b'"}}, {"ph": 1}]}', b""])
def test_trace_of_one_event_that_is_too_large(tmp_path: Path, megabytes: int, behind: bytes) -> None:
    """It was said to have no events, or to end before its first one."""
    start = b'{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "a", "ts": 1, "dur": 1, "args": {"a": "'
    result = read_apart(tmp_path / "t.json", [start, *[b"x" * MEGABYTE] * megabytes, behind])
    reason = "has no event that can be read: one is larger than 32 MiB, which is too large"
    assert result["refused"] == f"{tmp_path / 't.json'}: {reason}"
    assert result["peak"] < PEAK_BYTES


@pytest.mark.parametrize("part", [b"x", b"\0", b'"', b"[", b"{", b"}, {", b"]", b"\\"])
def test_garbage_between_events_costs_none_of_those_around_it(tmp_path: Path, part: bytes) -> None:
    """One at most is made up, for what cannot be decoded."""
    document, place = SOUND.document(), SOUND.begin(12)
    garbage = part * (MEGABYTE // len(part))
    result = read_apart(tmp_path / "t.json", [document[:place], *[garbage] * 5, b",\n", document[place:]])
    if part == b"]":  # may be the end of the events
        assert result["read"] + result["skipped"] in (COUNT, COUNT + 1)
    else:
        assert (result["read"], result["skipped"]) in ((COUNT, 0), (COUNT, 1))
    assert result["peak"] < PEAK_BYTES


@pytest.mark.parametrize("part", [b"x", b'"', b"[", b"{", b"\\", SOUND.texts[0]])
def test_garbage_behind_the_trace_is_counted_and_not_kept(tmp_path: Path, part: bytes) -> None:
    garbage = part * (MEGABYTE // len(part))
    result = read_apart(tmp_path / "t.json", [SOUND.document(), *[garbage] * 30])
    assert (result["read"], result["skipped"]) == (COUNT, 30 * garbage.count(b'"ph":'))
    lengths = {30 * len(garbage), 30 * len(garbage) + 1}  # with or without the newline before it
    said = [
        int(digits) for text in result["warnings"] for digits in re.findall(r"\d+", text.replace(",", ""))
    ]
    assert lengths & {*said}
    assert result["peak"] < PEAK_BYTES


@pytest.mark.parametrize("raw", [b' " ', b' "b" c'])
def test_quote_that_is_never_closed_costs_one_event_of_many(tmp_path: Path, raw: bytes) -> None:
    sound = sound_trace(8_000)
    text = sound.document({0: in_name(sound.texts[0], raw)})
    assert len(text) > 5 * MEGABYTE
    result = read_apart(tmp_path / "t.json", [text])
    assert (result["read"], result["skipped"]) == (len(sound.events) - 1, 1)


@pytest.mark.parametrize("raw", [b' " ', b"\\U", b'"}'])
def test_every_event_of_many_is_damaged(tmp_path: Path, raw: bytes) -> None:
    sound = sound_trace(2_000)
    texts = {i: in_name(text, raw) for i, text in enumerate(sound.texts) if i}
    result = read_apart(tmp_path / "t.json", [sound.document(texts)])
    mended = raw == b"\\U"
    assert result["read"] == (len(sound.events) if mended else 1)
    assert result["read"] + result["skipped"] == len(sound.events)
    assert len(result["warnings"]) < 10


def test_refusals_say_it_in_a_line_of_bounded_length(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_text(tmp_path, b"\xff\x00\x1b[31m garbage" * 1000)
    assert len(str(caught.value)) < 1000
