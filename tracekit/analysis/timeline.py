"""The GPU in one pass, to be drawn: every event of it, and every interval in which its devices are idle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from tracekit.analysis.gaps import Idle, lost_to_calls
from tracekit.analysis.schema import (
    Pass,
    Timeline,
    TimelineEvents,
    TimelineGap,
    TimelineStream,
)
from tracekit.analysis.work_rows import first_start
from tracekit.attribution import NOBODY, Attribution, Mask, numbered, pair_keys
from tracekit.trace import Ints, Trace

# What a page draws, and what a report carries, of a long pass.
MOST_EVENTS = 20_000
MOST_GAPS = 2_000
_MOST_DEVICES = 1 << 20


def timeline_of(
    trace: Trace,
    attribution: Attribution,
    idle: Idle,
    passes: Sequence[Pass],
    module_of_row: Ints,
) -> Timeline | None:
    """The median by wall time (the lower of two) of those of `passes` that launched GPU events.

    Without such passes the whole trace, from its first GPU event to its last; None without GPU events.
    `module_of_row`: the module of each row of the report's modules.
    """
    events = trace.gpu_events
    if not len(events):
        return None
    candidates = sorted((one for one in passes if one.kernels), key=lambda one: one.wall_us)
    chosen = candidates[(len(candidates) - 1) // 2] if candidates else None
    if chosen is None:
        own: Mask = np.ones(len(events), np.bool_)
        start, wall = int(events.start.min()), int(events.end.max() - events.start.min()) / 1000
    else:
        own = attribution.gpu_pass == chosen.index
        start, wall = int(attribution.passes.scopes.start[chosen.index]), chosen.wall_us
    row_of_module = np.full(len(module_of_row) + 1, NOBODY, np.int32)
    row_of_module[module_of_row] = np.arange(len(module_of_row))
    module = module_of_gpu_events(attribution)
    parents = np.array([one.parent for one in attribution.tree.modules], np.int64)
    drawn = _merged(_events(trace, own, module), parents)
    numbers = device_numbers(trace)
    streams = list(zip(*_distinct(drawn.device, drawn.thread), strict=True))
    number_of = {stream: number for number, stream in enumerate(streams)}
    kernels, kernel = np.unique(drawn.name, return_inverse=True)
    row = row_of_module[drawn.module].tolist()
    gaps, left_out, left_out_us = _gaps(trace, attribution, idle, own, chosen, start, row_of_module[module])
    return Timeline(
        pass_index=None if chosen is None else chosen.index,
        start_us=(start - first_start(trace)) / 1000,
        wall_us=wall,
        streams=tuple(
            TimelineStream(numbers[device], stream_name(trace, thread)) for device, thread in streams
        ),
        kernels=tuple(trace.names[code] for code in kernels.tolist()),
        events=TimelineEvents(
            start_us=tuple(((drawn.start - start) / 1000).tolist()),
            duration_us=tuple((drawn.duration / 1000).tolist()),
            stream=tuple(
                number_of[stream] for stream in zip(drawn.device.tolist(), drawn.thread.tolist(), strict=True)
            ),
            module=tuple(None if at == NOBODY else at for at in row),
            kernel=tuple(kernel.tolist()),
            count=tuple(drawn.count.tolist()),
        ),
        gaps=gaps,
        gaps_left_out=left_out,
        gaps_left_out_us=left_out_us,
    )


def module_of_gpu_events(attribution: Attribution) -> Ints:
    """The innermost module that launched each GPU event, or whose backward it is; else `NOBODY`."""
    scope = np.where(attribution.in_module, attribution.gpu_scope, attribution.gpu_backward_scope)
    return np.append(attribution.tree.module, np.int32(NOBODY))[scope]


def device_numbers(trace: Trace) -> list[int]:
    """Each device's own number; its position among the trace's where two have the same, or it has none.

    A number that no machine counts up to is none.
    """
    numbers = [number for _pid, number in trace.devices]
    owners = Counter(numbers)
    return [
        number
        if isinstance(number, int) and abs(number) < _MOST_DEVICES and owners[number] == 1
        else position
        for position, number in enumerate(numbers)
    ]


def stream_name(trace: Trace, thread: int) -> int | str:
    """What the trace calls the stream of a GPU event, by its thread."""
    name = trace.threads[thread][1]
    return "?" if name is None else name


@dataclass(frozen=True)
class _Drawn:
    """Events to draw, by start; times in ns."""

    start: Ints
    duration: Ints
    device: Ints
    thread: Ints
    module: Ints
    name: Ints  # of the longest of the events that it stands for
    longest: Ints  # duration of that
    count: Ints

    def __len__(self) -> int:
        return len(self.start)

    def take(self, order: Ints) -> _Drawn:
        return _Drawn(*(getattr(self, field.name)[order] for field in fields(self)))


def _events(trace: Trace, own: Mask, module: Ints) -> _Drawn:
    events = trace.gpu_events
    duration = (events.end - events.start)[own]
    drawn = _Drawn(
        start=events.start[own],
        duration=duration,
        device=events.device[own],
        thread=events.thread[own],
        module=module[own],
        name=events.name[own],
        longest=duration,
        count=np.ones(len(duration), np.int64),
    )
    return drawn.take(np.argsort(drawn.start, kind="stable"))


def _merged(drawn: _Drawn, parents: Ints) -> _Drawn:
    """At most `MOST_EVENTS`, as far as streams allow: those in a row on one stream of one module are one.

    Where that is not enough, the deepest modules' events become their parents', level by level, and at last
    those of different modules are joined: at the module of the longest.
    """
    if len(drawn) <= MOST_EVENTS:
        return drawn
    order = np.lexsort((drawn.start, drawn.thread, drawn.device))
    drawn = drawn.take(order)
    depth = _depths(parents.tolist())
    low, high = 0, max(depth, default=0)
    while low < high:  # the deepest level whose runs are few enough; fewer runs the fewer levels
        level = (low + high + 1) // 2
        if len(_run_starts(_lifted(drawn, parents, depth, level))) <= MOST_EVENTS:
            low = level
        else:
            high = level - 1
    drawn = _lifted(drawn, parents, depth, low)
    first = _run_starts(drawn)
    if len(first) > MOST_EVENTS:
        first = _run_starts(replace(drawn, module=np.zeros(len(drawn), np.int64)))
    joined = _joined(drawn, _pieces(first, len(drawn)))
    return joined.take(np.argsort(joined.start, kind="stable"))


def _depths(parents: Sequence[int]) -> list[int]:
    depth = [0] * len(parents)
    for index, parent in enumerate(parents):
        if parent != NOBODY:
            depth[index] = depth[parent] + 1
    return depth


def _lifted(drawn: _Drawn, parents: Ints, depth: Sequence[int], level: int) -> _Drawn:
    """With the ancestors at that depth in the place of deeper modules."""
    ancestor = list(range(len(parents)))
    for index, parent in enumerate(parents.tolist()):  # parents come before their children
        if depth[index] > level:
            ancestor[index] = ancestor[parent]
    return replace(drawn, module=np.array([*ancestor, NOBODY], np.int64)[drawn.module])


def _run_starts(drawn: _Drawn) -> Ints:
    """Where events of another stream or module begin."""
    columns = (drawn.device, drawn.thread, drawn.module)
    changes = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return np.asarray(np.r_[0, np.flatnonzero(changes) + 1], np.int64)


def _pieces(first: Ints, count: int) -> Ints:
    """Starts of pieces of the runs that start at `first`, as short as they can be while few enough."""
    lengths = np.diff(np.r_[first, count])
    size = 1
    while size < count and int((-(-lengths // size)).sum()) > MOST_EVENTS:
        size *= 2
    position = np.arange(count) - np.repeat(first, lengths)
    return np.flatnonzero(position % size == 0)


def _joined(drawn: _Drawn, first: Ints) -> _Drawn:
    piece = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(drawn)]))
    longest = np.lexsort((-drawn.longest, piece))[first]
    return replace(
        drawn.take(longest),
        start=drawn.start[first],
        duration=np.add.reduceat(drawn.duration, first),
        count=np.add.reduceat(drawn.count, first),
    )


def _distinct(device: Ints, thread: Ints) -> tuple[list[int], list[int]]:
    """The streams, by device and then in the order of the trace."""
    threads = int(thread.max(initial=0)) + 1
    of_device, of_thread = np.divmod(numbered(pair_keys(device, thread, threads))[0], threads)
    return of_device.tolist(), of_thread.tolist()


def _gaps(
    trace: Trace,
    attribution: Attribution,
    idle: Idle,
    own: Mask,
    chosen: Pass | None,
    origin: int,
    row: Ints,
) -> tuple[tuple[TimelineGap, ...], int, float]:
    """Between the first and the last of the events on each device, and before the first since `origin`.

    Those left out, and µs of them. As in `find_gaps`, what ends with an event of no pass or another one is
    not the host's; before the first event of a pass it is. `row`: of each GPU event's module.
    """
    events = trace.gpu_events
    devices = len(trace.devices)
    first = np.full(devices, np.iinfo(np.int64).max)
    last = np.full(devices, np.iinfo(np.int64).min)
    np.minimum.at(first, events.device[own], events.start[own])
    np.maximum.at(last, events.device[own], events.start[own])
    since = first
    if chosen is not None:
        since = np.minimum(first, origin)
        idle = _with_beginnings(trace, attribution, idle, first, origin)
    idle = replace(idle, start=np.maximum(idle.start, since[idle.device]))
    idle = idle.take((idle.end > idle.start) & (events.start[idle.event] <= last[idle.device]))
    if chosen is not None:
        # What lies before the first event is the pass's own only where that event ends it.
        idle = idle.take(idle.end >= first[idle.device])
    is_before_first = idle.start < first[idle.device]
    if chosen is not None:
        late = idle.launched_late & (own[idle.event] | is_before_first)
        idle = replace(idle, launched_late=late)
    call, lost = lost_to_calls(trace, attribution, idle)
    is_earlier = is_before_first & (call != NOBODY)
    is_earlier[is_earlier] = trace.launches.start[call[is_earlier]] < origin
    call[is_earlier], lost[is_earlier] = NOBODY, 0  # it waited for what ran before the pass

    rest = idle.end - idle.start - lost
    at = np.r_[np.flatnonzero(lost > 0), np.flatnonzero(rest > 0)]
    is_wait = np.arange(len(at)) < int((lost > 0).sum())
    start = np.where(is_wait, idle.start[at], idle.start[at] + lost[at])
    duration = np.where(is_wait, lost[at], rest[at])
    kept = np.sort(np.argsort(-duration, kind="stable")[:MOST_GAPS])
    kept = kept[np.argsort(start[kept], kind="stable")]
    numbers = device_numbers(trace)
    rows = []
    for gap, waits, begin, length in zip(
        at[kept].tolist(), is_wait[kept].tolist(), start[kept].tolist(), duration[kept].tolist(), strict=True
    ):
        module = int(row[idle.event[gap]])
        rows.append(
            TimelineGap(
                start_us=(begin - origin) / 1000,
                duration_us=length / 1000,
                device=numbers[int(idle.device[gap])],
                cause="synchronisation" if waits else "launches" if idle.launched_late[gap] else "queued",
                module=None if module == NOBODY else module,
                call=trace.names[int(trace.launches.name[call[gap]])] if waits else None,
            )
        )
    total = int(duration.sum()) - int(duration[kept].sum())
    return tuple(rows), len(at) - len(kept), total / 1000


def _with_beginnings(trace: Trace, attribution: Attribution, idle: Idle, first: Ints, origin: int) -> Idle:
    """With what lies before the first event that a device runs at all, where that is one of `first`."""
    events = trace.gpu_events
    order = np.lexsort((events.start, events.device))
    event = order[np.r_[True, events.device[order][1:] != events.device[order][:-1]]]
    event = event[(events.start[event] == first[events.device[event]]) & (events.start[event] > origin)]
    launch = attribution.gpu_launch[event]
    late = launch != NOBODY
    late[late] = trace.launches.start[launch[late]] >= origin
    beginning = Idle(np.full(len(event), origin), events.start[event], events.device[event], event, late)
    names = [field.name for field in fields(Idle)]
    return Idle(*(np.concatenate((getattr(idle, name), getattr(beginning, name))) for name in names))
