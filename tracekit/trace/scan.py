"""Looks for events in JSON text, sound or not, without decoding it.

In sound JSON, a brace that is followed by a quoted key and a colon opens an object, as within a string the
quote would end it. So events are found by how they begin, also behind text that is no JSON.
"""

from __future__ import annotations

import re
from collections import deque

PHASE = re.compile(rb'"ph"\s*:')
"""Every event has this key once."""

# A whole string, or a bracket, or the quote that opens a string without an end.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}"]', re.DOTALL)
_FIRST_KEY = re.compile(rb'\s*\{\s*"([^"\\]{1,32})"\s*:')
_WINDOW_BYTES = 1 << 12
_PHASE_FIRST = re.compile(rb'\{\s*"ph"\s*:')
# An event begins with its phase, or behind another object with another key that events have.
_START = re.compile(
    rb'\{\s*"ph"\s*:|(?<![:\s])\s*(\{\s*"(?:name|cat|pid|tid|ts|dur|args|id|s|bp|cname)"\s*:)'
)

_OBJECT = re.compile(rb'\}\s*,\s*\{\s*"([^"\\]{1,32})"\s*:')


class Boundary:
    """Where an event begins behind a comma: with its phase, or as the first event does."""

    def __init__(self, text: bytes) -> None:
        match = _FIRST_KEY.match(text)
        self._pattern = _boundary(b"ph" if match is None else b"ph|" + re.escape(match[1]))

    def learn(self, text: bytes) -> bool:
        """Takes events to begin as the last object in `text` does that follows another; False without one."""
        objects = deque(_OBJECT.finditer(text), maxlen=1)
        if objects:
            self._pattern = _boundary(b"ph|" + re.escape(objects[0][1]))
        return bool(objects)

    def last(self, text: bytes) -> tuple[int, int] | None:
        """The last comma between two events in `text`, and the start of the event behind it."""
        window = _WINDOW_BYTES
        while True:
            begin = max(0, len(text) - window)
            matches = deque(self._pattern.finditer(text, begin), maxlen=1)
            if matches:
                return matches[0].start(), matches[0].start(1)
            if begin == 0:
                return None
            window *= 8


def _boundary(keys: bytes) -> re.Pattern[bytes]:
    return re.compile(rb',\s*(\{\s*"(?:' + keys + rb')"\s*:)')


def event_starts(text: bytes) -> list[int]:
    """Where events seem to begin in `text`; an object in a list in an event can seem to be one, too."""
    return [match.start(1) if match[1] else match.start() for match in _START.finditer(text)]


def next_event(text: bytes) -> int | None:
    """Where the first event that begins with its phase, as Kineto's do, begins in `text`."""
    match = _PHASE_FIRST.search(text)
    return match.start() if match else None


def count_events(text: bytes) -> int:
    """How many events, or parts of events that have their phase, are in `text`."""
    return sum(1 for _ in PHASE.finditer(text))


def scan_value(text: bytes, begin: int, end: int | None = None) -> int | None:
    """The end of the object or list that opens at or behind `begin`; None where it has none up to `end`."""
    depth = 0
    for token in _TOKEN.finditer(text, begin, len(text) if end is None else end):
        mark = text[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
            if depth <= 0:
                return token.end() if depth == 0 else None
        elif token.end() - token.start() == 1:
            return None
    return None


def open_brackets(text: bytes) -> bytes:
    """The brackets that are open at the end of `text`, outermost first."""
    return bytes(text[position] for position in _nested(text, 0, set()))


def inner_brackets(text: bytes, begin: int) -> set[int]:
    """Where in `text`, from `begin` on, a `]` closes a list that was opened there."""
    closing: set[int] = set()
    _nested(text, begin, closing)
    return closing


def _nested(text: bytes, begin: int, closing: set[int]) -> list[int]:
    """Where the brackets stand that stay open; adds to `closing` where a list is closed by its bracket."""
    opened: list[int] = []
    for token in _TOKEN.finditer(text, begin):
        mark = text[token.start()]
        if mark in b"{[":
            opened.append(token.start())
        elif mark in b"}]" and opened and text[opened[-1]] == mark - 2:  # in ASCII, { } and [ ] are two apart
            opened.pop()
            if mark in b"]":
                closing.add(token.start())
        elif token.end() - token.start() == 1 and mark in b'"':
            break
    return opened


def find_key(text: bytes, key: re.Pattern[bytes]) -> re.Match[bytes] | None:
    """The first match of `key`, a string and what follows, right in the object that `text` begins with."""
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
        elif depth == 1 and (match := key.match(text, token.start())):
            return match
    return None


_TOKEN_OR_COMMA = re.compile(_TOKEN.pattern + rb"|,", re.DOTALL)


def last_pair(text: bytes) -> int | None:
    """Where the last whole `key: value` of the object ends with which `text` begins and which it cuts off."""
    depth, found = 0, None
    for token in _TOKEN_OR_COMMA.finditer(text):
        mark = text[token.start()]
        if mark in b"{[":
            depth += 1
        elif mark in b"}]":
            depth -= 1
        elif mark in b"," and depth == 1:
            found = token.start()
    return found
