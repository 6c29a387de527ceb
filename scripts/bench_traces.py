#!/usr/bin/env python3
"""Large traces out of a small real one: its events again and again, one copy after another in time.

    scripts/bench_traces.py TRACE FOLDER --sizes 0.1,1 [--diverse SHARE]

The text stays as it was written, with its spaces and line breaks: of every copy only digits differ, namely
those of times and of the numbers that link events to each other. Processes, threads and metadata stand once,
as they do in a real trace.

Repeated events are kinder to a reader than real ones, whose names and shapes do not all come again. With
`--diverse` every copy has kernel names, modules and shapes of its own, for the given share of each.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from isal import igzip

GAP_US = 1000  # between the last event of a copy and the first of the next
FAST_LEVEL = 1  # of isal; about the size that zlib reaches at its own level 1

# What counts on from copy to copy. Names that are written differently in older traces share a count.
_COUNTS = {
    "ts": "ts",
    "id": "id",
    "correlation": "correlation",
    "External id": "external",
    "external id": "external",
    "Ev Idx": "index",
    "Sequence number": "sequence",
    "Python id": "frame",
    "Python parent id": "frame",
}
_NUMBER = re.compile(rb'"(' + "|".join(_COUNTS).encode() + rb')"\s*:\s*(\d+)')
_NAME = re.compile(rb'"name"\s*:\s*"((?:[^"\\]|\\.)*)"')
_SHAPES = re.compile(rb'"Input Dims"\s*:\s*(\[[\[\]\s\d,]*\])')
_FRAME = re.compile(r"nn\.Module: (.*)_(\d+)")
_SCOPE = re.compile(r"tracekit:(\d+):\D*\.(\d+)(?:\..*)?")  # its index and the number of its layer

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True)
class LargeTrace:
    """What was made: the plain file, its size and events, and the share of events with text of their own."""

    plain: str
    compressed: str
    bytes: int
    compressed_bytes: int
    events: int
    copies: int
    own_share: float
    source: int  # checksum of the trace that it was made from


@dataclass(frozen=True)
class Edit:
    """Digits at `start` to `end` of a text, which become `first` + `step` × the number of the copy."""

    start: int
    end: int
    first: int
    step: int
    before: bytes = b""


class Template:
    """A text in which numbers count on from copy to copy."""

    def __init__(self, text: bytes, edits: Sequence[Edit]) -> None:
        parts, behind = [], 0
        for edit in edits:
            parts.append(text[behind : edit.start].replace(b"%", b"%%") + edit.before + b"%d")
            behind = edit.end
        self._format = b"".join(parts) + text[behind:].replace(b"%", b"%%")
        self._first = np.array([edit.first for edit in edits], np.int64)
        self._step = np.array([edit.step for edit in edits], np.int64)

    def copy(self, number: int) -> bytes:
        return self._format % tuple((self._first + number * self._step).tolist())


class SmallTrace:
    """A trace to be repeated: its text, and a template of the events that come again."""

    def __init__(self, path: Path, share: float) -> None:
        raw = path.read_bytes()
        self.checksum = zlib.crc32(raw)
        self.text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        self.events, self.spans = _events_of(self.text)
        self.again = [i for i, event in enumerate(self.events) if event.get("ph") != "M"]
        self.steps = _steps([self.events[i] for i in self.again])
        self.own = _own_edits(self.events, self._event_text, share) if share else {}
        self.template = self._template()

    def _event_text(self, number: int) -> bytes:
        begin, end = self.spans[number]
        return self.text[begin:end]

    def _template(self) -> Template:
        separator = self.text[self.spans[0][1] : self.spans[1][0]]
        text, edits, length = [], [], 0
        for number in self.again:
            event = self._event_text(number)
            found = [
                Edit(match.start(2), match.end(2), int(match[2]), self.steps[_COUNTS[match[1].decode()]])
                for match in _NUMBER.finditer(event)
            ]
            offset = length + len(separator)
            edits += [
                replace(edit, start=edit.start + offset, end=edit.end + offset)
                for edit in sorted([*found, *self.own.get(number, ())], key=lambda edit: edit.start)
            ]
            text += [separator, event]
            length = offset + len(event)
        return Template(b"".join(text), edits)

    def copies(self, wanted_bytes: float) -> Iterator[tuple[bytes, int]]:
        """Pieces of text of `wanted_bytes` or a little more in all, each with how many events it holds."""
        end = self.spans[-1][1]
        if wanted_bytes < len(self.text):
            kept = max(1, sum(1 for begin, _ in self.spans if begin < wanted_bytes))
            yield self.text[: self.spans[kept - 1][1]], kept
            yield self.text[end:], 0
            return
        yield self.text[:end], len(self.events)
        written, number = len(self.text), 1
        while written < wanted_bytes:
            copy = self.template.copy(number)
            yield copy, len(self.again)
            written, number = written + len(copy), number + 1
        yield self.text[end:], 0

    def check(self, number: int) -> None:
        """Raises ValueError unless the copy decodes to the events that it should hold, value by value."""
        copied = _decode(b"[" + self.template.copy(number).lstrip(b" \t\r\n,") + b"]")
        for position, event in zip(self.again, copied, strict=True):
            wanted = self._expected(self.events[position], number)
            if position in self.own and (
                event["name"] == wanted["name"] and _shapes(event) == _shapes(wanted)
            ):
                raise ValueError(f"event {position} should have a name or shapes of its own")
            if position in self.own:
                event["name"] = wanted["name"]
                if "Input Dims" in event.get("args", {}):
                    event["args"]["Input Dims"] = _shapes(wanted)
            if event != wanted:
                raise ValueError(f"event {position} cannot be repeated: {event} is not {wanted}")

    def _expected(self, event: dict[str, Any], number: int) -> dict[str, Any]:
        def counted(values: dict[str, Any]) -> dict[str, Any]:
            shifted = dict(values)
            for key in _COUNTS.keys() & values.keys():
                if isinstance(values[key], int | Decimal) and values[key] >= 0:
                    shifted[key] = values[key] + number * self.steps[_COUNTS[key]]
            return shifted

        wanted = counted(event)
        if isinstance(event.get("args"), dict):
            wanted["args"] = counted(event["args"])
        return wanted


def _shapes(event: dict[str, Any]) -> Any:
    return (event.get("args") or {}).get("Input Dims")


def _events_of(text: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """The events of a trace, and where each stands in its text."""

    class Document(msgspec.Struct):
        traceEvents: list[msgspec.Raw]  # noqa: N815

    spans, end = [], 0
    raw = msgspec.json.decode(text, type=Document).traceEvents
    for one in map(bytes, raw):
        begin = text.index(one, end)
        end = begin + len(one)
        spans.append((begin, end))
    return [_decode(one) for one in raw], spans


def _steps(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How far each count is from one copy to the next, so that no number comes twice."""
    times = [event["ts"] for event in events if "ts" in event]
    ends = [event["ts"] + event.get("dur", 0) for event in events if "ts" in event]
    largest: Counter[str] = Counter()
    for event in events:
        for key, value in (*event.items(), *(event.get("args") or {}).items()):
            if key in _COUNTS and isinstance(value, int):
                largest[_COUNTS[key]] = max(largest[_COUNTS[key]], value)
    steps = {count: largest[count] + 1 for count in _COUNTS.values()}
    return {**steps, "ts": math.ceil(max(ends) - min(times)) + GAP_US}


