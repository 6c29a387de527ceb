"""Collects the columns of a trace from decoded events, a chunk at a time.

For each event there are only list comprehensions over attributes and lookups; the rest is done by the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec.structs import replace

from tracekit.messages import Message
from tracekit.trace.arrays import correlations, floats, numbers
from tracekit.trace.categories import Category, Phase
from tracekit.trace.clock import Clock
from tracekit.trace.collectives import RANGES, args_of, fields_of, of_range, recorded
from tracekit.trace.columns import (
    FRAME_PREFIX,
    CollectiveArgs,
    Collectives,
    Flows,
    GpuEvents,
    Intervals,
    Ints,
    Launches,
    Ops,
    Signature,
    Trace,
)
from tracekit.trace.events import ABSENT, NO_ARGS, NO_ID, Args, Event, Id, decode_raw
from tracekit.trace.parts import Parts, Values, interleaved_parts, interleaved_values
from tracekit.trace.tables import PairTable, Table

LATEST_US = 9e15  # the year 2255
LONGEST_US = 1e12  # eleven days

_GPU_KINDS: dict[Category | None, int] = {
    Category.KERNEL: 0,
    Category.OLD_KERNEL: 0,
    Category.MTIA_CCP_EVENTS: 0,
    Category.GPU_MEMCPY: 1,
    Category.MEMCPY: 1,
    Category.GPU_MEMSET: 2,
    Category.MEMSET: 2,
}
_CATEGORIES = {
    "ops": (Category.CPU_OP, Category.OPERATOR),
    "launches": (
        *(Category.CUDA_RUNTIME, Category.CUDA_DRIVER, Category.HIP_RUNTIME, Category.HIP_DRIVER),
        *(Category.XPU_RUNTIME, Category.PRIVATEUSE1_RUNTIME, Category.PRIVATEUSE1_DRIVER, Category.RUNTIME),
        Category.HPU_OP,
    ),
    "gpu_events": tuple(_GPU_KINDS),
    "annotations": (Category.USER_ANNOTATION,),
}
_FLOW_CATEGORIES = frozenset({Category.FWDBWD, Category.FORWARD_BACKWARD})
# What stands from the one to before the other are the strings with the prefix: comparing needs no call.
_FIRST_FRAME, _BEHIND_FRAMES = FRAME_PREFIX, FRAME_PREFIX[:-1] + chr(ord(FRAME_PREFIX[-1]) + 1)
_SEPARATOR = b"\0"  # which JSON does not hold

_INTERVAL_KINDS = ("ops", "launches", "gpu_events", "frames", "annotations")
_KINDS = (*_INTERVAL_KINDS, "flows", "collectives")
_SignatureKey: TypeAlias = "bytes | tuple[bytes, CollectiveArgs | None]"
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
        self._names, self._recorded = Table(), Table()
        self._threads, self._devices, self._signatures, self._arrows = (PairTable() for _ in range(4))
        self._bare = np.empty(0, np.int32)  # codes of signatures without arguments, by those of their names
        self._collective_signatures: list[int] = []
        self._signatures_seen = 0  # of which it is known whether they are a collective's
        self._text = b""  # of the chunk
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
            "recorded": self._recorded,
        }

    @property
    def size_bytes(self) -> int:
        """What the columns take."""
        return sum(parts.size_bytes for parts in self._parts.values())

    @property
    def shapeless_bytes(self) -> int:
        """Those of them that are of ops without shapes, which takes a look at every op."""
        ops = self._parts["ops"]
        lacks = np.array([_joined(key).startswith(_SEPARATOR) for _, key in self._signatures.listed()])
        lacking = sum(int(lacks[codes].sum()) for codes in ops.arrays.get("signature", ()))
        return ops.size_bytes * lacking // max(1, ops.length)

    @property
    def signature_count(self) -> int:
        return len(self._signatures.listed())

    def add(self, events: list[Event], text: bytes, begin: int = 0) -> None:
        """Adds `events`, which were decoded from `text`; that stands at `begin` in the file."""
        kinds, flows = _chosen(events)
        self._text = text
        self.event_count += len(events)
        clock = Clock(events, text)
        intervals = list(chain.from_iterable(kinds.values()))
        start = floats([event.ts for event in intervals])
        duration = floats([event.dur for event in intervals])
        # Comparisons with NaN, which stands for what is not there, are false.
        sane = (duration >= 0) & (duration < LONGEST_US) & (start > -LONGEST_US) & (start < LATEST_US)
        if not sane.all():
            left_out = list(compress(intervals, ~sane))
            self._count_untimed(left_out, events, text, begin)
            unwanted = set(map(id, left_out))
            for kind, chosen in kinds.items():
                kinds[kind] = [event for event in chosen if id(event) not in unwanted]
            intervals, start, duration = list(compress(intervals, sane)), start[sane], duration[sane]
        starts, durations = clock.to_ns(intervals, start, duration)
        names = self._names
        columns = {
            "name": np.array([names[event.name] for event in intervals], np.int32),
            "thread": self._threads_of(intervals),
            "start": starts,
            "end": starts + durations,
        }
        further = {"ops": self._of_ops, "launches": _of_launches, "gpu_events": self._of_gpu_events}
        first = 0
        for kind, chosen in kinds.items():
            parts = self._parts[kind]
            if chosen:
                own = {name: column[first : first + len(chosen)] for name, column in columns.items()}
                if kind in further:
                    own |= further[kind](chosen, own["name"])
                parts.append(**own)
                first += len(chosen)
                if at := self._collectives_among(kind, chosen, own):
                    self._add_collectives(kind, [chosen[place] for place in at], at, own)
            parts.end_chunk()
        if flows:
            self._add_flows(flows, clock)
        self._parts["flows"].end_chunk()
        self._parts["collectives"].end_chunk()
        for name, table in self._tables.items():
            self._sizes[name].append(len(table.listed()))

    def _threads_of(self, events: list[Event]) -> Ints:
        """Looked up once for events on the same thread that follow each other."""
        threads = self._threads
        codes: list[int] = []
        append = codes.append
        last_pid: Id = None
        last_tid: Id = None
        code: int | None = None
        for event in events:
            pid, tid = event.pid, event.tid
            if tid != last_tid or pid != last_pid or code is None:
                code, last_pid, last_tid = threads[pid][tid], pid, tid
            append(code)
        return np.array(codes, np.int32)

    def _of_ops(self, events: list[Event], names: Ints) -> dict[str, Ints]:
        args = [event.args or NO_ARGS for event in events]
        if events[0].cat is Category.OPERATOR:
            args = [_with_shapes(one) for one in args]
        return {
            "signature": self._signatures_of(events, args, names),
            "sequence": numbers([one.sequence for one in args]),
            "forward_thread": numbers([one.forward_thread for one in args]),
        }

    def _signatures_of(self, events: list[Event], args: list[Args], names: Ints) -> Ints:
        """By the code of the name for the many ops of which the trace says nothing more, else one by one."""
        signatures, join, text = self._signatures, _SEPARATOR.join, self._text
        if len(self._bare) < len(self._names):
            self._bare = np.append(self._bare, np.full(len(self._names), NO_ID, np.int32))
        codes = self._bare[names]
        described = np.array(
            [
                one.shapes is not ABSENT
                or one.dtypes is not ABSENT
                or one.concrete is not ABSENT
                or one.collective is not ABSENT
                for one in args
            ]
        )
        if described.all():
            sought, chosen = np.arange(len(events)), list(zip(events, args, strict=True))
        else:
            codes[described] = NO_ID
            sought = np.flatnonzero(codes == NO_ID)
            chosen = [(events[at], args[at]) for at in sought.tolist()]
        codes[sought] = [
            signatures[event.name][
                join((one.shapes, one.dtypes, one.concrete))
                if one.collective is ABSENT
                else (join((one.shapes, one.dtypes, one.concrete)), args_of(fields_of(one.collective, text)))
            ]
            for event, one in chosen
        ]
        bare = sought[~described[sought]]
        self._bare[names[bare]] = codes[bare]
        return codes

    def _of_gpu_events(self, events: list[Event], names: Ints) -> dict[str, Ints]:
        devices, kinds = self._devices, _GPU_KINDS
        args = [event.args or NO_ARGS for event in events]
        return {
            "correlation": correlations(args),
            "device": np.array(
                [devices[event.pid][one.device] for event, one in zip(events, args, strict=True)], np.int32
            ),
            "kind": np.array([kinds[event.cat] for event in events], np.int8),
        }

    def _collectives_among(self, kind: str, events: list[Event], columns: dict[str, Ints]) -> list[int]:
        """Their places among the events of a kind."""
        if kind == "gpu_events":
            args = [event.args or NO_ARGS for event in events]
            return [place for place, one in enumerate(args) if one.collective is not ABSENT]
        if kind == "annotations":
            return [place for place, event in enumerate(events) if (event.name or "").startswith(RANGES)]
        if kind != "ops":
            return []
        signatures = self._signatures.listed()
        new = range(self._signatures_seen, len(signatures))
        self._collective_signatures += [code for code in new if isinstance(signatures[code][1], tuple)]
        self._signatures_seen = len(signatures)
        if not self._collective_signatures:
            return []
        own = np.isin(columns["signature"], self._collective_signatures)
        return [int(place) for place in np.flatnonzero(own)]

    def _add_collectives(
        self, kind: str, events: list[Event], at: list[int], columns: dict[str, Ints]
    ) -> None:
        found = [
            of_range(event.name or "", event.args or NO_ARGS)
            if kind == "annotations"
            else recorded(fields_of((event.args or NO_ARGS).collective, self._text))
            for event in events
        ]
        known = [(place, one) for place, one in zip(at, found, strict=True) if one is not None]
        places = np.array([place for place, _ in known], np.int64)
        correlation = columns["correlation"][places] if "correlation" in columns else NO_ID
        self._parts["collectives"].append(
            **{name: columns[name][places] for name in _INTERVAL},
            recorded=np.array([self._recorded[one] for _, one in known], np.int32),
            correlation=np.full(len(known), correlation),
        )

    def _add_flows(self, events: list[Event], clock: Clock) -> None:
        start = np.array([event.ts for event in events], np.float64)
        arrows, threads = self._arrows, self._threads
        self._parts["flows"].append(
            arrow=np.array([arrows[event.pid][event.id] for event in events], np.int32),
            thread=np.array([threads[event.pid][event.tid] for event in events], np.int32),
            time=clock.to_ns(events, start, None)[0],
            is_end=np.array([event.ph is Phase.FLOW_END for event in events], np.int8),
        )

    def _count_untimed(self, untimed: list[Event], events: list[Event], text: bytes, begin: int) -> None:
        self.event_count -= len(untimed)
        self.untimed_count += len(untimed)
        if self.first_untimed is None:
            unwanted = set(map(id, untimed))
            first = next(at for at, event in enumerate(events) if id(event) in unwanted)
            self.first_untimed = begin + _position(text, first)

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
            recorded=self._recorded.listed(),
            collectives=Collectives(**columns("collectives", "recorded", "correlation")),
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


def _chosen(events: list[Event]) -> tuple[dict[str, list[Event]], list[Event]]:
    """The events that are complete, by their kinds, and flows; only what somebody reads, in order."""
    kinds: dict[str, list[Event]] = {kind: [] for kind in _INTERVAL_KINDS}
    frames, flows = kinds["frames"], []
    chosen_of: dict[Category | None, list[Event] | None] = dict.fromkeys((None, *Category))
    chosen_of.update((one, kinds[kind]) for kind, categories in _CATEGORIES.items() for one in categories)
    frame, complete = Category.PYTHON_FUNCTION, Phase.COMPLETE
    first_frame, behind_frames = _FIRST_FRAME, _BEHIND_FRAMES
    for event in events:
        category = event.cat
        chosen = chosen_of[category]
        if chosen is not None:
            if event.ph is complete:
                if event.name is None:
                    event.name = ""
                chosen.append(event)
        elif category is frame:
            name = event.name
            if name is not None and first_frame <= name < behind_frames and event.ph is complete:
                frames.append(event)
        elif category in _FLOW_CATEGORIES and _is_usable_flow(event):
            flows.append(event)
    return kinds, flows


def _of_launches(events: list[Event], names: Ints) -> dict[str, Ints]:
    return {"correlation": correlations([event.args or NO_ARGS for event in events])}


def _with_shapes(args: Args) -> Args:
    """Those of an op that an old torch wrote, as a newer one would have."""
    return args if args.old_shapes is ABSENT else replace(args, shapes=args.old_shapes)


def _position(text: bytes, number: int) -> int:
    """Where the event with that number begins in `text`."""
    at = 0
    for raw in decode_raw(text)[: number + 1]:
        begin = text.index(bytes(raw), at)
        at = begin + len(bytes(raw))
    return begin


def _is_usable_flow(event: Event) -> bool:
    has_time = event.ts is not None and -LONGEST_US < event.ts < LATEST_US
    is_end = event.ph is Phase.FLOW_START or event.ph is Phase.FLOW_END
    return is_end and has_time and isinstance(event.id, (int, str))


def _signature(name: str, key: _SignatureKey) -> Signature:
    collective = key[1] if isinstance(key, tuple) else None
    shapes, dtypes, concrete = _joined(key).split(_SEPARATOR)
    return Signature(name, shapes, dtypes, concrete, collective)


def _joined(key: _SignatureKey) -> bytes:
    return key[0] if isinstance(key, tuple) else key
