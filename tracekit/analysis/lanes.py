"""What can be drawn beside the kernels of a trace: on each device its passes, blocks, modules and idle time.

A call of a module lasts from the start of its first GPU event to the end of its last one on that stream. It
is cut where other calls' events run in between, as they do when streams are shared: the slices of a lane nest
and never overlap, like those of a flame chart that is made from stacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.analysis.gaps import lost_to_calls
from tracekit.analysis.measure import Measurement
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.timeline import device_numbers, module_of_gpu_events, stream_name
from tracekit.attribution import (
    NOBODY,
    Attribution,
    Floats,
    Mask,
    depths,
    find_blocks,
    innermost,
    nearest,
    pair_keys,
)
from tracekit.trace import Ints, Layout, Trace

CAUSES = ("launches", "synchronisation", "queued")
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Stream:
    device: int  # position in `Lanes.devices`
    name: int | str


@dataclass(frozen=True)
class Calls:
    """Slices of calls of modules, by stream and start, outer before inner; times in ns."""

    stream: Ints  # position in `Lanes.streams`
    start: Ints
    end: Ints
    module: Ints  # position in the report's modules
    backward: Mask
    events: Ints  # GPU events, its children's included, as are the next two
    gpu_time: Ints
    matrix: Floats  # FLOPs

    def __len__(self) -> int:
        return len(self.start)

    @property
    def tflops(self) -> Floats:
        """NaN where nothing is multiplied."""
        rate = self.matrix / np.maximum(self.gpu_time, 1) / 1000
        return np.where((self.matrix > 0) & (self.gpu_time > 0), rate, np.nan)


@dataclass(frozen=True)
class PassesOnDevice:
    """From the first to the last GPU event of each pass, until the next pass starts; times in ns."""

    device: Ints
    start: Ints
    end: Ints
    number: Ints  # position in the report's passes

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class IdleTime:
    """Slices in which nothing runs on a device; times in ns."""

    device: Ints
    start: Ints
    end: Ints
    cause: Ints  # position in `CAUSES`
    # Position in the report's modules: whose code launched what ends it or, of cause "synchronisation",
    # called what waited; `NOBODY` outside modules.
    module: Ints
    call: Ints  # name of the call that waited, by position in `Lanes.names`; else `NOBODY`

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Rate:
    """TFLOP/s on a device from each moment (ns) on: matrix FLOPs, spread over the events that compute."""

    device: int
    time: Ints
    tflops: Floats


@dataclass(frozen=True)
class Lanes:
    layout: Layout  # of the trace's file
    numbers: Sequence[int | str | None]  # of processes and threads that the trace knows
    names: Sequence[str]
    devices: Sequence[int]  # numbers
    streams: Sequence[Stream]
    knows_flops: bool
    passes: PassesOnDevice
    blocks: Calls
    modules: Calls
    idle: IdleTime
    rates: Sequence[Rate]


def find_lanes(trace: Trace, attribution: Attribution, costs: OpCosts, measurement: Measurement) -> Lanes:
    """All slices of the trace."""
    events, tree = trace.gpu_events, attribution.tree
    row_of_module = np.full(len(tree.modules) + 1, NOBODY, np.int64)
    row_of_module[measurement.module_of_row] = np.arange(len(measurement.module_of_row))
    used, device = np.unique(events.device, return_inverse=True)
    pairs, stream = np.unique(np.stack((device, events.thread), axis=1), axis=0, return_inverse=True)
    stream = stream.reshape(-1)
    matrix = _matrix_of_events(trace, attribution, costs)
    blocks = find_blocks(tree.modules, tree.source != "frames", tree.table)
    is_block = np.zeros(len(tree.modules), np.bool_)
    is_block[[block.module for block in blocks]] = True
    everything = np.ones(len(tree.modules), np.bool_)

    numbers = device_numbers(trace)

    def calls(of: Mask) -> Calls:
        return _calls(trace, attribution, stream, matrix, of[tree.module], row_of_module)

    return Lanes(
        layout=trace.layout,
        numbers=list(dict.fromkeys(number for pair in trace.threads for number in pair)),
        names=trace.names,
        devices=[numbers[one] for one in used.tolist()],
        streams=[Stream(one, stream_name(trace, thread)) for one, thread in pairs.tolist()],
        knows_flops=costs.has_shapes,
        passes=_passes(trace, attribution, device),
        blocks=calls(is_block),
        modules=calls(everything),
        idle=_idle(
            trace,
            attribution,
            measurement,
            np.searchsorted(used, np.arange(len(trace.devices))),
            row_of_module,
        ),
        rates=[
            _rate(one, events.start[at], events.end[at], matrix[at])
            for one in range(len(used))
            if len(at := np.flatnonzero((device == one) & (matrix > 0) & (events.end > events.start)))
        ],
    )


def _matrix_of_events(trace: Trace, attribution: Attribution, costs: OpCosts) -> Floats:
    """Matrix FLOPs of each GPU event: those of the op that launched it, spread over its events by time."""
    events, gpu_op = trace.gpu_events, attribution.gpu_op
    multiplies = np.zeros(len(attribution.ops), np.bool_)
    multiplies[costs.op[costs.multiplies]] = True
    counting = np.append(nearest(multiplies, attribution.op_nesting.parent), NOBODY)[gpu_op]
    matrix = np.zeros(len(events))
    at = np.flatnonzero(counting != NOBODY)
    op, duration = counting[at], (events.end - events.start)[at].astype(np.float64)
    time, count = costs.gpu_time[op], costs.gpu_events[op]
    flops = costs.matrix[np.searchsorted(costs.op, op)]
    matrix[at] = flops * np.where(time > 0, duration, 1) / np.where(time > 0, time, count)
    return matrix


def _calls(
    trace: Trace,
    attribution: Attribution,
    stream: Ints,
    matrix: Floats,
    drawn: Mask,
    row_of_module: Ints,
) -> Calls:
    """Runs of events of the same call, on each level of calls. `drawn`: per scope, whether it is one.

    A call and its backward are two nodes of one forest; what is run again in a backward is below that.
    """
    events, tree = trace.gpu_events, attribution.tree
    scopes = len(tree.scopes)

    def backward(scope: Ints) -> Ints:
        return np.where(scope == NOBODY, NOBODY, scope + scopes)

    backward_parent = backward(attribution.scope_backward_parent)
    parent = np.where(tree.nesting.parent == NOBODY, backward_parent, tree.nesting.parent)
    around = np.append(nearest(np.tile(drawn, 2), np.concatenate((parent, backward_parent))), NOBODY)
    parent = around[np.concatenate((parent, backward_parent))]
    depth = depths(parent)

    order = np.lexsort((events.start, stream))
    node = np.where(attribution.in_module, attribution.gpu_scope, backward(attribution.gpu_backward_scope))
    node, stream, matrix = around[node][order], stream[order], matrix[order]
    start, end = events.start[order], events.end[order]
    limit = np.append(start, _NEVER)[1:]
    limit[:-1][stream[1:] != stream[:-1]] = _NEVER

    inside = np.flatnonzero(node != NOBODY)
    node = node[inside]
    innermost_depth = depth[node]
    parts: list[tuple[Any, ...]] = []
    for level in range(int(innermost_depth.max(initial=NOBODY)), -1, -1):
        node = np.where(depth[node] > level, parent[node], node)
        reaches = innermost_depth >= level
        at, own = inside[reaches], node[reaches]
        goes_on = (at[1:] == at[:-1] + 1) & (own[1:] == own[:-1]) & (stream[at[1:]] == stream[at[:-1]])
        first = np.flatnonzero(np.append(True, ~goes_on))
        last = np.append(first[1:], len(at)) - 1
        parts.append(
            (
                at[first],
                np.full(len(first), level),
                np.minimum(np.maximum.reduceat(end[at], first), limit[at[last]]),
                own[first],
                last - first + 1,
                np.add.reduceat((end - start)[at], first),
                np.add.reduceat(matrix[at], first),
            )
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0, np.int64)] * 7
    outer_first = np.lexsort((columns[1], columns[0]))
    first, _, slice_end, own, count, gpu_time, flops = (column[outer_first] for column in columns)
    return Calls(
        stream=stream[first],
        start=start[first],
        end=slice_end,
        module=row_of_module[np.append(tree.module, tree.module)[own]],
        backward=own >= scopes,
        events=count,
        gpu_time=gpu_time,
        matrix=flops.astype(np.float64),
    )


def _passes(trace: Trace, attribution: Attribution, device: Ints) -> PassesOnDevice:
    events, count = trace.gpu_events, len(attribution.passes)
    at = np.flatnonzero(attribution.gpu_pass != NOBODY)
    cells, cell = np.unique(pair_keys(device[at], attribution.gpu_pass[at], count), return_inverse=True)
    start, end = np.full(len(cells), _NEVER), np.full(len(cells), -_NEVER)
    np.minimum.at(start, cell, events.start[at])
    np.maximum.at(end, cell, events.end[at])
    on, number = np.divmod(cells, max(1, count))
    order = np.lexsort((start, on))
    start, end, on, number = start[order], end[order], on[order], number[order]
    is_followed = on[1:] == on[:-1]
    end[:-1] = np.where(is_followed, np.minimum(end[:-1], start[1:]), end[:-1])
    return PassesOnDevice(on, start, end, number)


def _idle(
    trace: Trace, attribution: Attribution, measurement: Measurement, device: Ints, row_of_module: Ints
) -> IdleTime:
    """Of all intervals in which a device is idle; `device`: what each of the trace's is called here."""
    idle, launches, tree = measurement.idle, trace.launches, attribution.tree
    call, lost = lost_to_calls(trace, attribution, idle)
    waits = np.flatnonzero(lost > 0)
    rest = np.flatnonzero(idle.end - idle.start > lost)
    waiting = call[waits]
    caller = innermost(tree.nesting, launches.thread[waiting], launches.start[waiting], launches.end[waiting])
    module_of_caller = np.append(tree.module, NOBODY)[caller]
    module = module_of_gpu_events(attribution)[idle.event[rest]]
    both = np.concatenate((waits, rest))
    start = np.concatenate((idle.start[waits], (idle.start + lost)[rest]))
    order = np.lexsort((start, idle.device[both]))
    return IdleTime(
        device=device[idle.device[both]][order],
        start=start[order],
        end=np.concatenate(((idle.start + lost)[waits], idle.end[rest]))[order],
        cause=np.concatenate((np.full(len(waits), 1), np.where(idle.launched_late[rest], 0, 2)))[order],
        module=row_of_module[np.concatenate((module_of_caller, module))][order],
        call=np.concatenate((launches.name[waiting], np.full(len(rest), NOBODY)))[order],
    )


def _rate(device: int, start: Ints, end: Ints, matrix: Floats) -> Rate:
    """Steps where an event starts or ends; what runs at the same time adds up."""
    rate = matrix / (end - start) / 1000
    time, moment = np.unique(np.concatenate((start, end)), return_inverse=True)
    change = np.bincount(moment, np.concatenate((rate, -rate)), len(time))
    running = np.cumsum(np.bincount(moment, np.repeat([1.0, -1.0], len(rate)), len(time)))
    # Sums of floats leave crumbs where nothing runs.
    tflops = np.where(running > 0.5, np.maximum(np.cumsum(change), 0), 0.0)
    changes = np.append(True, tflops[1:] != tflops[:-1])
    return Rate(device, time[changes], tflops[changes])
