"""Times of events: from µs, as JSON numbers, to int64 nanoseconds, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.trace.columns import Ints
from tracekit.trace.events import FLOAT_EXACT_BELOW_US, Event, ExactTime, decode_times

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Clock:
    """Converts the times of the `events` that `text` was decoded to, from µs to int64 ns, losing none."""

    def __init__(self, events: Sequence[Event], text: bytes) -> None:
        self._events = events
        self._text = text
        self._exact: dict[int, ExactTime] = {}

    def to_ns(self, events: Sequence[Event], start: Floats, duration: Floats | None) -> tuple[Ints, Ints]:
        """Start and duration in ns of some of the events, whose times are these as floats."""
        # A large float has no fraction left to see; the durations tell whether the times have any,
        # and where there are none, they may have.
        is_whole = duration is not None and not (duration % 1).any() and not (start % 1).any()
        if not is_whole and np.any(np.abs(start) >= FLOAT_EXACT_BELOW_US):
            return self._to_ns_exactly(events)
        return _ns(start), np.zeros(len(start), np.int64) if duration is None else _ns(duration)

    def _to_ns_exactly(self, events: Sequence[Event]) -> tuple[Ints, Ints]:
        if not self._exact:
            times = decode_times(self._text)
            self._exact = {id(event): exact for event, exact in zip(self._events, times, strict=True)}
        exact = [self._exact[id(event)] for event in events]
        both = np.array(
            [(round((one.ts or 0) * 1000), round((one.dur or 0) * 1000)) for one in exact], np.int64
        )
        return both[:, 0].copy(), both[:, 1].copy()


def _ns(microseconds: Floats) -> Ints:
    """Integer part × 1000 + rounded fraction: a float times 1000 would lose nanoseconds."""
    whole = np.floor(microseconds)
    fraction = np.rint((microseconds - whole) * 1000)
    result: Ints = whole.astype(np.int64) * 1000 + fraction.astype(np.int64)
    return result
