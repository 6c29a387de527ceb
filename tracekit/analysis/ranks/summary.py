"""`summarise`: what a worker makes of the trace of one rank: read → attribute → reduce to a `RankSummary`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.analysis.device import find_device
from tracekit.analysis.gaps import find_idle
from tracekit.analysis.ranks.columns import Bins, ModuleSteps, RankStepColumns, RankSummary
from tracekit.analysis.ranks.host import HostTime, cpu_time, host_time
from tracekit.analysis.ranks.rank_collectives import (
    UNKNOWN,
    RankCollectives,
    communicates,
    cpu_collectives,
    gpu_collectives,
)
from tracekit.analysis.ranks.spans import Partition, Spans, in_common, union
from tracekit.analysis.ranks.step_windows import StepWindows, extent, step_windows
from tracekit.analysis.ranks.work_between import Pieces, work_between
from tracekit.analysis.timeline import device_numbers, module_of_gpu_events
from tracekit.attribution import NOBODY, Attribution, Mask, attribute, numbered, pair_keys, sum_by
from tracekit.messages import N_, Message
from tracekit.trace import Ints, Trace, read

BINS = 512
MOST_COLLECTIVES = 20_000
MOST_MODULE_STEPS = 50_000
_KERNEL = 0  # in GPU_KINDS


def summarise(path: str | Path, *, progress: Callable[[int], None] | None = None) -> RankSummary:
    """The summary of the trace at `path`; `progress` is told the number of bytes read. Raises `UserError`.

    Its size depends on modules, steps and collectives, not on events.
    """
    trace = read(path, progress)
    return summary_of(trace, attribute(trace))


def summary_of(trace: Trace, attribution: Attribution) -> RankSummary:
    """The summary of a trace that is read and attributed."""
    first, last = extent(trace)
    windows = step_windows(trace, attribution)
    host = host_time(trace, attribution)
    activity = (
        _of_gpu(trace, attribution, windows, host)
        if len(trace.gpu_events)
        else _of_cpu(trace, attribution, windows, host)
    )
    collectives, left_out = _first_ones(activity.collectives)
    parent = np.array([one.parent for one in attribution.tree.modules], np.int64)
    work, level = work_between(collectives.start, first, activity.busy, activity.idle, parent)
    module_steps = _module_steps(activity.busy, windows, len(parent))
    kept = _used(parent, module_steps.module, work.module, collectives.module)
    new = np.append(np.cumsum(kept) - 1, NOBODY)  # by old number; the last stands for `NOBODY`
    modules = [one for one, is_kept in zip(attribution.tree.modules, kept, strict=True) if is_kept]
    info = _distributed(trace)
    device, _spec = find_device(trace, None, None, None)
    return RankSummary(
        path=str(trace.path).encode("utf-8", "replace").decode(),
        rank=_whole(info.get("rank")),
        world_size=_whole(info.get("world_size")),
        host=_text(trace.metadata.get("host_name")),
        device=device.name,
        device_kind=device.kind,
        size_bytes=trace.size_bytes,
        events=trace.event_count,
        skipped_events=trace.skipped_count,
        warnings=(*trace.warnings, *attribution.tree.warnings, *_warnings(trace, activity, left_out)),
        module_source=attribution.tree.source,
        step_source=windows.source,
        origin=first,
        clock_base=_clock_base(trace, last),
        span=last - first,
        devices=len(activity.partitions),
        groups_known=bool(np.all(collectives.group != UNKNOWN)),
        module_paths=tuple(one.path for one in modules),
        module_types=tuple(one.type for one in modules),
        module_parent=new[parent[kept]],
        level=level,
        steps=_steps(activity, windows, first),
        collectives=replace(
            collectives,
            start=collectives.start - first,
            end=collectives.end - first,
            module=new[collectives.module],
        ),
        module_steps=replace(module_steps, module=new[module_steps.module]),
        work=replace(work, module=new[work.module]),
        bins=_bins(activity, first, last),
    )


@dataclass(frozen=True)
class _Activity:
    """What is measured the same way with a GPU and without one."""

    partitions: Sequence[tuple[int, Partition]]  # with the number of each device
    collectives: RankCollectives
    busy: Pieces
    idle: Pieces
    left_out_devices: int = 0  # whose collectives are not among these


def _of_gpu(trace: Trace, attribution: Attribution, windows: StepWindows, host: HostTime) -> _Activity:
    events = trace.gpu_events
    communicating = communicates(trace)
    copies: Mask = np.not_equal(events.kind, _KERNEL)
    numbers = device_numbers(trace)
    partitions = []
    for device in np.unique(events.device).tolist():
        at = events.device == device
        partition = Partition.of(events.start[at], events.end[at], communicating[at], copies[at])
        partitions.append((numbers[device], partition))
    own = np.flatnonzero(communicating)
    devices, count = np.unique(events.device[own], return_counts=True)
    if len(devices) > 1:  # of several ranks in one trace: matched with other traces would be nonsense
        own = own[events.device[own] == devices[count.argmax()]]
    collectives = (
        gpu_collectives(trace, attribution, windows, own)
        if len(own)
        else cpu_collectives(trace, attribution, windows)
    )
    working = np.flatnonzero(~communicating)
    module = module_of_gpu_events(attribution)
    return _Activity(
        partitions=partitions,
        collectives=collectives,
        busy=Pieces(events.start[working], events.end[working], module[working]),
        idle=_idle_of_host(trace, attribution, host),
        left_out_devices=max(0, len(devices) - 1),
    )


def _idle_of_host(trace: Trace, attribution: Attribution, host: HostTime) -> Pieces:
    """While a device has nothing to do: where the thread is that launches what ends it."""
    idle = find_idle(trace, attribution)
    launch = attribution.gpu_launch[idle.event]
    thread = np.where(launch != NOBODY, np.append(trace.launches.thread, NOBODY)[launch], NOBODY)
    pieces = [(idle.start[:0], idle.end[:0], host.module[:0])]
    for one in np.unique(thread).tolist():
        at = np.flatnonzero(thread == one)
        own = host.of_thread(one)
        start, end, module = host.start[own], host.end[own], host.module[own]
        _, place, begin, until = in_common(idle.start[at], idle.end[at], start, end)
        pieces.append((begin, until, module[place]))
        rest = Spans(*_sorted(idle.start[at], idle.end[at])).without(union(start, end))
        pieces.append((rest.start, rest.end, np.full(len(rest), NOBODY)))
    return Pieces(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _sorted(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The union; of several devices idle at once, what one thread loses to them counts once."""
    spans = union(start, end)
    return spans.start, spans.end