def _own_edits(
    events: Sequence[dict[str, Any]], text_of: Callable[[int], bytes], share: float
) -> dict[int, list[Edit]]:
    """By the position of an event, what makes its name or shapes those of the copy."""
    every = round(1 / share)
    steps = _module_steps(events)
    chosen = _chosen_names(events, every)
    own: dict[int, list[Edit]] = {}
    shaped = 0
    for position, event in enumerate(events):
        text = text_of(position)
        edits = _name_edits(text, event, steps) if _name(event) in chosen else []
        if shapes := _shape_edits(text):
            shaped += 1
            edits += shapes if shaped % every == 0 else []
        if edits:
            own[position] = edits
    return own


def _chosen_names(events: Sequence[dict[str, Any]], every: int) -> set[str]:
    """The names of kernels and modules that become the copy's own."""
    names = list(dict.fromkeys(map(_name, events)))
    kernels = _every(every, [event["name"] for event in events if event.get("cat") == "kernel"])
    frames = [match for match in map(_FRAME.fullmatch, names) if match]
    types = Counter(match[1] for match in frames)
    # A type of which there is one alone may be the model, whose calls are what a trace is divided by.
    modules = _every(every, [match[0] for match in frames if types[match[1]] > 1])
    scopes = [match for match in map(_SCOPE.fullmatch, names) if match]
    layers = _every(every, [match[2] for match in scopes])
    return kernels | modules | {match[0] for match in scopes if match[2] in layers}


