"""Collects the columns of a trace from decoded events, a chunk at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.messages import Message
from tracekit.trace.clock import Clock
from tracekit.trace.columns import (
    FRAME_PREFIX,
    NO_ID,
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
from tracekit.trace.events import Args, Event

LARGEST_NUMBER = 2**62
LATEST_US = 9e15  # the year 2255
LONGEST_US = 1e12  # eleven days

_GPU_CATEGORIES = {"kernel": 0, "gpu_memcpy": 1, "gpu_memset": 2, "memcpy": 1, "memset": 2}
_OP_CATEGORIES = {"cpu_op", "operator"}
_RANGE_CATEGORIES = {"user_annotation"}
_LAUNCH_SUFFIXES = ("runtime", "driver")
_FLOW_CATEGORIES = {"fwdbwd", "forward_backward"}
_FLOW_ENDS = {"s": 0, "f": 1}


class _Table(dict[Any, int]):
    """A dictionary encoding: looking up a value that is new gives it the next number."""

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        return number


_CODES = frozenset(("name", "thread", "signature", "arrow", "device", "kind", "is_end"))


def _dtype(column: str) -> type[np.signedinteger[Any]]:
    return np.int32 if column in _CODES else np.int64


@dataclass
class _Columns:
    """Columns under construction: a list of arrays for each."""

    parts: dict[str, list[Ints]] = field(default_factory=dict)

    def append(self, **columns: Ints) -> None:
        for name, column in columns.items():
            self.parts.setdefault(name, []).append(column.astype(_dtype(name), copy=False))

    def build(self, name: str) -> Ints:
        parts = self.parts.get(name)
        return np.concatenate(parts) if parts else np.empty(0, _dtype(name))


class ColumnsBuilder:
    """Takes decoded events, a chunk at a time, and builds a `Trace` of those that somebody reads."""

    def __init__(self) -> None:
        self.event_count = 0
        self.untimed_count = 0
        self._names, self._threads, self._devices, self._signatures, self._arrows = (
            _Table() for _ in range(5)
        )
        self._ops, self._launches, self._gpu_events, self._frames, self._annotations, self._flows = (
            _Columns() for _ in range(6)
        )

    def add(self, events: list[Event], text: bytes) -> None:
        """Adds `events`, which were decoded from `text`."""
        clock = Clock(events, text)
        self.event_count += len(events)
        ops: list[int] = []
        launches: list[int] = []
        gpu_events: list[int] = []
        frames: list[int] = []
        annotations: list[int] = []
        flows: list[int] = []
        by_category: dict[str | None, list[int] | None] = {}
        for position, event in enumerate(events):
            if event.ph != "X":
                if event.ph in _FLOW_ENDS and event.cat in _FLOW_CATEGORIES and _is_usable_flow(event):
                    flows.append(position)
                continue
            category = event.cat
            try:
                bucket = by_category[category]
            except KeyError:
                kind = (category or "").lower()
                bucket = by_category[category] = (
                    ops
                    if kind in _OP_CATEGORIES
                    else gpu_events
                    if kind in _GPU_CATEGORIES
                    else launches
                    if kind.endswith(_LAUNCH_SUFFIXES)
                    else annotations
                    if kind in _RANGE_CATEGORIES
                    else frames
                    if kind == "python_function"
                    else None
                )
            if bucket is None or event.name is None:
                continue
            if bucket is frames and not event.name.startswith(FRAME_PREFIX):
                continue
            if not _has_sane_time(event):
                self.untimed_count += 1
                continue
            bucket.append(position)
        if ops:
            self._add_ops(events, ops, clock)
        if launches:
            chosen = [events[i] for i in launches]
            self._launches.append(
                **self._intervals(chosen, *clock.to_ns(launches)), correlation=_ids(map(_correlation, chosen))
            )
        if gpu_events:
            self._add_gpu_events(events, gpu_events, clock)
        for columns, positions in ((self._frames, frames), (self._annotations, annotations)):
            if positions:
                columns.append(**self._intervals([events[i] for i in positions], *clock.to_ns(positions)))
        if flows:
            self._add_flows([events[i] for i in flows], clock.to_ns(flows)[0])

    def _intervals(self, events: list[Event], start: Ints, duration: Ints) -> dict[str, Ints]:
        names, threads = self._names, self._threads
        count = len(events)
        return {
            "name": np.fromiter((names[e.name] for e in events), np.int32, count),
            "thread": np.fromiter((threads[e.pid, e.tid] for e in events), np.int32, count),
            "start": start,
            "end": start + duration,
        }

    def _add_ops(self, events: list[Event], positions: list[int], clock: Clock) -> None:
        chosen = [events[i] for i in positions]
        signatures = self._signatures
        codes = np.empty((len(chosen), 3), np.int64)
        codes[:] = [
            (
                signatures[
                    event.name,
                    bytes(args.shapes),
                    bytes(args.dtypes),
                    bytes(args.concrete),
                    _collective(args) if args.collective is not None else None,
                ],
                _number(args.sequence),
                _number(args.forward_thread),
            )
            if (args := event.args)
            else (signatures[event.name, b"", b"", b"", None], NO_ID, NO_ID)
            for event in chosen
        ]
        signature, sequence, forward_thread = (column.copy() for column in codes.T)
        self._ops.append(
            **self._intervals(chosen, *clock.to_ns(positions)),
            signature=signature,
            sequence=sequence,
            forward_thread=forward_thread,
        )

    def _add_flows(self, flows: list[Event], time: Ints) -> None:
        arrows, threads = self._arrows, self._threads
        self._flows.append(
            arrow=np.array([arrows[event.pid, event.id] for event in flows], np.int64),
            thread=np.array([threads[event.pid, event.tid] for event in flows], np.int64),
            time=time,
            is_end=np.array([_FLOW_ENDS[event.ph or ""] for event in flows], np.int64),
        )

    def _add_gpu_events(self, events: list[Event], positions: list[int], clock: Clock) -> None:
        chosen = [events[i] for i in positions]
        devices = self._devices
        self._gpu_events.append(
            **self._intervals(chosen, *clock.to_ns(positions)),
            correlation=_ids(map(_correlation, chosen)),
            device=np.array([devices[e.pid, e.args.device if e.args else None] for e in chosen], np.int64),
            kind=np.array([_GPU_CATEGORIES[(e.cat or "").lower()] for e in chosen], np.int64),
        )

    def build(
        self, path: Path, size_bytes: int, skipped: int, warnings: list[Message], metadata: dict[str, Any]
    ) -> Trace:
        processes = _Table()

        def intervals(columns: _Columns) -> dict[str, Ints]:
            return {name: columns.build(name) for name in ("name", "thread", "start", "end")}

        return Trace(
            path=path,
            size_bytes=size_bytes,
            event_count=self.event_count,
            skipped_count=skipped + self.untimed_count,
            warnings=tuple(warnings),
            metadata=metadata,
            names=list(self._names),
            threads=list(self._threads),
            processes=np.array([processes[pid] for pid, _ in self._threads], np.int64),
            devices=list(self._devices),
            signatures=[Signature(*key) for key in self._signatures],
            ops=Ops(
                **intervals(self._ops),
                **{name: self._ops.build(name) for name in ("signature", "sequence", "forward_thread")},
            ),
            launches=Launches(**intervals(self._launches), correlation=self._launches.build("correlation")),
            gpu_events=GpuEvents(
                **intervals(self._gpu_events),
                correlation=self._gpu_events.build("correlation"),
                device=self._gpu_events.build("device"),
                kind=self._gpu_events.build("kind"),
            ),
            frames=Intervals(**intervals(self._frames)),
            annotations=Intervals(**intervals(self._annotations)),
            flows=Flows(**{name: self._flows.build(name) for name in ("arrow", "thread", "time", "is_end")}),
        )


def _has_sane_time(event: Event) -> bool:
    """Whether start and duration are there and in a range in which no sum of nanoseconds overflows."""
    duration = event.dur
    return duration is not None and 0 <= duration < LONGEST_US and _starts_sanely(event)


def _starts_sanely(event: Event) -> bool:
    return event.ts is not None and -LONGEST_US < event.ts < LATEST_US


def _is_usable_flow(event: Event) -> bool:
    return isinstance(event.id, (int, str)) and _starts_sanely(event)


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


def _correlation(event: Event) -> int:
    correlation = event.args.correlation if event.args else None
    return NO_ID if correlation is None else correlation


def _ids(values: Any) -> Ints:
    """Ids as int64; those beyond it keep their lowest 64 bits."""
    listed = list(values)
    try:
        return np.array(listed, np.int64)
    except OverflowError:
        return np.array([value & 0xFFFFFFFFFFFFFFFF for value in listed], np.uint64).view(np.int64)