def _of_cpu(trace: Trace, attribution: Attribution, windows: StepWindows, host: HostTime) -> _Activity:
    collectives = cpu_collectives(trace, attribution, windows)
    time = cpu_time(trace, attribution, collectives.start, collectives.end)
    partition = Partition(time.compute, time.busy, time.communication, time.busy)
    piece, _, start, end = _outside(host.start, host.end, time.exposed)
    first, last = extent(trace)
    idle = Spans(np.array([first]), np.array([last])).without(time.busy)
    return _Activity(
        partitions=[(0, partition)],
        collectives=collectives,
        busy=Pieces(start, end, host.module[piece]),
        idle=Pieces(idle.start, idle.end, np.full(len(idle), NOBODY)),
    )


def _outside(start: Ints, end: Ints, spans: Spans) -> tuple[Ints, Ints, Ints, Ints]:
    """`in_common` of intervals with what the spans leave."""
    low, high = int(start.min(initial=0)), int(end.max(initial=0))
    begin = np.concatenate(([min(low, int(spans.start.min(initial=low)))], spans.end))
    until = np.concatenate((spans.start, [max(high, int(spans.end.max(initial=high)))]))
    return in_common(start, end, begin, until)


def _steps(activity: _Activity, windows: StepWindows, first: int) -> RankStepColumns:
    rows = []
    for device, partition in activity.partitions:
        parts = partition.split(windows.start, windows.end)
        rows.append(
            {
                "device": np.full(len(windows), device),
                "number": windows.number,
                "start": windows.start - first,
                "wall": windows.end - windows.start,
                **parts,
            }
        )
    return RankStepColumns(**{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def _module_steps(busy: Pieces, windows: StepWindows, modules: int) -> ModuleSteps:
    """By the moment at which a piece of work starts; what lies in no step is left out."""
    step = np.searchsorted(windows.start, busy.start, side="right") - 1
    at = (step != NOBODY) & (busy.start < windows.end[step]) & (busy.module != NOBODY)
    step, module, time = step[at], busy.module[at], (busy.end - busy.start)[at]
    distinct, number = numbered(pair_keys(step, module, max(1, modules)))
    if len(distinct) > MOST_MODULE_STEPS:
        distinct, number = numbered(module.astype(np.int64))
    step, module = np.divmod(distinct, max(1, modules))
    if not len(time):
        step, module = step[:0], module[:0]
    return ModuleSteps(step, module, np.rint(sum_by(number, time, len(step))).astype(np.int64))


def _used(parent: Ints, *columns: Ints) -> Mask:
    """The modules that any column names, and those above them."""
    used = np.zeros(len(parent) + 1, np.bool_)
    for column in columns:
        used[column] = True
    used[-1] = False
    for module in range(len(parent) - 1, -1, -1):  # parents come before their children
        if used[module] and parent[module] != NOBODY:
            used[parent[module]] = True
    return used[:-1]


def _bins(activity: _Activity, first: int, last: int) -> Bins:
    edges = np.array([first + (last - first) * number // BINS for number in range(BINS + 1)], np.int64)
    parts = [one.split(edges[:-1], edges[1:]) for _, one in activity.partitions]
    return Bins(
        **{
            name: np.sum([part[name] for part in parts], axis=0) // len(parts)
            for name in ("compute", "exposed", "copy", "idle")
        }
    )


def _first_ones(collectives: RankCollectives) -> tuple[RankCollectives, int]:
    """As many as a summary holds, and how many are left out: the first ones, on every rank alike."""
    left_out = max(0, len(collectives) - MOST_COLLECTIVES)
    return (collectives.take(np.arange(MOST_COLLECTIVES)), left_out) if left_out else (collectives, 0)


def _warnings(trace: Trace, activity: _Activity, left_out: int) -> list[Message]:
    warnings = []
    if left_out:
        warnings.append(
            N_(
                "only the first {most} collectives are compared with other ranks, {left_out} are not",
                most=MOST_COLLECTIVES,
                left_out=left_out,
            )
        )
    if activity.left_out_devices:
        warnings.append(
            N_(
                "the trace holds {devices} devices with collectives, as merged traces of several ranks do: "
                "it counts as one rank, and the collectives of one device are compared with other ranks",
                devices=activity.left_out_devices + 1,
            )
        )
    return warnings


def _distributed(trace: Trace) -> dict[str, Any]:
    info = trace.metadata.get("distributedInfo")
    return info if isinstance(info, dict) else {}


def _clock_base(trace: Trace, last: int) -> int | None:
    base = _whole(trace.metadata.get("baseTimeNanoseconds"))
    return None if base is None or base + last >= 1 << 63 else base


def _whole(value: Any) -> int | None:
    """A whole number that is not negative, also as text, which Kineto writes for large ones."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
