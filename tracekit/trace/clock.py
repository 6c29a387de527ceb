"""Times of events: from µs, as JSON numbers, to int64 nanoseconds, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracekit.trace.columns import Ints
from tracekit.trace.events import FLOAT_EXACT_BELOW_US, Event, ExactTime, decode_times


class Clock:
    """Converts the times of a chunk's events from µs to int64 ns without losing any."""

    def __init__(self, events: list[Event], text: bytes) -> None:
        self._events = events
        self._text = text
        self._exact: list[ExactTime] | None = None

    def to_ns(self, positions: list[int]) -> tuple[Ints, Ints]:
        """Start and duration of the events at `positions`, in ns."""
        events, count = self._events, len(positions)
        start = np.fromiter((events[i].ts for i in positions), np.float64, count)
        durations = [events[i].dur for i in positions]
        duration = np.array([dur or 0 for dur in durations], np.float64)
        # A large float has no fraction left to see; the durations tell whether the times have any,
        # and where there are none (flows), they may have.
        fractional = (
            np.any(start != np.floor(start)) or np.any(duration != np.floor(duration)) or None in durations
        )
        if fractional and np.any(np.abs(start) >= FLOAT_EXACT_BELOW_US):
            return self._to_ns_exactly(positions)
        return _ns(start), _ns(duration)

    def _to_ns_exactly(self, positions: list[int]) -> tuple[Ints, Ints]:
        if self._exact is None:
            self._exact = decode_times(self._text)
        exact = self._exact
        pairs = [(round((exact[i].ts or 0) * 1000), round((exact[i].dur or 0) * 1000)) for i in positions]
        both = np.array(pairs, np.int64)
        return both[:, 0].copy(), both[:, 1].copy()


def _ns(microseconds: np.ndarray[Any, np.dtype[np.float64]]) -> Ints:
    """Integer part × 1000 + rounded fraction: a float times 1000 would lose nanoseconds."""
    whole = np.floor(microseconds)
    fraction = np.rint((microseconds - whole) * 1000)
    result: Ints = whole.astype(np.int64) * 1000 + fraction.astype(np.int64)
    return result