def _name_edits(text: bytes, event: dict[str, Any], steps: dict[str, int]) -> list[Edit]:
    name, found = _name(event), _NAME.search(text)
    if found is None:
        return []
    start, end = found.span(1)
    if match := _FRAME.fullmatch(name):
        return [Edit(end - len(match[2]), end, int(match[2]), steps["frame"])]
    if match := _SCOPE.fullmatch(name):
        return [
            Edit(start + match.start(i), start + match.end(i), int(match[i]), steps[count])
            for i, count in ((1, "scope"), (2, "layer"))
        ]
    return [Edit(end, end, 0, 1, b"_")]


def _shape_edits(text: bytes) -> list[Edit]:
    """One size of the shapes of an op, wherever it stands in them: the factors of a product still fit."""
    shapes = _SHAPES.search(text)
    sizes = list(re.finditer(rb"\d+", shapes[1])) if shapes else []
    size = next((one[0] for one in sizes if int(one[0]) > 1), None)
    if shapes is None or size is None:
        return []
    begin = shapes.start(1)
    return [Edit(begin + one.start(), begin + one.end(), int(size), 1) for one in sizes if one[0] == size]


def _module_steps(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    largest: Counter[str] = Counter()
    for name in {_name(event) for event in events}:
        if match := _FRAME.fullmatch(name):
            largest["frame"] = max(largest["frame"], int(match[2]))
        if match := _SCOPE.fullmatch(name):
            largest["scope"] = max(largest["scope"], int(match[1]))
            largest["layer"] = max(largest["layer"], int(match[2]))
    return {count: largest[count] + 1 for count in ("frame", "scope", "layer")}


def _name(event: dict[str, Any]) -> str:
    return str(event.get("name"))


def _every(every: int, names: Sequence[str]) -> set[str]:
    """One of so many distinct names, at least one if there is any."""
    distinct = list(dict.fromkeys(names))
    return set(distinct[min(every // 2, len(distinct) - 1) :: every]) if distinct else set()


def make(trace: Path, folder: Path, gigabytes: Sequence[float], share: float = 0.0) -> list[LargeTrace]:
    """Writes `trace` repeated to each size into `folder`, plain and compressed, unless it is there."""
    small = SmallTrace(trace, share)
    small.check(1)
    return [_make(small, trace, folder, size, share) for size in gigabytes]


def _make(small: SmallTrace, trace: Path, folder: Path, gigabytes: float, share: float) -> LargeTrace:
    name = trace.name.removesuffix(".gz").removesuffix(".json")
    plain = folder / f"{name}-{gigabytes:g}GB{f'-diverse{share:g}' if share else ''}.json"
    compressed, made = plain.with_suffix(".json.gz"), plain.with_suffix(".made")
    if made.exists() and plain.exists() and compressed.exists():
        known = LargeTrace(**json.loads(made.read_text()))
        if known.source == small.checksum:
            return known
    made.unlink(missing_ok=True)
    events = copies = 0
    with plain.open("wb") as out, igzip.open(compressed, "wb", compresslevel=FAST_LEVEL) as zipped:
        for piece, count in small.copies(gigabytes * 1e9):
            out.write(piece)
            zipped.write(piece)
            events, copies = events + count, copies + (count > 0)
    done = LargeTrace(
        plain=str(plain),
        compressed=str(compressed),
        bytes=plain.stat().st_size,
        compressed_bytes=compressed.stat().st_size,
        events=events,
        copies=copies,
        own_share=len(small.own) / len(small.again),
        source=small.checksum,
    )
    made.write_text(json.dumps(asdict(done)))
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="0.1,0.3,1", help="of the JSON, in GB (0.1,0.3,1)")
    parser.add_argument("--diverse", type=float, default=0.0, metavar="SHARE", help="at most 1 (0)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = [float(size) for size in options.sizes.split(",")]
    made = make(options.trace, options.folder, sizes, options.diverse)
    print(json.dumps([asdict(one) for one in made]))


if __name__ == "__main__":
    main()
