"""What stands before and behind the events of a trace: JSON, decoded as far as it is sound."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from itertools import islice

import msgspec

from tracekit.trace.events import DECODE_ERRORS
from tracekit.trace.mend import mendings
from tracekit.trace.scan import count_events, find_key, last_pair, open_brackets, scan_value

_EVENTS_KEY = re.compile(rb'"traceEvents"\s*:\s*\[')
_BLANK = b" \t\r\n"
_BETWEEN = b"," + _BLANK
_PADDING = b"\0" + _BLANK
_BEFORE_JSON = b"\xef\xbb\xbf" + _BLANK
_ENOUGH_BYTES = 1 << 20
_MOST_KEYS = 64

DOCUMENT_KEYS = frozenset(
    (
        "baseTimeNanoseconds",
        "deviceProperties",
        "displayTimeUnit",
        "distributedInfo",
        "otherData",
        "schemaVersion",
        "traceName",
        "tracekit",
        "trace_id",
    )
)
"""What stands beside the events in traces of the PyTorch profiler, and in no event."""


@dataclass(frozen=True)
class Head:
    """Where the events begin, and the metadata that stands before them."""

    events_start: int
    metadata: dict[str, object]
    sound: bool = True  # what stands before the events is JSON
    read: bool = True  # it could be read, as it stood or mended
    is_list: bool = False  # the file is the list of events itself


def find_head(text: bytes, complete: bool) -> Head | None:
    """The head of a trace, or None where `text` does not hold it whole (yet).

    A head that is no JSON is accepted where so much follows that it will not become any, or nothing.
    """
    stripped = text.lstrip(_BEFORE_JSON)
    if stripped.startswith(b"["):
        return Head(len(text) - len(stripped) + 1, {}, is_list=True)
    if not stripped.startswith(b"{"):
        return None
    first = _EVENTS_KEY.search(text)
    if first is None:
        return None
    # Where it should be, or where it could be if brackets or quotes are wrong.
    likely = [match] if (match := find_key(text, _EVENTS_KEY)) else []
    for match in (*likely, *islice(_EVENTS_KEY.finditer(text), _MOST_KEYS)):
        before = text[len(text) - len(stripped) : match.end()] + b"]}"
        if (metadata := decode_object(before)) is not None:
            del metadata["traceEvents"]
            return Head(match.end(), metadata)
        if (metadata := decode_mended(before)) is not None:
            del metadata["traceEvents"]
            return Head(match.end(), metadata, sound=False)
    is_nested = _is_beginning(text[len(text) - len(stripped) : first.start()])
    if not is_nested and (complete or len(text) - first.end() > _ENOUGH_BYTES):
        return Head(first.end(), {}, sound=False, read=False)
    return None


def _is_beginning(text: bytes) -> bool:
    """Whether `text` is sound as far as it goes, and ends before a key of an inner object."""
    opened = open_brackets(text)
    closed = opened[::-1].translate(bytes.maketrans(b"{[", b"}]"))
    return len(opened) > 1 and decode_object(text.rstrip(_BETWEEN) + closed) is not None


@dataclass(frozen=True)
class Behind:
    """What stands behind the events of a trace."""

    metadata: dict[str, object] = field(default_factory=dict)
    sound: bool = True  # it is JSON as it stands, up to the end of the file
    read: bool = True  # all of the metadata could be read, as it stood or mended
    mended: bool = False
    is_closed: bool = True  # the document ends before the file does
    extra_bytes: int = 0  # behind the end of the document
    extra_events: int = 0  # there, or in a second list of events


def read_behind(tail: bytes, is_list: bool) -> Behind:
    """Takes apart the text behind the `]` that closes the events."""
    if is_list:
        return _with_extra(Behind(), tail)
    text = b"{" + tail.lstrip(_BETWEEN)
    commas = tail[: len(tail) + 1 - len(text)].count(b",")
    if (metadata := decode_object(text)) is not None:
        return _of(metadata, mended=commas != bool(metadata))
    end = scan_value(text, 0)
    if end is not None:
        document, extra = text[:end], text[end:]
        if (metadata := decode_object(document)) is not None:
            return _with_extra(_of(metadata, mended=commas != bool(metadata)), extra)
        if (metadata := decode_mended(document)) is not None:
            return _with_extra(_of(metadata, mended=True), extra)
    if (metadata := decode_mended(text)) is not None:  # a string ended elsewhere than it seemed
        return _of(metadata, mended=True)
    if end is not None:
        return _with_extra(Behind(sound=False, read=False), text[end:])
    return _cut_off(text)


def _of(metadata: dict[str, object], mended: bool = False) -> Behind:
    """A second list of events is no metadata; nobody knows what it is."""
    if "traceEvents" not in metadata:
        return Behind(metadata, sound=not mended, mended=mended)
    second = metadata.pop("traceEvents")
    return Behind(
        metadata, not mended, mended=mended, extra_events=len(second) if isinstance(second, list) else 0
    )


def _with_extra(behind: Behind, extra: bytes) -> Behind:
    """What follows the document, but for blanks and zeros."""
    if not extra.strip(_PADDING):
        return behind
    return replace(
        behind,
        sound=False,
        extra_bytes=len(extra),
        extra_events=behind.extra_events + count_events(extra),
    )


def _cut_off(text: bytes) -> Behind:
    """What there is of an object that does not end."""
    if (metadata := decode_object(text.rstrip(_BETWEEN) + b"}")) is not None:
        return replace(_of(metadata), sound=False, is_closed=False)
    end = last_pair(text)
    metadata = None if end is None else decode_object(text[:end] + b"}")
    return replace(_of(metadata or {}), sound=False, read=False, is_closed=False)


def decode_object(text: bytes) -> dict[str, object] | None:
    """The JSON object in `text`, or None where it is not one."""
    try:
        value = msgspec.json.decode(text)
    except DECODE_ERRORS:
        value = _with_large_numbers(text)
    return value if isinstance(value, dict) else None


def _with_large_numbers(text: bytes) -> object:
    """What JSON allows and msgspec does not, numbers beyond those of a float, which become None.

    None where `text` is no JSON, or cannot be written as UTF-8.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _finite(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


def _no_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity are none of JSON's


def decode_mended(text: bytes) -> dict[str, object] | None:
    """The object in `text` after mending it, or None where that is of no help."""
    for mended in mendings(text):
        if (value := decode_object(mended.text)) is not None:
            return value
    return None


def is_json(text: bytes) -> bool:
    """Whether `text` is a whole JSON document of any kind."""
    return count_values(text.removeprefix(b"\xef\xbb\xbf")) == 1


def count_values(text: bytes) -> int:
    """How many JSON values are in `text` between commas; 0 where it is anything else."""
    values = b"[" + text + b"]"
    try:
        return len(msgspec.json.decode(values))
    except DECODE_ERRORS:
        pass
    try:  # numbers that are too large for msgspec, and halves of characters
        return len(json.loads(values, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return 0
