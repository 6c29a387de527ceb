"""The strict way: a chunk of events is decoded whole, or not at all."""

from __future__ import annotations

from tracekit.trace.build import ColumnsBuilder
from tracekit.trace.events import DECODE_ERRORS, decode_events


def decode_chunk(text: bytes, begin: int, builder: ColumnsBuilder) -> bool:
    """Whether `text`, at `begin` in the file, is events that were all decoded; then `builder` has them."""
    if not text.strip():
        return False
    listed = b"".join((b"[", text, b"]"))
    try:
        events = decode_events(listed)
    except DECODE_ERRORS:
        return False
    builder.add(events, listed, begin - 1)
    return True
