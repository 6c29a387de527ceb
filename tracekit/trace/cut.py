"""Cuts the text of a trace, as it streams in, into head, chunks of whole events, and tail; decodes none."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from tracekit.trace.events import DECODE_ERRORS, decode_raw
from tracekit.trace.metadata import Behind, Head, find_head, read_behind
from tracekit.trace.scan import Boundary, count_events, next_event, scan_value

CHUNK_BYTES = 1 << 20
EVENT_LIMIT_BYTES = 32 << 20
BLIND_LIMIT_BYTES = 64 << 20
METADATA_LIMIT_BYTES = 64 << 20

_SEAM_BYTES = 64
_OVERLAP_BYTES = 1 << 10
_BLANK = b" \t\r\n"
_BETWEEN = b"," + _BLANK
_CLOSING = re.compile(rb"[\s,]*(\])(?=\s*(?:[,}]|$))")
_CLOSING_OF_LIST = re.compile(rb"[\s,]*(\])(?!\s*[,\]}])")
_FOLLOWING = re.compile(rb"\s*,\s*(?=\{)")
_CLOSED = re.compile(rb"(\])\s*\}?\s*$")


class Chunk(NamedTuple):
    """Events as they stand in the decompressed file from `begin` on."""

    text: bytes  # between two commas
    begin: int
    separator: bytes = b""  # the comma and the blanks behind it
    has_more: bool = False  # other events follow

    @property
    def end(self) -> int:
        """Where the next event begins."""
        return self.begin + len(self.text) + len(self.separator)


class Lost(NamedTuple):
    """A stretch of the file so long without the beginning of an event that nobody kept it."""

    begin: int
    end: int
    events: int
    is_event: bool  # it begins as one does


class Cutter:
    """Takes pieces of text with `feed`, which gives the next chunk where there is one, and `finish`."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.events_start = 0
        self.closing: int | None = None  # of the `]` behind the events
        self.events_end = 0  # behind the last event of the chunks that others follow
        self.lost: list[Lost] = []
        self.size = 0  # of all text that was fed
        self.gave_up = False  # so much is no trace that the rest is not worth reading
        self._text = b""
        self._offset = 0  # of that text in the file
        self._pieces: list[bytes] = []  # behind it
        self._missing = 1  # bytes, before it is worth looking again
        self._boundary = Boundary(b"")
        self._losing: Lost | None = None
        self._tail = _Tail()

    def feed(self, piece: bytes) -> Chunk | None:
        """The next chunk, if `piece` makes it whole."""
        self.size += len(piece)
        if self.closing is not None:
            self._tail.add(piece)
            return None
        self._pieces.append(piece)
        self._missing -= len(piece)
        if self._missing > 0:
            return None
        self._gather()
        if self.head is None and not self._find_head(len(self._text) > METADATA_LIMIT_BYTES):
            self.gave_up = len(self._text) > METADATA_LIMIT_BYTES
            self._missing = len(self._text)
            return None
        if self._losing and not self._find_again():
            return None
        self._missing = CHUNK_BYTES - len(self._text)
        return self._next_chunk() if self._missing <= 0 else None

    def finish(self) -> Chunk | None:
        """The last chunk, at the end of the file."""
        if self.closing is not None:
            return None
        self._gather()
        if self.head is None and not self._find_head(complete=True):
            return None
        if self._losing and not self._find_again():
            self._lose_to_the_end(self._losing)
            return None
        if (chunk := self._last_chunk()) is None:
            text = self._text.rstrip(_BETWEEN)
            chunk = Chunk(text, self._offset, self._text[len(text) :]) if text else None
        return chunk

    def give_back(self, chunk: Chunk, position: int) -> None:
        """Takes back what stands from `position` on in the last chunk, as it goes on behind it."""
        self._text = chunk.text[position:] + chunk.separator + self._text
        self._offset = chunk.begin + position
        self.events_end = chunk.begin + len(chunk.text[:position].rstrip(_BETWEEN))

    def close(self, chunk: Chunk, position: int) -> None:
        """Says that the list of events ends at `position` in the last chunk."""
        self.closing = chunk.begin + position
        self._gather()
        self._tail.add(chunk.text[position + 1 :] + chunk.separator)
        if chunk.has_more:
            self._tail.add(self._text)
        self._text = b""

    def behind(self) -> Behind:
        """What stands behind the events."""
        return self._tail.read(self.head is not None and self.head.is_list)

    def beginning(self) -> bytes:
        """The text that is no trace, where no head was found."""
        return self._text[:1024]

    def _gather(self) -> None:
        self._text = b"".join((self._text, *self._pieces))
        self._pieces = []

    def _drop(self, count: int) -> None:
        self._text = self._text[count:]
        self._offset += count

    def _find_head(self, complete: bool) -> bool:
        self.head = find_head(self._text, complete)
        if self.head is None:
            return False
        self._drop(self.head.events_start)
        self.events_start = self._offset
        self._boundary = Boundary(self._text)
        return True

    def _next_chunk(self) -> Chunk | None:
        boundary = self._boundary.last(self._text)
        if boundary is None:
            return self._without_boundary()
        comma, start = boundary
        chunk = Chunk(self._text[:comma], self._offset, self._text[comma:start], has_more=True)
        self.events_end = self._offset + comma
        self._drop(start)
        self._missing = CHUNK_BYTES - len(self._text)
        return chunk

    def _without_boundary(self) -> Chunk | None:
        """The last event, one that is longer than a chunk, or no event at all."""
        if (chunk := self._last_chunk()) is not None:
            return chunk
        self._missing = len(self._text)
        if len(self._text) > EVENT_LIMIT_BYTES:
            if self._boundary.learn(self._text):  # the first event began as no other does
                return self._next_chunk()
            is_event = self._text.lstrip(_BETWEEN).startswith(b"{")
            self._losing = Lost(self._offset, self._offset, 0, is_event)
            self._forget(self._losing)
        return None

    def _last_chunk(self) -> Chunk | None:
        """The text up to the end of the events, if that is found."""
        text = self._text
        boundary = self._boundary.last(text)
        found = self._find_closing(boundary[1] if boundary else 0)
        if boundary and not (found and _are_whole(text[: found[0]])):
            # What seems to begin at the boundary may be a part of an event.
            other = self._find_closing(0)
            if other and (_are_whole(text[: other[0]]) or not found or other[0] > found[0]):
                found = other
        if found is None:
            return None
        end, closing = found
        self.closing = self._offset + closing.start(1)
        self._tail.add(text[closing.end() :])
        self._text = b""
        events = text[: closing.start(1)].rstrip(_BLANK)  # with the commas behind them, which are too many
        return Chunk(events, self._offset) if end else None

    def _find_closing(self, begin: int) -> tuple[int, re.Match[bytes]] | None:
        """Where the last of the events ends that begin with one at `begin`, and what closes their list."""
        text = self._text
        pattern = _CLOSING_OF_LIST if self.head and self.head.is_list else _CLOSING
        if closing := pattern.match(text):
            return 0, closing
        end = scan_value(text, begin)
        while end is not None and (following := _FOLLOWING.match(text, end)):
            end = scan_value(text, following.end())
        if end is None or (closing := pattern.match(text, end)) is None:
            return None
        return end, closing

    def _find_again(self) -> bool:
        """Whether an event begins in the text at last; what stands before it is lost."""
        losing = self._losing
        if losing is None:
            return True
        start = next_event(self._text)
        if start is None:
            self._forget(losing)
            return False
        events = losing.events + count_events(self._text[:start])
        self.lost.append(losing._replace(end=self._offset + start, events=max(1, events)))
        self._losing = None
        self._drop(start)
        return True

    def _forget(self, losing: Lost) -> None:
        """Keeps no more of a lost stretch than may be the beginning of an event."""
        forgotten = max(0, len(self._text) - _OVERLAP_BYTES)
        events = losing.events + count_events(self._text[:forgotten])
        self._drop(forgotten)
        self._losing = losing._replace(end=self._offset, events=events)
        self._missing = 1
        self.gave_up = self._offset - losing.begin > BLIND_LIMIT_BYTES

    def _lose_to_the_end(self, losing: Lost) -> None:
        events, end = max(1, losing.events + count_events(self._text)), len(self._text)
        # Where reading gave up, more is behind this text than is known: it closes nothing.
        closed = None if self.gave_up else _CLOSED.search(self._text)
        if closed:
            end = closed.start(1)
            self.closing = self._offset + end
            self._tail.add(self._text[closed.end(1) :])
        self.lost.append(losing._replace(end=self._offset + end, events=events))


def _are_whole(events: bytes) -> bool:
    try:
        decode_raw(b"[" + events + b"]")
    except DECODE_ERRORS:
        return False
    return True


class _Tail:
    """The text behind the events, up to a limit; beyond it, how much there is."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._more_bytes = 0
        self._more_events = 0
        self._seam = b""  # the end of the last piece, where half an event's phase may stand

    def add(self, piece: bytes) -> None:
        if len(self._text) < METADATA_LIMIT_BYTES:
            self._text += piece
            return
        self._more_bytes += len(piece)
        self._more_events += count_events(self._seam + piece) - count_events(self._seam)
        self._seam = piece[-_SEAM_BYTES:]

    def read(self, is_list: bool) -> Behind:
        behind = read_behind(bytes(self._text), is_list)
        if not self._more_bytes:
            return behind
        return replace(
            behind,
            sound=False,
            is_closed=True,
            extra_bytes=behind.extra_bytes + self._more_bytes,
            extra_events=behind.extra_events + self._more_events,
        )
