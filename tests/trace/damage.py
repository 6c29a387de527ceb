"""A small sound trace, and what damages one of its events: a function each, from the event's text to another.

What a reader has to make of it stands in the tests; who writes such files, in the docstrings here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.builder import Event, TraceBuilder

SEPARATOR = b",\n"
HEAD = (
    b'{\n"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}],\n'
    b'"traceEvents": [\n'
)
TAIL = b'\n],\n"traceName": "trace.json", "displayTimeUnit": "ms"\n}\n'

LOG = b"[W1201 12:00:00.1 CUDAGuardImpl.h:124] Warning: {'x': \"y\"} (function destroyEvent)\n"


@dataclass(frozen=True)
class Sound:
    """A sound trace in parts."""

    events: list[Event]
    texts: list[bytes]  # of the events
    head: bytes = HEAD
    tail: bytes = TAIL

    def document(
        self, changed: dict[int, bytes] | None = None, separators: dict[int, bytes] | None = None
    ) -> bytes:
        """The text with some events' texts changed, or the separators behind some."""
        texts = [(changed or {}).get(i, text) for i, text in enumerate(self.texts)]
        behind = [(separators or {}).get(i, SEPARATOR) for i in range(len(texts) - 1)]
        behind.append((separators or {}).get(len(texts) - 1, b""))
        return (
            self.head
            + b"".join(part for pair in zip(texts, behind, strict=True) for part in pair)
            + self.tail
        )

    def begin(self, position: int) -> int:
        """Byte offset of an event in the sound document."""
        return len(self.head) + sum(len(text) + len(SEPARATOR) for text in self.texts[:position])


def sound_trace(groups: int = 5) -> Sound:
    """Groups of an op, a launch, a kernel, a frame and a user range: events 5·g … 5·g + 4, each 100 µs.

    No two events are alike, and each has every field that a damage here is done to.
    """
    builder = TraceBuilder()
    for group in range(groups):
        start = 100 * group
        builder.op(
            f"aten::mm_{group}", start + 10, start + 30.5, [[group, 3], [3, 4]], ["float", "float"], ["", ""]
        )
        builder.launch(group + 1, start + 12, start + 13.25)
        builder.kernel(group + 1, start + 40, start + 45.5, name=f"gemm_{group}")
        builder.frame(f"Linear_{group}", start + 5, start + 35, args={"Python id": group})
        builder.range(f"step_{group}", start + 1, start + 50, args={"External id": group})
    return Sound(builder.events, [json.dumps(event).encode() for event in builder.events])


def in_name(event: bytes, raw: bytes) -> bytes:
    """The event with `raw` at the end of its name: file names, C++ templates, text that users give."""
    return re.sub(rb'("name": "[^"]*)', lambda match: match[1] + raw, event, count=1)


def in_args(event: bytes, raw: bytes) -> bytes:
    """The event with a member at the start of its `args`, under a name that no reader looks for."""
    return _replaced(event, b'"args": {', b'"args": {"note": ' + raw + b", ")


def with_value(event: bytes, key: str, raw: bytes) -> bytes:
    """The event with another value under a key of its own (not of its `args`).

    C++ streams print doubles that are none as `nan` or `inf`, Python's json as `NaN` and `Infinity`, and
    tools that edit traces make numbers strings.
    """
    return re.sub(rb'("%s": )("[^"]*"|[^,]*)' % key.encode(), lambda match: match[1] + raw, event, count=1)


def without(event: bytes, key: str) -> bytes:
    """The event without a key of its own: instants that a tool has made complete events."""
    return re.sub(rb'"%s": ("[^"]*"|[^,]*), ' % key.encode(), b"", event, count=1)


def twice(event: bytes, key: str, first: bytes) -> bytes:
    """The event with another value under the same key before its own: exporters that append metadata."""
    return _replaced(
        event, b'"%s": ' % key.encode(), b'"%s": %s, "%s": ' % (key.encode(), first, key.encode())
    )


def lost(event: bytes, piece: bytes) -> bytes:
    """The event without the last such piece: disks that lose writes, and people who edit by hand."""
    before, found, behind = event.rpartition(piece)
    assert found
    return before + behind


def surplus(event: bytes, place: bytes, piece: bytes) -> bytes:
    """The event with a piece too many behind the first `place`: two buffers flushed into each other."""
    return _replaced(event, place, place + piece)


def in_python(event: bytes) -> bytes:
    """The event as `print` shows a Python dictionary: scripts that write traces without `json`."""
    return repr(json.loads(event)).encode()


def torn(event: bytes) -> bytes:
    """The first half of the event, up to the middle of its name: a buffer that was not flushed to its end."""
    return event[: event.index(b'"name": "') + 12]


def interrupted(event: bytes, line: bytes) -> bytes:
    """The event with a line of a log between two of its members: stdout that is the trace file as well."""
    return _replaced(event, b'"pid"', line + b'"pid"')


def commented(event: bytes, comment: bytes) -> bytes:
    """The event with a comment between two of its members: people who edit by hand."""
    return _replaced(event, b'"pid"', comment + b' "pid"')


def holed(document: bytes, begin: int, end: int) -> bytes:
    """Zero bytes in the place of the text: file systems after a crash, and sparse copies."""
    return document[:begin] + bytes(end - begin) + document[end:]


def overwritten(longer: bytes, shorter: bytes) -> bytes:
    """A shorter document written over a longer one without truncating it first."""
    return shorter + longer[len(shorter) :]


def _replaced(event: bytes, old: bytes, new: bytes) -> bytes:
    assert old in event
    return event.replace(old, new, 1)


def whole_events(document: bytes) -> tuple[list[Event], list[tuple[int, int]]]:
    """The events of a sound ASCII document and their spans, by the standard library alone.

    Decodes one event after the other, so it knows where each ends, which `json.loads` would not tell.
    """
    text = document.decode("ascii")
    decoder = json.JSONDecoder()
    opening = re.match(r"\s*\[", text) or re.search(r'"traceEvents"\s*:\s*\[', text)
    assert opening
    position = opening.end()
    events: list[Any] = []
    spans: list[tuple[int, int]] = []
    while True:
        while text[position] in ", \t\r\n":
            position += 1
        if text[position] == "]":
            return events, spans
        event, end = decoder.raw_decode(text, position)
        events.append(event)
        spans.append((position, end))
        position = end
