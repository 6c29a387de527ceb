"""A copy of a trace with more events behind its own: a stream of bytes, of which none is decoded.

What reading found that is no JSON, and where the file ends too early, is mended on the way: the copy is JSON.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from tracekit.messages import N_, UserError
from tracekit.trace.columns import Layout
from tracekit.trace.salvage import NO_EVENT, Stretch, salvage


def with_events(
    path: Path, layout: Layout, pieces: Iterable[bytes], events: Iterable[bytes]
) -> Iterator[bytes]:
    """The decompressed `pieces` of the trace at `path`, which was read with this layout, and in it `events`.

    Each of `events` is the JSON of one. Raises `UserError` where the file is not the one that was read.
    """
    return _as_utf8(_with_events(_Source(path, pieces), layout, events))


def _as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces with U+FFFD for what is no UTF-8: reading does not look into strings that nobody reads."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    is_between_characters = True
    for piece in pieces:
        if not (is_between_characters and piece.isascii()):
            piece = decoder.decode(piece).encode()
            is_between_characters = not decoder.getstate()[0]
        yield piece


def _with_events(source: _Source, layout: Layout, events: Iterable[bytes]) -> Iterator[bytes]:
    if not layout.sound_head:
        yield b"".join((b"{", *(member + b"," for member in _members(layout.head)), b'"traceEvents":['))
        source.skip(layout.events_start)
    stretches = [(one.begin, one.end, one) for one in layout.damaged]
    lost = [(begin, end, None) for begin, end in layout.lost]
    for begin, end, stretch in sorted([*stretches, *lost], key=lambda one: one[:2]):
        yield from source.until(begin)
        yield (stretch and _salvaged(source, stretch, layout.is_list)) or NO_EVENT
        source.skip(end)
        if end < layout.events_end:
            yield b","
    yield from source.until(layout.events_end)
    separator = b",\n" if layout.events_end > layout.events_start else b"\n"
    for event in events:
        yield separator
        yield event
        separator = b",\n"
    yield b"\n"
    if layout.closing is not None:
        source.skip(layout.closing)
        source.expect(b"]")
    yield b"]"
    if layout.closing is not None and layout.sound_tail:
        yield from source.rest()
    elif not layout.is_list:
        yield b"".join((*(b"," + member for member in _members(layout.tail)), b"}"))


def _members(metadata: Mapping[str, Any]) -> Iterator[bytes]:
    """Of an object, as JSON."""
    for name, value in metadata.items():
        yield msgspec.json.encode(name) + b":" + msgspec.json.encode(value)


def _salvaged(source: _Source, stretch: Stretch, is_list: bool) -> bytes:
    """What reading made of the stretch that begins here; leaves in `source` what it did not take."""
    text = b"".join(source.until(stretch.text_end))
    source.give_back(text[stretch.end - stretch.begin :])
    return salvage(text, stretch.ending, is_list).for_copy


class _Source:
    """Bytes up to a position that is given; `UserError` where they end before it."""

    def __init__(self, path: Path, pieces: Iterable[bytes]) -> None:
        self._path = path
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")
        self._offset = 0  # of the piece

    def until(self, position: int) -> Iterator[bytes]:
        while self._offset < position:
            if not self._piece:
                self._piece = memoryview(self._next())
            taken = self._piece[: position - self._offset]
            self._piece = self._piece[len(taken) :]
            self._offset += len(taken)
            yield bytes(taken)

    def skip(self, position: int) -> None:
        for _ in self.until(position):
            pass

    def give_back(self, text: bytes) -> None:
        """Takes back the text that was taken last."""
        self._piece = memoryview(text + self._piece)
        self._offset -= len(text)

    def expect(self, text: bytes) -> None:
        if b"".join(self.until(self._offset + len(text))) != text:
            raise self._changed()

    def rest(self) -> Iterator[bytes]:
        """What is left, without the zeros that pad some files."""
        for piece in chain([bytes(self._piece)], self._pieces):
            yield piece.replace(b"\0", b"")

    def _next(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise self._changed()
        return piece

    def _changed(self) -> UserError:
        return UserError(N_("{path}: was changed while it was read; try again", path=self._path))
