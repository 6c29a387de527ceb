"""Cuts a stream of JSON into the text before the events, lists of whole events, and the text behind.

No JSON is parsed here while all is well: a cut is guessed at a likely place and the decoder, which
would not accept a part of an object, proves it. Where it refuses, `scan` finds the boundaries exactly.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

import msgspec

_BETWEEN_EVENTS = re.compile(rb"\}\s*,\s*\{")
_EVENTS_KEY = re.compile(rb'"traceEvents"\s*:\s*\[')
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_WINDOW_BYTES = 1 << 16


@dataclass(frozen=True)
class Head:
    """Where the events begin, and the metadata that stands before them."""

    events_start: int
    metadata: dict[str, object]
    sound: bool = True
    is_list: bool = False  # the file is the list of events itself


def find_head(text: bytes, complete: bool) -> Head | None:
    """The head of a trace, or None where `text` does not hold it whole (yet).

    With `complete`, a head whose metadata cannot be decoded is accepted, unsound.
    """
    stripped = text.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped.startswith(b"["):
        return Head(len(text) - len(stripped) + 1, {}, is_list=True)
    first = None
    for match in _EVENTS_KEY.finditer(text):
        first = first or match
        metadata = decode_object(text[len(text) - len(stripped) : match.end()] + b"]}")
        if metadata is not None:
            return Head(match.end(), metadata)
    if complete and first and stripped.startswith(b"{"):
        return Head(first.end(), {}, sound=False)
    return None


def last_boundary(text: bytes | bytearray) -> tuple[int, int] | None:
    """A likely end of the last whole event in `text` and the start of the next, else None."""
    window = _WINDOW_BYTES
    while True:
        start = max(0, len(text) - window)
        matches = deque(_BETWEEN_EVENTS.finditer(text, start), maxlen=1)
        if matches:
            return matches[0].start() + 1, matches[0].end() - 1
        if start == 0:
            return None
        window *= 8


@dataclass(frozen=True)
class Scan:
    """The exact spans of whole events in a text that starts between events."""

    spans: list[tuple[int, int]]
    array_end: int | None  # position behind the `]` that closes the events


def scan(text: bytes | bytearray) -> Scan:
    """Spans of the whole events at the start of `text`, by counting brackets outside strings."""
    spans: list[tuple[int, int]] = []
    depth = begin = 0
    for token in _TOKENS.finditer(text):
        mark = text[token.start()]
        if mark in b"{[":
            if depth == 0:
                begin = token.start()
            depth += 1
        elif mark in b"}]":
            if depth == 0:
                return Scan(spans, token.end())
            depth -= 1
            if depth == 0:
                spans.append((begin, token.end()))
    return Scan(spans, None)


def first_boundary(text: bytes | bytearray) -> tuple[int, int] | None:
    """Where the first event seems to end, and the next one to start, when the first one never ends."""
    match = _BETWEEN_EVENTS.search(text)
    return (match.start() + 1, match.end() - 1) if match else None


def decode_object(text: bytes) -> dict[str, object] | None:
    """The JSON object in `text` without its `traceEvents`, or None where it is not one."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    value.pop("traceEvents", None)
    return value


def is_json(text: bytes) -> bool:
    """Whether `text` is a whole JSON document of any kind."""
    try:
        msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
