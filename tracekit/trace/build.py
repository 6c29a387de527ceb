"""Collects the columns of a trace from decoded events, a chunk at a time.

For each event there are only list comprehensions over attributes and lookups; the rest is done by the column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.messages import Message
from tracekit.trace.clock import Clock, Floats
from tracekit.trace.columns import (
    FRAME_PREFIX,
    CollectiveArgs,
    Flows,
    GpuEvents,
    Intervals,
    Ints,
    Launches,
    Ops,
    Signature,
    Trace,
)
from tracekit.trace.events import NO_ARGS, NO_ID, Args, Event, decode_raw
from tracekit.trace.parts import Parts, Values, interleaved_parts, interleaved_values
from tracekit.trace.tables import PairTable, Table

LARGEST_NUMBER = 2**62
LATEST_US = 9e15  # the year 2255
LONGEST_US = 1e12  # eleven days

_GPU_CATEGORIES = {"kernel": 0, "gpu_memcpy": 1, "gpu_memset": 2, "memcpy": 1, "memset": 2}
_OP_CATEGORIES = {"cpu_op", "operator"}
_RANGE_CATEGORIES = {"user_annotation"}
_LAUNCH_SUFFIXES = ("runtime", "driver")
_FLOW_CATEGORIES = {"fwdbwd", "forward_backward"}
_FLOW_ENDS = {"s": 0, "f": 1}
_SEPARATOR = b"\0"  # which JSON does not hold

_KINDS = ("ops", "launches", "gpu_events", "frames", "annotations", "flows")
_FLOW = ("arrow", "thread", "time", "is_end")
_INTERVAL = ("name", "thread", "start", "end")


@dataclass
class State:
    """What a builder has collected, as values that go from one process to another."""

    event_count: int
    untimed_count: int
    first_untimed: int | None
    tables: dict[str, Values]
    parts: dict[str, Parts]


class ColumnsBuilder:
    """Takes decoded events, a chunk at a time, and builds a `Trace` of those that somebody reads."""

    def __init__(self) -> None:
        self.event_count = 0  # of events that are as they should be, whether somebody reads them or not
        self.untimed_count = 0  # of the others: without a start and a duration that can be
        self.first_untimed: int | None = None  # where the first of them stands in the file
        self._names = Table()
        self._threads, self._devices, self._signatures, self._arrows = (PairTable() for _ in range(4))
        self._sizes: dict[str, list[int]] = {name: [] for name in self._tables}
        self._parts = {kind: Parts() for kind in _KINDS}

    @property
    def _tables(self) -> dict[str, Table | PairTable]:
        return {
            "name": self._names,
            "arrow": self._arrows,
            "thread": self._threads,
            "device": self._devices,
            "signature": self._signatures,
        }

    @property
    def size_bytes(self) -> int:
        """What the columns take."""
        return sum(parts.size_bytes for parts in self._parts.values())

    def add(self, events: list[Event], text: bytes, begin: int = 0) -> None:
        """Adds `events`, which were decoded from `text`; that stands at `begin` in the file."""
        self.event_count += len(events)
        kinds: dict[str, list[Event]] = {kind: [] for kind in _KINDS}
        append_of = _Appends(kinds)
        for event in events:
            append = append_of[event.cat]
            if append is not None:
                append(event)
        chunk = _Chunk(events, text, begin, Clock(events, text))
        for kind, add in (
            ("ops", self._add_ops),
            ("launches", self._add_launches),
            ("gpu_events", self._add_gpu_events),
            ("frames", self._add_frames),
            ("annotations", self._add_intervals),
            ("flows", self._add_flows),
        ):
            if kinds[kind]:
                add(self._parts[kind], kinds[kind], chunk)
            self._parts[kind].end_chunk()
        for name, table in self._tables.items():
            self._sizes[name].append(len(table.listed()))

    def _add_ops(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        events, columns = self._intervals(_complete(events), chunk)
        args = [event.args or NO_ARGS for event in events]
        signatures, join = self._signatures, _SEPARATOR.join
        parts.append(
            **columns,
            signature=np.array(
                [
                    signatures[event.name][
                        join((one.shapes, one.dtypes, one.concrete))
                        if one.collective is None
                        else (join((one.shapes, one.dtypes, one.concrete)), _collective(one))
                    ]
                    for event, one in zip(events, args, strict=True)
                ],
                np.int32,
            ),
            sequence=_numbers([one.sequence for one in args]),
            forward_thread=_numbers([one.forward_thread for one in args]),
        )

    def _add_launches(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        events, columns = self._intervals(_complete(events), chunk)
        parts.append(**columns, correlation=_correlations(events))

    def _add_gpu_events(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        events, columns = self._intervals(_complete(events), chunk)
        devices = self._devices
        kind_of = {cat: _GPU_CATEGORIES[(cat or "").lower()] for cat in {event.cat for event in events}}
        parts.append(
            **columns,
            correlation=_correlations(events),
            device=np.array(
                [devices[event.pid][(event.args or NO_ARGS).device] for event in events], np.int32
            ),
            kind=np.array([kind_of[event.cat] for event in events], np.int8),
        )

    def _add_frames(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        events = [event for event in events if event.name is not None and event.name.startswith(FRAME_PREFIX)]
        self._add_intervals(parts, events, chunk)

    def _add_intervals(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        parts.append(**self._intervals(_complete(events), chunk)[1])

    def _add_flows(self, parts: Parts, events: list[Event], chunk: _Chunk) -> None:
        events = [event for event in events if event.ph in _FLOW_ENDS and _is_usable_flow(event)]
        start = np.array([event.ts for event in events], np.float64)
        arrows, threads = self._arrows, self._threads
        parts.append(
            arrow=np.array([arrows[event.pid][event.id] for event in events], np.int32),
            thread=np.array([threads[event.pid][event.tid] for event in events], np.int32),
            time=chunk.clock.to_ns(events, start, None)[0],
            is_end=np.array([_FLOW_ENDS[event.ph or ""] for event in events], np.int8),
        )

    def _intervals(self, events: list[Event], chunk: _Chunk) -> tuple[list[Event], dict[str, Ints]]:
        """Those of the events whose times are sane, and their columns."""
        start = _floats([event.ts for event in events])
        duration = _floats([event.dur for event in events])
        # Comparisons with NaN, which stands for what is not there, are false.
        sane = (duration >= 0) & (duration < LONGEST_US) & (start > -LONGEST_US) & (start < LATEST_US)
        if not sane.all():
            self._leave_out(list(compress(events, ~sane)), chunk)
            events = list(compress(events, sane))
            start, duration = start[sane], duration[sane]
        names, threads = self._names, self._threads
        starts, durations = chunk.clock.to_ns(events, start, duration)
        return events, {
            "name": np.array([names[event.name] for event in events], np.int32),
            "thread": np.array([threads[event.pid][event.tid] for event in events], np.int32),
            "start": starts,
            "end": starts + durations,
        }

    def _leave_out(self, events: list[Event], chunk: _Chunk) -> None:
        self.event_count -= len(events)
        self.untimed_count += len(events)
        position = chunk.position(events[0])
        if self.first_untimed is None or position < self.first_untimed:
            self.first_untimed = position

    def state(self) -> State:
        """What was collected; the builder is not to be used any more."""
        return State(
            event_count=self.event_count,
            untimed_count=self.untimed_count,
            first_untimed=self.first_untimed,
            tables={name: Values(table.listed(), self._sizes[name]) for name, table in self._tables.items()},
            parts={kind: parts.compact() for kind, parts in self._parts.items()},
        )

    def build(
        self, path: Path, size_bytes: int, skipped: int, warnings: list[Message], metadata: dict[str, Any]
    ) -> Trace:
        """The trace; the builder is not to be used any more."""
        parts, processes = self._parts, Table()
        threads = self._threads.listed()

        def columns(kind: str, *names: str) -> dict[str, Ints]:
            return {name: parts[kind].take(name) for name in (*_INTERVAL, *names)}

        return Trace(
            path=path,
            size_bytes=size_bytes,
            event_count=self.event_count,
            skipped_count=skipped + self.untimed_count,
            warnings=tuple(warnings),
            metadata=metadata,
            names=self._names.listed(),
            threads=threads,
            processes=np.array([processes[pid] for pid, _ in threads], np.int64),
            devices=self._devices.listed(),
            signatures=[_signature(name, key) for name, key in self._signatures.listed()],
            ops=Ops(**columns("ops", "signature", "sequence", "forward_thread")),
            launches=Launches(**columns("launches", "correlation")),
            gpu_events=GpuEvents(**columns("gpu_events", "correlation", "device", "kind")),
            frames=Intervals(**columns("frames")),
            annotations=Intervals(**columns("annotations")),
            flows=Flows(
                **{name: parts["flows"].take(name) for name in ("arrow", "thread", "time", "is_end")}
            ),
        )


def interleaved(states: Sequence[State]) -> ColumnsBuilder:
    """The builder that would have taken all chunks, of which these took turns to take one each."""
    builder = ColumnsBuilder()
    builder.event_count = sum(state.event_count for state in states)
    builder.untimed_count = sum(state.untimed_count for state in states)
    firsts = [state.first_untimed for state in states if state.first_untimed is not None]
    builder.first_untimed = min(firsts, default=None)
    recode = {}
    for name, table in builder._tables.items():
        values, recode[name] = interleaved_values([state.tables[name] for state in states])
        table.extend(values)
        builder._sizes[name] = []
    for kind in _KINDS:
        builder._parts[kind] = interleaved_parts([state.parts[kind] for state in states], recode)
    return builder


class _Appends(dict["str | None", "Callable[[Event], None] | None"]):
    """What to do with an event of a category: append it to the events of its kind, or nothing."""

    def __init__(self, kinds: dict[str, list[Event]]) -> None:
        super().__init__()
        self._kinds = kinds

    def __missing__(self, category: str | None) -> Callable[[Event], None] | None:
        name = (category or "").lower()
        kind = (
            "ops"
            if name in _OP_CATEGORIES
            else "gpu_events"
            if name in _GPU_CATEGORIES
            else "launches"
            if name.endswith(_LAUNCH_SUFFIXES)
            else "annotations"
            if name in _RANGE_CATEGORIES
            else "frames"
            if name == "python_function"
            else "flows"
            if category in _FLOW_CATEGORIES
            else None
        )
        append = self[category] = None if kind is None else self._kinds[kind].append
        return append


@dataclass(frozen=True)
class _Chunk:
    """Where decoded events come from."""

    events: list[Event]
    text: bytes
    begin: int
    clock: Clock

    def position(self, event: Event) -> int:
        """Where the event stands in the file."""
        at = 0
        for raw, other in zip(decode_raw(self.text), self.events, strict=True):
            at = self.text.index(bytes(raw), at)
            if other is event:
                break
            at += 1
        return self.begin + at


def _complete(events: list[Event]) -> list[Event]:
    """Those that have a beginning and an end, and a name."""
    return [event for event in events if event.ph == "X" and event.name is not None]


def _floats(times: list[float | None]) -> Floats:
    """NaN for what is not there."""
    try:
        return np.array(times, np.float64)
    except TypeError:
        return np.array([np.nan if time is None else time for time in times], np.float64)


def _is_usable_flow(event: Event) -> bool:
    has_time = event.ts is not None and -LONGEST_US < event.ts < LATEST_US
    return has_time and isinstance(event.id, (int, str))


def _signature(name: str, key: bytes | tuple[bytes, CollectiveArgs | None]) -> Signature:
    joined, collective = key if isinstance(key, tuple) else (key, None)
    shapes, dtypes, concrete = joined.split(_SEPARATOR)
    return Signature(name, shapes, dtypes, concrete, collective)


def _collective(args: Args) -> CollectiveArgs | None:
    def count(value: Any) -> int | None:
        return None if _number(value) == NO_ID else int(value)

    if not isinstance(args.collective, str):
        return None
    return CollectiveArgs(
        name=args.collective,
        in_elements=count(args.in_elements),
        out_elements=count(args.out_elements),
        dtype=args.dtype if isinstance(args.dtype, str) else None,
        group_size=count(args.group_size),
    )


def _number(value: Any) -> int:
    """A count as it is, `NO_ID` for whatever is none or none that 64 bits hold."""
    return value if type(value) is int and 0 <= value <= LARGEST_NUMBER else NO_ID


def _numbers(values: list[Any]) -> Ints:
    """`_number` of each."""
    if set(map(type, values)) <= {int}:
        try:
            numbers = np.array(values, np.int64)
        except OverflowError:
            pass
        else:
            return np.where((numbers >= 0) & (numbers <= LARGEST_NUMBER), numbers, NO_ID)
    return np.array([_number(value) for value in values], np.int64)


def _correlations(events: list[Event]) -> Ints:
    """Ids as int64; those beyond it keep their lowest 64 bits."""
    ids = [(event.args or NO_ARGS).correlation for event in events]
    try:
        return np.array(ids, np.int64)
    except (OverflowError, TypeError):
        lowest = [(NO_ID if one is None else one) & 0xFFFFFFFFFFFFFFFF for one in ids]
        return np.array(lowest, np.uint64).view(np.int64)
